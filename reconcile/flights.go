package reconcile

import (
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/crash"
)

// maxFlights is how many pages' news are applied behind the walk: while the database works on one, the next one is decoded.
const maxFlights = 2

// flights are the news of pages that are being applied while the walk goes on. The zero value has none. It is for one walk.
type flights struct {
	group *errgroup.Group
}

// begin applies news. It waits while too many are on their way.
func (f *flights) begin(apply func() error) {
	if f.group == nil {
		f.group = &errgroup.Group{}
		f.group.SetLimit(maxFlights)
	}
	f.group.Go(crash.Contained(apply))
}

// land waits until all news are applied, and returns the first error of those that were not.
func (f *flights) land() error {
	if f.group == nil {
		return nil
	}
	err := f.group.Wait()
	f.group = nil
	return err
}
