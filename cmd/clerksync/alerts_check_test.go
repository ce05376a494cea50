//go:build check

package main_test

import (
	"os/exec"
	"testing"
)

// TestAlertsFire has Prometheus' own promtool read the rules and play the stories of testdata/alerts.yml.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"check", "config", "../../deploy/prometheus.yml"}, {"check", "rules", alerts}, {"test", "rules", "testdata/alerts.yml"}} {
		if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v (apt-get install prometheus)\n%s", args, err, out)
		}
	}
}
