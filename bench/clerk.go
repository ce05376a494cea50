package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// clerk is an emulated Clerk in its own process, which keeps its pages once they are written.
type clerk struct {
	cmd *exec.Cmd
	URL string `json:"api_url"`
	Key string `json:"secret_key"`
}

// pageMiB is how much memory a clerk may keep pages in: enough for all of them, generously, up to two million users. The pages of more
// are written as they are asked for.
func pageMiB(users int) int { return min(users*3>>10+16, 6<<10) }

// emulate starts a clerk, or returns the one that was started alike. It ends with the stage.
func (st *stage) emulate(ctx context.Context, users int, gzip bool) (*clerk, error) {
	name := fmt.Sprint("clerk ", users, gzip)
	if c := st.clerks[name]; c != nil {
		return c, nil
	}
	arguments := []string{"emulate", "--listen", "127.0.0.1:0", "--users", fmt.Sprint(users), "--page-cache", fmt.Sprint(pageMiB(users))}
	if gzip {
		arguments = append(arguments, "--gzip")
	}
	c := &clerk{cmd: exec.CommandContext(ctx, st.clerksync, arguments...)}
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the emulator: %w", err)
	}
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(c); err != nil {
		return nil, errors.Join(fmt.Errorf("hearing from the emulator: %w", err), c.stop())
	}
	st.clerks[name] = c
	_, err = st.play(ctx, "walk", walk{URL: c.URL, Key: c.Key, Gzip: gzip}, nil) // so that every page is written
	return c, err
}

func (c *clerk) stop() error { return terminate(c.cmd) }
