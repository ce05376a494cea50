package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v3"
)

// build is what the Go toolchain recorded about this binary.
type build struct {
	Version      string            `json:"version"`
	Commit       string            `json:"commit,omitempty"`
	Modified     bool              `json:"modified,omitempty"`
	Go           string            `json:"go"`
	Platform     string            `json:"platform"`
	Dependencies map[string]string `json:"dependencies"`
}

func readBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Dependencies: map[string]string{}}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	for _, d := range info.Deps {
		b.Dependencies[d.Path] = d.Version
	}
	return b
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print version, commit and Go release",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "with the versions of all dependencies"},
			&cli.BoolFlag{Name: "sbom", Usage: "print the software bill of materials: CycloneDX, as JSON; of FILE, if there is one, such as a binary for another platform"},
		},
		ArgsUsage: "[FILE]",
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Bool("sbom") {
				return printBill(c)
			}
			if err := noArguments(ctx, c); err != nil {
				return err
			}
			b := readBuild()
			if c.Bool("json") {
				return printJSON(c, b)
			}
			_, err := fmt.Fprintf(c.Root().Writer, "clerksync %s\ncommit %s\n%s %s\n", b.Version, cmp.Or(b.Commit, "unknown"), b.Go, b.Platform)
			return err
		},
	}
}
