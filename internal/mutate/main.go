// Command mutate breaks the merge rule, the deletion guards and the verifier of webhooks in every small way there is, and sees whether
// the tests notice.
//
//	go run ./internal/mutate [-only sync] [-figures FOLDER]
//
// A mutant that no test notices is a survivor. Those that change nothing which anybody could notice are listed in survivors.txt, each with
// the reason, and do not count. The exit status is 1 when fewer than 95 of 100 of the others are noticed.
package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clerksync/clerksync/internal/torture"
)

// target is what is broken, and the tests that have to notice.
type target struct {
	room  string
	files []string
	tests []string // the next only if no one before noticed, so the quick ones come first
	flags []string
}

var targets = []target{
	{"sync", []string{"merge.go", "fold.go", "guard.go"}, []string{
		"^Test(SmallHistories|Outcomes|Conflicts|Initial|EvidenceSays|LiveTie|Limits|Hold|Burst|Poison.*)$",
		"^Test(LazyWrite|Guard.*|InsertIsMerge|KeptEvents|HookFailureOfARead)$",
		"^TestSQLMergesLikeGo$",
	}, []string{"-rapid.nofailfile"}},
	{"reconcile", []string{"guard.go"}, []string{
		"^Test(Guard.*|IncompleteScan|LatePass|Enough|Plan.*|Approve.*|Prune)$",
		"^TestEmptyScan$",
	}, nil},
	{"webhook", []string{"verify.go"}, []string{
		"^Test(SeedAttack|Unverified|Verified|Replay|Secrets|Rotation|OtherSigners|Status|UnverifiedIsNotParsed|Observe)$",
	}, nil},
}

//go:embed survivors.txt
var explained string

func main() {
	only := flag.String("only", "", "break the files of this `room` alone")
	figures := flag.String("figures", "", "keep what was found in this `folder`")
	flag.Parse()
	if err := run(*only, *figures); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(only, figures string) (err error) {
	for _, t := range targets {
		if only != "" && t.room != only {
			continue
		}
		err = errors.Join(err, t.judge(figures))
	}
	return err
}

const enough = 0.95

// judge breaks one target in every way.
func (t target) judge(figures string) error {
	begun := time.Now()
	folder, err := os.MkdirTemp("", "clerksync-mutate-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	mutants, err := t.build(folder)
	if err != nil {
		return err
	}
	if t.notices(folder, mutant{}) {
		return fmt.Errorf("the tests of %s fail without a mutant", t.room)
	}
	killed, unexplained := 0, 0
	var harmless []torture.Figure
	for _, m := range mutants {
		if t.notices(folder, m) {
			killed++
			continue
		}
		reason := reasonOf(m)
		if reason == "" {
			unexplained++
		} else {
			harmless = append(harmless, torture.Figure{Name: "lives: " + m.what, Value: reason})
		}
		fmt.Printf("survived: %s # %s\n", m.what, reason)
	}
	share := float64(killed) / float64(len(mutants)-len(harmless))
	fmt.Printf("%s: %d of %d mutants noticed (%.1f %%), %d survivors without a reason, %s\n",
		t.room, killed, len(mutants), 100*share, unexplained, time.Since(begun).Round(time.Second))
	if share < enough {
		err = fmt.Errorf("%s: too many mutants live", t.room)
	}
	if figures == "" {
		return err
	}
	return errors.Join(err, torture.Keep(figures, torture.Run{
		Suite:   "Mutants of " + t.room,
		What:    "Breaks " + strings.Join(t.files, ", ") + " of " + t.room + " in every small way (comparisons, conditions, statements left out, least and greatest), and runs the tests.",
		Size:    fmt.Sprintf("%d mutants", len(mutants)),
		Seconds: time.Since(begun).Seconds(),
		Failed:  err != nil,
		Figures: append([]torture.Figure{
			{Name: "noticed, of those that change something", Value: fmt.Sprintf("%d, %.1f %%", killed, 100*share), Bound: "95 %"},
			{Name: "survivors that change nothing which anybody could notice", Value: fmt.Sprint(len(harmless))},
			{Name: "other survivors", Value: fmt.Sprint(unexplained)},
		}, harmless...),
	}))
}

// reasonOf tells why a mutant may live.
func reasonOf(m mutant) string {
	for line := range strings.Lines(explained) {
		what, reason, _ := strings.Cut(strings.TrimSpace(line), " # ")
		if what == m.what {
			return reason
		}
	}
	return ""
}

// build compiles the target's tests with all mutants in it.
func (t target) build(folder string) ([]mutant, error) {
	r := &rewriter{files: token.NewFileSet()}
	replaced := map[string]string{}
	put := func(name, original string, text []byte) error {
		replaced[original] = filepath.Join(folder, name)
		return os.WriteFile(replaced[original], text, 0o644)
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	pkg := ""
	for _, file := range t.files {
		path := filepath.Join(here, t.room, file)
		text, name, err := r.rewrite(path, t.room+"/"+file)
		if err != nil {
			return nil, err
		}
		pkg = name
		if err := put(file, path, text); err != nil {
			return nil, err
		}
	}
	if err := put("mutant.go", filepath.Join(here, t.room, "zz_mutant.go"), fmt.Appendf(nil, runtimeFile, pkg)); err != nil {
		return nil, err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(folder, "overlay.json"), overlay, 0o644); err != nil {
		return nil, err
	}
	out, err := exec.Command("go", "test", "-c", "-overlay", filepath.Join(folder, "overlay.json"), "-o", filepath.Join(folder, "tests"), "./"+t.room).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("compiling the mutants of %s: %w\n%s", t.room, err, out)
	}
	return r.mutants, nil
}

// patience is how long the tests may take with a mutant: one that has them run for ever is noticed.
const patience = time.Minute

// notices reports whether the tests fail with a mutant.
func (t target) notices(folder string, m mutant) bool {
	return slices.ContainsFunc(t.tests, func(tests string) bool {
		flags := append([]string{"-test.run", tests, "-test.failfast", "-test.timeout", patience.String()}, t.flags...)
		run := exec.Command(filepath.Join(folder, "tests"), flags...)
		run.Dir = t.room
		run.Env = append(os.Environ(), fmt.Sprint("MUTANT=", m.number))
		return run.Run() != nil
	})
}
