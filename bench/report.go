package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// spread is a figure or a ratio over all rounds.
type spread struct{ median, min, max float64 }

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}
}

func (s spread) String() string {
	return fmt.Sprintf("%s (%s–%s)", number(s.median), number(s.min), number(s.max))
}

// number writes three digits that count, with commas between thousands.
func number(v float64) string {
	switch {
	case v >= 1000:
		s := fmt.Sprintf("%.0f", v)
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func (f figures) String() string {
	parts := make([]string, len(f))
	for i, one := range f {
		parts[i] = number(one.value) + " " + one.name
	}
	return strings.Join(parts, ", ")
}

// over collects one figure of a contestant; nil if it has none.
func (r result) over(contestant, name string) []float64 {
	var values []float64
	for _, f := range r.measured[contestant] {
		if v, ok := f.value(name); ok {
			values = append(values, v)
		}
	}
	return values
}

// judge returns a goal's figure, or its ratio round by round, and whether the median is within the bound.
func (r result) judge(g goal) (spread, bool) {
	values := r.over(g.of, g.figure)
	if g.to != "" {
		others := r.over(g.to, g.figure)
		for i := range values {
			values[i] /= others[i]
		}
	}
	s := spreadOf(values)
	if g.most != 0 {
		return s, s.median <= g.most
	}
	return s, s.median >= g.least
}

func (r result) missed() bool {
	return slices.ContainsFunc(r.goals, func(g goal) bool { _, met := r.judge(g); return !met })
}

func (g goal) String() string {
	what := g.figure + ", " + g.of
	if g.to != "" {
		what += " ÷ " + g.to
	}
	return what
}

func (g goal) bound() string {
	bound, sign := g.least, "≥ "
	if g.most != 0 {
		bound, sign = g.most, "≤ "
	}
	if g.to != "" {
		return sign + number(bound) + " ×"
	}
	return sign + number(bound)
}

// verdict lists the goals, a line each.
func (r result) verdict() string {
	var b strings.Builder
	for _, g := range r.goals {
		s, met := r.judge(g)
		fmt.Fprintf(&b, "  %-6s %s: %s, goal %s\n", word(met), g, s, g.bound())
	}
	return b.String()
}

func word(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}

// markdown is the part of the report about one scenario.
func (r result) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n%s\n\n|", r.name, r.text)
	var columns []string
	for _, c := range r.contestants {
		for _, f := range r.measured[c.name][0] {
			if !slices.Contains(columns, f.name) {
				columns = append(columns, f.name)
			}
		}
	}
	fmt.Fprintf(&b, " | %s |\n|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, c := range r.contestants {
		fmt.Fprintf(&b, "| %s |", c.name)
		for _, name := range columns {
			cell := "–"
			if values := r.over(c.name, name); values != nil {
				cell = spreadOf(values).String()
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteByte('\n')
	}
	if len(r.goals) == 0 {
		return b.String()
	}
	b.WriteString("\n| goal | bound | measured | |\n|---|---|---|---|\n")
	for _, g := range r.goals {
		s, met := r.judge(g)
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", g, g.bound(), s, word(met))
	}
	return b.String()
}

// report is the whole document.
func report(st *stage, results []result, rounds int) (string, error) {
	server, err := st.serverVersion()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Benchmarks

This page is written by `+"`make bench`"+`, which anyone can run: it takes a Linux machine with PostgreSQL installed and a quarter of an hour.
What it compares, and how, is in [bench/](../bench). A figure is the median of %d rounds with the least and the greatest beside it;
a ratio is taken within each round, where all contestants are measured one after the other. PostgreSQL waits for the disk at every
commit, as in production. Every process is on this one machine, so that the load generator takes its part of it.

Measured on %d × %s with Linux %s, %s and PostgreSQL %s, %s.
`, rounds, runtime.NumCPU(), processor(), kernel(), runtime.Version(), server, time.Now().UTC().Format("2006-01-02"))
	section := ""
	for _, r := range results {
		if r.section != section {
			section = r.section
			fmt.Fprintf(&b, "\n## %s\n", section)
		}
		b.WriteString(r.markdown())
	}
	return b.String(), nil
}
