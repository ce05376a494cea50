package main_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	main "github.com/clerksync/clerksync/cmd/clerksync"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

const (
	alerts    = "../../deploy/alerts.yml"
	dashboard = "../../deploy/grafana-dashboard.json"
)

// TestWatchedMetricsExist looks for every metric, with its labels, that alerts and dashboard ask for.
func TestWatchedMetricsExist(t *testing.T) {
	t.Parallel()
	mirror, err := clerksync.Open(t.Context(), pgtest.SQLite(t), clerksync.Config{})
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{}
	for _, m := range main.MetricNames(mirror) {
		name, list, _ := strings.Cut(strings.TrimSuffix(m, "}"), "{")
		labels["clerksync_"+name] = append(strings.Split(list, ","), "le", "instance", "job")
	}
	asked := regexp.MustCompile(`(clerksync_[a-z_]+)(?:\{([^}]*)\})?`)
	label := regexp.MustCompile(`([a-z_]+)\s*(?:=|!=|=~|!~)\s*\\?"`)
	for _, file := range []string{alerts, dashboard} {
		found := asked.FindAllStringSubmatch(read(t, file), -1)
		if len(found) < 20 {
			t.Errorf("%s asks for only %d metrics: did the test look at the right thing?", file, len(found))
		}
		for _, m := range found {
			name := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(m[1], "")
			known, exists := labels[name]
			if !exists {
				t.Errorf("%s asks for %s, which is no metric", file, m[1])
				continue
			}
			for _, l := range label.FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(known, l[1]) {
					t.Errorf("%s asks %s for the label %s, which it does not have", file, m[1], l[1])
				}
			}
		}
	}
}

// TestEveryAlertIsExplained compares the alerts with the headings of docs/operations.md, in their order.
func TestEveryAlertIsExplained(t *testing.T) {
	t.Parallel()
	names := func(pattern, text string) (all []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
		return all
	}
	if diff := cmp.Diff(names(`- alert: (\w+)`, read(t, alerts)), names(`\n### (Clerksync\w+)\n`, read(t, operations))); diff != "" {
		t.Errorf("alerts and their headings in docs/operations.md (-alerts +headings):\n%s", diff)
	}
}
