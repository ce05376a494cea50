package main

import (
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v3"
)

// bill is the software bill of materials of a binary, as CycloneDX 1.6 has it (https://cyclonedx.org): what the Go toolchain
// linked in, by its own record.
type bill struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   billOf      `json:"metadata"`
	Components []component `json:"components"`
}

type billOf struct {
	Component component `json:"component"`
}

type component struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl"`
	Hashes  []hash `json:"hashes,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

// printBill prints the bill of the file that is named, or else of the program that runs.
func printBill(c *cli.Command) error {
	file := c.Args().First()
	if file == "" {
		var err error
		if file, err = os.Executable(); err != nil {
			return fmt.Errorf("finding this program: %w", err)
		}
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading what a binary was built from: %w", err)
	}
	return printJSON(c, newBill(info))
}

func newBill(info *debug.BuildInfo) bill {
	b := bill{Format: "CycloneDX", Spec: "1.6", Version: 1, Components: []component{}}
	b.Metadata.Component = describeModule("application", &info.Main)
	b.Components = append(b.Components, component{Type: "library", Name: "std", Version: strings.TrimPrefix(info.GoVersion, "go"),
		PURL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")})
	for _, m := range info.Deps {
		for m.Replace != nil {
			m = m.Replace
		}
		b.Components = append(b.Components, describeModule("library", m))
	}
	return b
}

// describeModule tells a module's hash, too, where the toolchain knows it: of the tree of its files, as in go.sum.
func describeModule(kind string, m *debug.Module) component {
	c := component{Type: kind, Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path + "@" + m.Version}
	if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) > 0 {
		c.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum)}}
	}
	return c
}
