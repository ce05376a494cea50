// Command bench measures clerksync beside what a team would otherwise have, in one run and on one machine, and holds it to goals.
//
//	go run ./bench [-only webhook,sqlite] [-scenario "16 clients"] [-contestant clerksync] [-rounds 5] [-short] [-most 10000000] [-write docs/benchmarks.md]
//
// What counts is ratios: the machine is whatever it is, and every contestant of a scenario is measured on it once a round, in an
// order that rotates. PostgreSQL runs as it does in production, waiting for the disk. The daemon that is measured is the real
// one, and it, PostgreSQL, the load generator and every baseline are processes of their own, so that what one costs is not
// counted for another. It needs Linux, whose /proc tells what processes cost, a PostgreSQL server's programs, and the go command.
//
// It exits 1 when a goal is missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// all lists every scenario, in the order of the report.
func all(s sizes) []scenario {
	return slices.Concat(webhookScenarios(), sqliteScenarios(), passScenarios(s), largeScenarios(s), loginScenarios())
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := play(ctx)
	if errors.Is(err, errNoRole) {
		err = run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

var errMissed = errors.New("not all goals are met")

func run(ctx context.Context) error {
	only := flag.String("only", "", "measure these `sections` alone, separated by commas")
	named := flag.String("scenario", "", "measure the scenarios alone whose name begins with this `text`")
	alone := flag.String("contestant", "", "measure this contestant alone, by its `name`: to profile it, not to judge")
	rounds := flag.Int("rounds", 5, "how often each contestant is measured")
	short := flag.Bool("short", false, "measure briefly: to try the program, not to judge")
	most := flag.Int("most", 0, "so many `users` in the section large instead of a million; ten million take 25 GB of disk")
	write := flag.String("write", "", "write the report to this `file` instead of standard output")
	flag.Parse()

	st, err := newStage(ctx)
	if err != nil {
		return err
	}
	defer st.close()
	s := ordinary
	if *short {
		s = brief
		st.warm, st.span = 300*time.Millisecond, time.Second
	}
	if *most > 0 {
		s.most = *most
	}
	var results []result
	for _, s := range all(s) {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), s.section) {
			continue
		}
		if !strings.HasPrefix(s.name, *named) {
			continue
		}
		if *alone != "" {
			s = s.reduced(*alone)
		}
		r, err := s.run(ctx, st, *rounds)
		if err != nil {
			return err
		}
		fmt.Fprint(os.Stderr, r.verdict())
		results = append(results, r)
	}
	text, err := report(st, results, *rounds)
	if err != nil {
		return err
	}
	if err := publish(*write, text); err != nil {
		return err
	}
	if slices.ContainsFunc(results, result.missed) {
		return errMissed
	}
	return nil
}

func publish(path, text string) error {
	if path == "" {
		_, err := fmt.Print(text)
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
