package clerksync_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
)

// TestLinks follows every link of every page to its file and its heading. Those to other hosts are taken as they are.
func TestLinks(t *testing.T) {
	t.Parallel()
	followed := 0
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(readPage(t, page), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			followed++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, m[1])
				continue
			}
			if anchor != "" && !anchors(readPage(t, target))[anchor] {
				t.Errorf("%s links to %s, which is no heading there", page, m[1])
			}
		}
	}
	if followed < 50 {
		t.Errorf("followed only %d links: did the test look at the right pages?", followed)
	}
}

// TestArgumentsHoldNoPassword looks at each block of commands that gives psql an address: everybody on the machine sees it.
func TestArgumentsHoldNoPassword(t *testing.T) {
	t.Parallel()
	password := regexp.MustCompile(`://[^/@\s]*:[^/@\s]*@`)
	looked := 0
	for _, page := range pages(t) {
		for _, block := range regexp.MustCompile("(?ms)^ *```.*?^ *```$").FindAllString(readPage(t, page), -1) {
			if !strings.Contains(block, `psql`) {
				continue
			}
			looked++
			if at := password.FindString(block); at != "" {
				t.Errorf("%s has psql take an address with a password, %s", page, at)
			}
		}
	}
	if looked < 2 {
		t.Errorf("looked at only %d blocks", looked)
	}
}

func pages(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "." {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func readPage(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// anchors makes of headings what GitHub makes of them.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		var b strings.Builder
		for _, r := range strings.ToLower(strings.TrimSpace(m[1])) {
			switch {
			case r == ' ':
				b.WriteByte('-')
			case r == '-', r == '_', r >= 'a' && r <= 'z', r >= '0' && r <= '9':
				b.WriteRune(r)
			}
		}
		all[b.String()] = true
	}
	return all
}
