package main

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// measures is a contestant that finds the given speeds, one a round.
func measures(name string, speeds ...float64) contestant {
	round := 0
	return contestant{name, func(context.Context, *stage) (figures, error) {
		round++
		return figures{{"events/s", speeds[round-1]}}, nil
	}}
}

// TestGoals takes ratios within each round, since the machine is another one in the next, and judges by their median.
func TestGoals(t *testing.T) {
	t.Parallel()
	s := scenario{
		name:        "a race",
		contestants: []contestant{measures("fast", 60, 800, 70), measures("slow", 10, 100, 10)},
		goals: []goal{
			{figure: "events/s", of: "fast", to: "slow", least: 7},
			{figure: "events/s", of: "fast", to: "slow", least: 7.5},
			{figure: "events/s", of: "slow", to: "fast", most: 0.2},
			{figure: "events/s", of: "slow", to: "fast", most: 0.1},
			{figure: "events/s", of: "fast", least: 70},
			{figure: "events/s", of: "fast", least: 71},
		},
	}
	r, err := s.run(t.Context(), nil, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, true, false, true, false} {
		if s, met := r.judge(s.goals[i]); met != want {
			t.Errorf("%s %s is met: %t, measured %s", s, s, met, s)
		}
	}
	if s, _ := r.judge(s.goals[0]); s != (spread{7, 6, 8}) {
		t.Errorf("ratios %s, want 7 (6–8)", s)
	}
	if !r.missed() {
		t.Error("a missed goal is not told")
	}
	for _, line := range []string{
		"\n### a race\n", "\n| | events/s |\n|---|---|\n", "\n| fast | 70.0 (60.0–800) |\n",
		"\n| events/s, fast ÷ slow | ≥ 7.50 × | 7.00 (6.00–8.00) | MISSED |\n", "\n| events/s, fast | ≥ 70.0 | 70.0 (60.0–800) | met |\n",
	} {
		if !strings.Contains(r.markdown(), line) {
			t.Errorf("the report lacks %q:\n%s", line, r.markdown())
		}
	}
}

// TestRotation begins each round with another contestant.
func TestRotation(t *testing.T) {
	t.Parallel()
	var order []string
	note := func(name string) contestant {
		return contestant{name, func(context.Context, *stage) (figures, error) {
			order = append(order, name)
			return nil, nil
		}}
	}
	s := scenario{contestants: []contestant{note("a"), note("b"), note("c")}}
	if _, err := s.run(t.Context(), nil, 3); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("a b c b c a c a b", strings.Join(order, " ")); diff != "" {
		t.Error("order (-want +got):", diff)
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0.00", 0.125: "0.12", 9.994: "9.99", 12.34: "12.3", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}
