// Command report writes docs/reliability.md from the figures that the suites of make torture left, and from nothing else: what was not
// run is not on the page. The figures are kept in the repository, so that a suite which is run alone does not take the others off the page.
//
//	go run ./internal/torture/report -write docs/reliability.md
package main

import (
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/clerksync/clerksync/internal/torture"
)

//go:embed head.md
var head string

//go:embed found.md
var found string

func main() {
	from := flag.String("from", "internal/torture/figures", "the `folder` with the figures")
	write := flag.String("write", "", "write the page to this `file` instead of standard output")
	flag.Parse()
	if err := run(*from, *write); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(from, write string) error {
	runs, err := read(from)
	if err != nil {
		return err
	}
	text := page(runs)
	if write == "" {
		_, err := fmt.Print(text)
		return err
	}
	return os.WriteFile(write, []byte(text), 0o644)
}

// read returns the last run of each suite.
func read(folder string) (runs []torture.Run, err error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var run torture.Run
		if err := json.Unmarshal(text, &run); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		runs = append(runs, run)
	}
	return runs, nil
}

func page(runs []torture.Run) string {
	var b strings.Builder
	b.WriteString(head)
	for _, r := range runs {
		b.WriteString(section(r))
	}
	b.WriteString("\n" + found)
	return b.String()
}

func section(r torture.Run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", r.Suite, r.What)
	fmt.Fprintf(&b, "Ran %s in %s, %s, on %s", r.Size, time.Duration(r.Seconds*float64(time.Second)).Round(time.Second), r.At[:min(10, len(r.At))], r.Machine)
	if r.Seed != 0 {
		fmt.Fprintf(&b, ", seed %d", r.Seed)
	}
	if r.Failed {
		b.WriteString(", and **failed**")
	}
	b.WriteString(".\n\n| figure | measured | bound |\n|---|---|---|\n")
	for _, f := range r.Figures {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(f.Name), cell(f.Value), cell(f.Bound))
	}
	return b.String()
}

// cell is a text within a table.
func cell(s string) string {
	if s == "" {
		return "–"
	}
	return strings.ReplaceAll(s, "|", `\|`)
}
