package main

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/clerksync/clerksync/reconcile"
)

// stretch is how far a full pass came in some time.
type stretch struct {
	reconcile.Progress
	from int64 // objects that were seen before
	time time.Duration
}

// rate is how many objects were seen a second; 0 if that is not known.
func (s stretch) rate() float64 {
	if s.time < time.Second/10 {
		return 0
	}
	return float64(s.Seen-s.from) / s.time.Seconds()
}

// left is how long the rest takes at that rate; 0 if that is not known.
func (s stretch) left() time.Duration {
	if s.rate() <= 0 || s.Seen >= s.Total {
		return 0
	}
	return time.Duration(float64(s.Total-s.Seen) / s.rate() * float64(time.Second)).Round(time.Second)
}

// parts says it in words, what matters most first.
func (s stretch) parts() []string {
	all := []string{fmt.Sprintf("%s %d of %d", spaced(s.Kind), s.Seen, max(s.Total, s.Seen))}
	if left := s.left(); left > 0 {
		all = append(all, left.String()+" left")
	}
	if rate := s.rate(); rate > 0 {
		all = append(all, fmt.Sprintf("%.0f a second", rate))
	}
	return all
}

func (s stretch) String() string { return strings.Join(s.parts(), ", ") }

// bar shows how far a full pass is: on a terminal in a line that is drawn over, elsewhere by telling it now and then. What is written through
// the bar finds that line empty.
type bar struct {
	w    io.Writer
	tell func(stretch)

	mu    sync.Mutex
	first reconcile.Progress // of this kind, in this process
	began time.Time
	shown time.Time
	drawn bool
}

const (
	drawEvery = time.Second / 10
	tellEvery = 10 * time.Second
)

func newBar(w io.Writer) *bar { return &bar{w: w, tell: func(stretch) {}} }

// watched returns a bar for a command and the logger that does not disturb it.
func (s *settings) watched(c *cli.Command) (*bar, *slog.Logger) {
	b := newBar(c.Root().ErrWriter)
	log := newLogger(b, *s)
	b.tell = func(s stretch) {
		log.Info("the pass goes on", "resource", s.Kind, "seen", s.Seen, "total", s.Total, "per_second", math.Round(s.rate()), "left", s.left().String())
	}
	return b, log
}

func (b *bar) show(p reconcile.Progress) {
	if s, due := b.advance(p); due {
		b.tell(s)
	}
}

// advance draws the bar, or reports whether it is time to tell.
func (b *bar) advance(p reconcile.Progress) (s stretch, due bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.first.Kind != p.Kind || !b.first.Started.Equal(p.Started) {
		b.first, b.began, b.shown = p, now, time.Time{}
	}
	s = stretch{p, b.first.Seen, now.Sub(b.began)}
	switch {
	case redraws(b.w) && now.Sub(b.shown) >= drawEvery:
		width, _ := screen(b.w)
		fmt.Fprint(b.w, "\r\x1b[K", draw(s, width-1)) // the last column would begin another line
		b.drawn, b.shown = true, now
	case redraws(b.w):
	case b.shown.IsZero():
		b.shown = now // a short pass has nothing to tell
	case now.Sub(b.shown) >= tellEvery:
		b.shown, due = now, true
	}
	return s, due
}

// draw writes a stretch as a line no longer than so many characters: what is left of them is the bar's.
func draw(s stretch, width int) string {
	const least, most = 6, 40
	line := ""
	for _, part := range s.parts() {
		longer := strings.TrimPrefix(line+", "+part, ", ")
		if line != "" && len(longer) > width {
			break
		}
		line = longer
	}
	room := min(width-len(line)-1, most)
	if room < least {
		return line[:min(len(line), max(width, 0))]
	}
	done := int(float64(room) * float64(s.Seen) / float64(max(s.Total, s.Seen, 1)))
	return strings.Repeat("█", done) + strings.Repeat("░", room-done) + " " + line
}

// Write lets others write where the bar is drawn.
func (b *bar) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clear()
	return b.w.Write(p)
}

// Fd makes the bar a terminal where it is drawn on one.
func (b *bar) Fd() uintptr {
	if f, ok := b.w.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0) // no file
}

// close takes the bar away.
func (b *bar) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clear()
}

func (b *bar) clear() {
	if b.drawn {
		fmt.Fprint(b.w, "\r\x1b[K")
		b.drawn = false
	}
}
