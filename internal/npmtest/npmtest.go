// Package npmtest lets programs of other people's, in another language, judge what the tests' code does.
package npmtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Run installs packages of npm's registry, runs a script with node beside them, with more variables in its environment, and returns
// what it prints.
func Run(t testing.TB, script string, env []string, packages ...string) string {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(script)
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
		t.Fatal(err)
	}
	command(t, dir, nil, "npm", append([]string{"install", "--no-audit", "--no-fund", "--prefix", dir}, packages...)...)
	return command(t, dir, env, "node", name)
}

func command(t testing.TB, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("running %s (is it installed? `apt-get install nodejs npm`): %v\n%s", name, err, output)
	}
	return string(output)
}
