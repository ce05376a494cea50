// Command fuzz runs every fuzz target of the module for ten minutes, or for as much of them as TORTURE_SIZE says, and at least for five
// seconds. An input that a target fails at is in its testdata afterwards, as go test leaves it there.
//
//	go run ./internal/torture/fuzz [-only FuzzBody] [-keep] [-figures FOLDER]
//
// With -keep, the smallest of the inputs that were found to take ways of their own are copied to testdata, where go test tries them each
// time.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/crash"
	"github.com/clerksync/clerksync/internal/torture"
)

// The time that a target gets, how long an input that takes a way of its own is made smaller (go test would take a minute each, in
// which it tries nothing else), and how many of a target's inputs are kept.
const (
	whole   = 10 * time.Minute
	least   = 5 * time.Second
	shorten = "1s"
	most    = 40
)

// target is a function that go test can fuzz.
type target struct{ room, name string }

func main() {
	only := flag.String("only", "", "fuzz this `target` alone")
	keep := flag.Bool("keep", false, "copy inputs to testdata")
	figures := flag.String("figures", "", "keep what was found in this `folder`")
	flag.Parse()
	if err := run(*only, *keep, *figures); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func run(only string, keep bool, figures string) error {
	begun := time.Now()
	span, err := span()
	if err != nil {
		return err
	}
	targets, err := find()
	if err != nil {
		return err
	}
	targets = slices.DeleteFunc(targets, func(t target) bool { return only != "" && t.name != only })
	if len(targets) == 0 {
		return errors.New("there is no such target")
	}
	found := torture.Run{
		Suite: "Fuzzing", What: "Has go test make up inputs for whatever reads what others wrote.",
		Size:    fmt.Sprintf("%d targets for %s each, one per processor at a time", len(targets), span),
		Figures: make([]torture.Figure, len(targets)),
	}
	failures := make([]error, len(targets))
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for i, t := range targets {
		group.Go(crash.Contained(func() error {
			found.Figures[i], failures[i] = t.try(span)
			if keep {
				return t.keep()
			}
			return nil
		}))
	}
	err = group.Wait()
	failed := errors.Join(failures...)
	if figures != "" && only == "" {
		found.Seconds, found.Failed = time.Since(begun).Seconds(), failed != nil
		err = errors.Join(err, torture.Keep(figures, found))
	}
	return errors.Join(failed, err)
}

// try fuzzes a target and says what came of it.
func (t target) try(span time.Duration) (torture.Figure, error) {
	executions, err := t.fuzz(span)
	value := fmt.Sprintf("%d executions, no failure", executions)
	if err != nil {
		value = fmt.Sprintf("%d executions, and **a failure**", executions)
	}
	fmt.Printf("%s of %s: %s\n", t.name, t.room, value)
	return torture.Figure{Name: t.name + " of " + t.room, Value: value, Bound: "no failure"}, err
}

func span() (time.Duration, error) {
	share, err := torture.Share()
	if err != nil {
		return 0, err
	}
	return max(least, time.Duration(share*float64(whole)).Round(time.Second)), nil
}

var declaration = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)

// find lists the targets of the module.
func find() (all []target, err error) {
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range declaration.FindAllSubmatch(text, -1) {
			all = append(all, target{filepath.Dir(path), string(match[1])})
		}
		return err
	})
	return all, err
}

var told = regexp.MustCompile(`execs: (\d+)`)

// fuzz returns how often a target was run.
func (t target) fuzz(span time.Duration) (executions int, err error) {
	out, err := exec.Command("go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", span.String(), "-fuzzminimizetime", shorten, "-parallel", "1", "./"+t.room).CombinedOutput()
	if all := told.FindAllSubmatch(out, -1); len(all) > 0 {
		executions, _ = strconv.Atoi(string(all[len(all)-1][1])) // the pattern is of digits
	}
	if err != nil {
		err = fmt.Errorf("%s of %s: %w\n%s", t.name, t.room, err, out)
	}
	return executions, err
}

// keep copies the smallest inputs of the cache to testdata, up to so many in all.
func (t target) keep() error {
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return err
	}
	pkg, err := exec.Command("go", "list", "./"+t.room).Output()
	if err != nil {
		return err
	}
	from := filepath.Join(strings.TrimSpace(string(cache)), "fuzz", strings.TrimSpace(string(pkg)), t.name)
	to := filepath.Join(t.room, "testdata", "fuzz", t.name)
	kept, err := filepath.Glob(filepath.Join(to, "*"))
	if err != nil {
		return err
	}
	inputs, err := filepath.Glob(filepath.Join(from, "*"))
	if err != nil {
		return err
	}
	texts := map[string][]byte{}
	for _, path := range inputs {
		if texts[path], err = os.ReadFile(path); err != nil {
			return err
		}
	}
	slices.SortFunc(inputs, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(texts[a]), len(texts[b])), cmp.Compare(a, b))
	})
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, path := range inputs[:min(len(inputs), max(0, most-len(kept)))] {
		if err := os.WriteFile(filepath.Join(to, filepath.Base(path)), texts[path], 0o644); err != nil {
			return err
		}
	}
	return nil
}
