// Command cover reads a profile of go test and holds the rooms in it to the share of statements that tests have to reach.
//
//	go run ./internal/torture/cover [-list] [-figures FOLDER] bin/cover.out
//
// The exit status is 1 when fewer than 95 of 100 statements of a room are reached.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"

	"github.com/clerksync/clerksync/internal/torture"
)

const enough = 0.95

func main() {
	list := flag.Bool("list", false, "list what no test reaches")
	figures := flag.String("figures", "", "keep the shares in this `folder`")
	flag.Parse()
	if err := run(flag.Arg(0), *list, *figures); err != nil {
		fmt.Fprintln(os.Stderr, "cover:", err)
		os.Exit(1)
	}
}

// block is some statements that run together.
type block struct {
	statements int
	reached    bool
}

func run(profile string, list bool, figures string) (err error) {
	blocks, err := read(profile)
	if err != nil {
		return err
	}
	statements, reached := map[string]int{}, map[string]int{}
	for _, where := range slices.Sorted(maps.Keys(blocks)) {
		b, room := blocks[where], path.Base(path.Dir(where))
		statements[room] += b.statements
		if b.reached {
			reached[room] += b.statements
		} else if list {
			fmt.Println(where)
		}
	}
	found := torture.Run{Suite: "Statement coverage", What: "Counts the statements of four rooms that their own tests reach.", Size: fmt.Sprint(len(blocks), " blocks")}
	for _, room := range slices.Sorted(maps.Keys(statements)) {
		share := float64(reached[room]) / float64(statements[room])
		value := fmt.Sprintf("%d of %d, %.1f %%", reached[room], statements[room], 100*share)
		found.Figures = append(found.Figures, torture.Figure{Name: "statements of " + room + " that are reached", Value: value, Bound: fmt.Sprintf("%g %%", 100*enough)})
		fmt.Printf("%s: %s\n", room, value)
		if share < enough {
			err = errors.Join(err, fmt.Errorf("tests reach too little of %s", room))
		}
	}
	if figures == "" {
		return err
	}
	found.Failed = err != nil
	return errors.Join(err, torture.Keep(figures, found))
}

// read returns the blocks of a profile by where they are. Each test's binary writes a block of its own.
func read(profile string) (map[string]block, error) {
	file, err := os.Open(profile)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	blocks := map[string]block{}
	lines := bufio.NewScanner(file)
	lines.Scan() // the mode
	for lines.Scan() {
		var where string
		var statements, times int
		if _, err := fmt.Sscan(lines.Text(), &where, &statements, &times); err != nil {
			return nil, fmt.Errorf("reading %q: %w", lines.Text(), err)
		}
		blocks[where] = block{statements, blocks[where].reached || times > 0}
	}
	if len(blocks) == 0 {
		return nil, errors.New("the profile is empty")
	}
	return blocks, lines.Err()
}
