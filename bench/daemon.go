package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// The names under which the daemon and the load meet.
const (
	signingSecret = "whsec_YmVuY2htYXJrcyBzaWduIHdpdGggdGhpcyBrZXk="
	instanceID    = "ins_2bench0000000000000000000001"
)

// daemon is a clerksync serve at work.
type daemon struct {
	cmd      *exec.Cmd
	webhooks string // the URL of its endpoint
	admin    string // the URL of its admin listener
}

// serve starts the daemon on a database, with further variables in its environment, and returns when it is ready.
func (st *stage) serve(ctx context.Context, databaseURL string, env ...string) (*daemon, error) {
	cmd := exec.CommandContext(ctx, st.clerksync, "serve")
	cmd.Env = append([]string{
		"DATABASE_URL=" + databaseURL, "CLERK_WEBHOOK_SIGNING_SECRET=" + signingSecret, "CLERK_INSTANCE_ID=" + instanceID,
		"CLERKSYNC_LISTEN=127.0.0.1:0", "CLERKSYNC_ADMIN_LISTEN=127.0.0.1:0", "CLERKSYNC_LOG_FORMAT=json", "CLERKSYNC_LOG_LEVEL=info",
		"PATH=" + os.Getenv("PATH"), "HOME=" + st.dir,
	}, env...)
	log, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the daemon: %w", err)
	}
	d := &daemon{cmd: cmd}
	if err := d.listening(bufio.NewScanner(log)); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	if err := d.ready(ctx); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

// listening reads from the log where the daemon listens, and goes on to show what is more than news.
func (d *daemon) listening(log *bufio.Scanner) error {
	for log.Scan() {
		var line struct{ Msg, Webhooks, Admin string }
		if err := json.Unmarshal(log.Bytes(), &line); err == nil && line.Msg == "listening" {
			d.webhooks, d.admin = "http://"+line.Webhooks, "http://"+line.Admin
			go func() {
				for log.Scan() {
					var line struct{ Level, Reason string }
					if err := json.Unmarshal(log.Bytes(), &line); err != nil || line.Level == "ERROR" && line.Reason != "overload" { // of a flood
						fmt.Fprintln(os.Stderr, "daemon:", log.Text())
					}
				}
			}()
			return nil
		}
		fmt.Fprintln(os.Stderr, "daemon:", log.Text())
	}
	return errors.New("the daemon ended before it listened")
}

// ready polls until the daemon takes deliveries.
func (d *daemon) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.admin+"/readyz", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return fmt.Errorf("waiting for the daemon: %w", err)
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

func (d *daemon) stop() error { return terminate(d.cmd) }
