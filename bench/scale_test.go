package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestScale looks for the scenarios that docs/scale.md sends its readers to.
func TestScale(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	scenarios := all(ordinary)
	named := 0
	for _, sentence := range regexp.MustCompile(`Measure:[^.]+\.`).FindAllString(string(doc), -1) {
		for _, m := range regexp.MustCompile(`\*([^*]+)\*`).FindAllStringSubmatch(sentence, -1) {
			named++
			name := strings.ReplaceAll(m[1], "\n", " ")
			if !slices.ContainsFunc(scenarios, func(s scenario) bool { return strings.Contains(s.name, name) }) {
				t.Errorf("docs/scale.md speaks of %q, which is no scenario", name)
			}
		}
	}
	if named < 6 {
		t.Errorf("docs/scale.md names only %d scenarios", named)
	}
}
