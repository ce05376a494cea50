package main

import (
	"io"
	"sync"

	"github.com/schollz/progressbar/v3"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/reconcile"
)

// bar shows a full pass's progress on a terminal; elsewhere it shows nothing.
type bar struct {
	w   io.Writer
	mu  sync.Mutex
	bar *progressbar.ProgressBar
	of  clerksync.Kind // what it counts
}

func newBar(w io.Writer) *bar { return &bar{w: w} }

func (b *bar) show(p reconcile.Progress) {
	if !isTerminal(b.w) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil && b.of != p.Kind {
		_ = b.bar.Clear()
		b.bar = nil
	}
	if b.bar == nil {
		b.of = p.Kind
		b.bar = progressbar.NewOptions64(p.Total, progressbar.OptionSetWriter(b.w), progressbar.OptionSetDescription(spaced(p.Kind)),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	}
	b.bar.ChangeMax64(max(p.Total, p.Seen, 1))
	_ = b.bar.Set64(p.Seen) // it only draws
}

// close takes the bar away.
func (b *bar) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		_ = b.bar.Clear()
		b.bar = nil
	}
}
