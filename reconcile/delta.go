package reconcile

import (
	"context"
	"net/url"
	"strconv"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// The pages of a delta pass. The first one is small, since it usually is the only one. Each later one overlaps with the one before,
// if that was whole, since users that are deleted meanwhile move the rest up.
const (
	firstDelta   = 100
	deltaOverlap = 10
)

// watermark is the value of the key of that name of the state table: what was changed earlier, the mirror has. It is when the last change
// was that a pass saw, or so long before that pass that nothing of then was still to be seen by it.
type watermark struct {
	At int64 `json:"at"` // in Unix milliseconds, by Clerk's clock
}

// delta runs the delta pass: from the last change back to the watermark and, since an update may become visible late and clocks
// differ, a little farther.
func (l *leg) delta(ctx context.Context) error {
	began := time.Now().UnixMilli()
	mark, err := l.watermark(ctx)
	if err != nil {
		return err
	}
	enough := mark.At - l.unsettled().Milliseconds()
	newest := mark.At
	for offset, limit := 0, firstDelta; ; limit = pageSize {
		page, err := l.reader.List(ctx, l.kind, url.Values{
			"order_by": {"-updated_at"}, "limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset)}})
		if err != nil {
			return err
		}
		if err := l.merge(ctx, page); err != nil {
			return err
		}
		l.counts.Seen += int64(len(page))
		oldest := began
		for _, s := range page {
			if s.Updated != clerksync.Never {
				newest, oldest = max(newest, s.Updated), s.Updated
			}
		}
		if len(page) == 0 || oldest < enough { // a page that is short may have been cut
			break
		}
		offset += len(page)
		if len(page) == limit {
			offset -= deltaOverlap
		}
	}
	l.report.Complete = true
	next := min(began, newest)
	if _, skewed := l.mirror.Skew(); !skewed && l.counts.Seen > 0 { // or while nobody else changes, each pass would read the last import again
		next = max(next, began-l.unsettled().Milliseconds())
	}
	if next > mark.At && !l.order.DryRun {
		return l.mirror.WriteState(ctx, "watermark", watermark{At: next})
	}
	return nil
}

// watermark returns how far the last delta pass came or, before the first one, when the last complete full pass began.
func (p *pass) watermark(ctx context.Context) (watermark, error) {
	var mark watermark
	found, err := p.mirror.ReadState(ctx, "watermark", &mark)
	if err != nil || found {
		return mark, err
	}
	began, found, err := lastFull(ctx, p.mirror)
	if err == nil && !found {
		err = ErrFullPassDue
	}
	return watermark{At: began.UnixMilli()}, err
}
