package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	clerksync "github.com/clerksync/clerksync/sync"
)

// openTime is how long serve waits for a database that is not there yet.
const openTime = 2 * time.Minute

// openPatiently opens the mirror, again and again while the database is merely not up.
func (d *daemon) openPatiently(ctx context.Context) (*clerksync.Mirror, func(), error) {
	type opening struct {
		mirror *clerksync.Mirror
		close  func()
	}
	d.database.patience = linePatience
	pause := &backoff.ExponentialBackOff{InitialInterval: 250 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: 5 * time.Second}
	o, err := backoff.Retry(ctx, func() (opening, error) {
		m, closeMirror, err := d.openMirror(ctx, d.migrate)
		if err != nil && !isOutage(err) {
			err = backoff.Permanent(err)
		}
		return opening{m, closeMirror}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(openTime), backoff.WithNotify(func(err error, wait time.Duration) {
		d.log.Warn("the database does not answer yet", "error", err, "again_in", wait.Round(time.Millisecond).String())
	}))
	if err != nil && isOutage(err) {
		err = fmt.Errorf("the database did not answer for %s: %w", openTime, err)
	}
	return o.mirror, o.close, err
}

// isOutage reports whether waiting may cure an error of the database: nobody listens, a proxy closes the connection, the server starts,
// stops or is full, or no standby has been promoted yet.
func isOutage(err error) bool {
	if s := sqlState(err); s != "" {
		return strings.HasPrefix(s, "08") || strings.HasPrefix(s, "53") || strings.HasPrefix(s, "57P")
	}
	if wrote := err.Error(); strings.Contains(wrote, "session is read-only") || strings.Contains(wrote, "server is in hot standby mode") {
		return true // the driver has no other mark of a server that target_session_attrs does not want
	}
	var file *fs.PathError // which says what a network's error says, too
	if errors.As(err, &file) {
		return false
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, clerksync.ErrUnavailable)
}

// sqlState returns the SQLSTATE of an error of PostgreSQL, and of any other one "".
func sqlState(err error) string {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState()
	}
	return ""
}
