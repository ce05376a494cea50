package main

import (
	"context"
	"fmt"
	"os"
	"slices"
)

// scenario compares contestants under one load.
type scenario struct {
	section     string // what -only picks it by
	name        string // the heading
	text        string // what is measured, and how
	contestants []contestant
	goals       []goal
}

// contestant is one way of doing the work of a scenario. measure does it once, on a stage that nobody else uses meanwhile.
type contestant struct {
	name    string
	measure func(context.Context, *stage) (figures, error)
}

// figures are what one measurement found, in the order in which the report shows them.
type figures []figure

type figure struct {
	name  string // with its unit, such as "p99 ms"
	value float64
}

func (f figures) value(name string) (float64, bool) {
	for _, one := range f {
		if one.name == name {
			return one.value, true
		}
	}
	return 0, false
}

// goal bounds a figure of one contestant or, where to is set, its ratio to the same figure of another one.
type goal struct {
	figure string
	of, to string
	least  float64 // one of the two is set
	most   float64
}

// reduced is a scenario with one contestant, and so without goals.
func (s scenario) reduced(to string) scenario {
	s.goals = nil
	s.contestants = slices.DeleteFunc(slices.Clone(s.contestants), func(c contestant) bool { return c.name != to })
	return s
}

// result is a scenario with its measurements.
type result struct {
	scenario
	measured map[string][]figures // by contestant, a round each
}

// run measures every contestant once a round, and begins each round with another one.
func (s scenario) run(ctx context.Context, st *stage, rounds int) (result, error) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", s.section, s.name)
	r := result{scenario: s, measured: map[string][]figures{}}
	for round := range rounds {
		for i := range s.contestants {
			c := s.contestants[(i+round)%len(s.contestants)]
			f, err := c.measure(ctx, st)
			if err != nil {
				return r, fmt.Errorf("measuring %s, %s: %w", s.name, c.name, err)
			}
			r.measured[c.name] = append(r.measured[c.name], f)
			fmt.Fprintf(os.Stderr, "  %d/%d %s: %s\n", round+1, rounds, c.name, f)
		}
	}
	return r, nil
}
