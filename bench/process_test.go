package main

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestCost counts what a process and its children have used, also of those that have ended.
func TestCost(t *testing.T) {
	t.Parallel()
	before, err := cpuOfFamily(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.CommandContext(t.Context(), "sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done").Run(); err != nil {
		t.Fatal(err)
	}
	after, err := cpuOfFamily(os.Getpid())
	if err != nil || after-before < 20*time.Millisecond {
		t.Errorf("a busy child cost %s, %v", after-before, err)
	}
	if rss, err := status(os.Getpid(), "VmRSS"); err != nil || rss < 1 || rss > 4096 {
		t.Errorf("resident memory of %v MiB, %v", rss, err)
	}
}
