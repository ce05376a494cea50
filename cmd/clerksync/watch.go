package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/admin"
)

const watchEvery = 2 * time.Second

// watchStatus shows the status again and again: in its place on a terminal, one below the other elsewhere. A database that does not answer
// is shown as that, since it may come back.
func watchStatus(ctx context.Context, c *cli.Command, mirror *clerksync.Mirror) error {
	f, count := frame{out: c.Root().Writer}, admin.Costly(mirror.Populations)
	for {
		status, err := readCondition(ctx, mirror, count)
		if ctx.Err() != nil {
			return nil
		}
		if err := f.show(c, status.Judge(time.Now()), err); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}

// frame is the part of a terminal that is drawn again.
type frame struct {
	out   io.Writer
	lines int // of what is there
}

func (f *frame) show(c *cli.Command, s admin.Judged, failure error) error {
	if c.Bool("json") {
		if failure != nil {
			_, err := fmt.Fprintln(c.Root().ErrWriter, "clerksync:", failure)
			return err
		}
		return printJSON(c, s)
	}
	t := columns{{"as of", time.Now().UTC().Format(time.DateTime)}}
	if failure != nil {
		t.row("error", failure.Error())
	} else {
		t = append(t, statusTable(s, coloured(f.out))...)
	}
	if !redraws(f.out) {
		return append(t, nil).print(f.out)
	}
	return f.redraw(t)
}

// redraw writes a table over the one before. What a screen is too low for is left out: nothing could be written over once it had scrolled
// away.
func (f *frame) redraw(t columns) error {
	width, height := screen(f.out)
	var b bytes.Buffer
	if err := t.print(&folding{w: &b, width: width}); err != nil {
		return err
	}
	lines := strings.SplitAfter(strings.TrimSuffix(b.String(), "\n"), "\n")
	if height > 1 && len(lines) > height-1 {
		lines = append(lines[:height-2], "…")
	}
	up := ""
	if f.lines > 0 {
		up = fmt.Sprintf("\x1b[%dF", f.lines)
	}
	f.lines = len(lines)
	_, err := io.WriteString(f.out, up+"\x1b[J"+strings.Join(lines, "")+"\n")
	return err
}
