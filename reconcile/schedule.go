package reconcile

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// CheckSchedule tells whether a text is a schedule as [Config] describes it. Its error is a sentence for the person who wrote it.
func CheckSchedule(spec string) error {
	_, err := parseSchedule(spec, func() string { return "" })
	return err
}

// parseSchedule reads a schedule; nil means "off". The cron library panics on some texts, accepts intervals below zero and dates
// that never come, and lets a text choose a time zone that the machine may not have.
func parseSchedule(spec string, instance func() string) (s cron.Schedule, err error) {
	defer func() {
		if recover() != nil {
			s, err = nil, fmt.Errorf("the schedule %q cannot be read", spec)
		}
	}()
	switch spec = strings.TrimSpace(spec); {
	case spec == "off":
		return nil, nil
	case spec == "@nightly":
		return nightly{instance}, nil
	case strings.Contains(spec, "TZ="):
		return nil, fmt.Errorf("the schedule %q names a time zone: schedules are in UTC, so leave it out", spec)
	case strings.HasPrefix(spec, "@every "):
		every, err := time.ParseDuration(strings.TrimSpace(strings.TrimPrefix(spec, "@every ")))
		if err != nil || every < time.Second {
			return nil, fmt.Errorf("the schedule %q needs an interval of at least a second, such as @every 6h", spec)
		}
	}
	s, err = cron.ParseStandard(spec)
	if err != nil {
		return nil, fmt.Errorf("the schedule %q is not a cron expression such as \"30 2 * * *\", nor @nightly nor off", spec)
	}
	if s.Next(time.Now().UTC()).IsZero() {
		return nil, errors.New("the schedule " + spec + " never comes: check its day and month")
	}
	return s, nil
}

// nightly is a schedule that comes once between 3 and 4. The minute is drawn from the instance's id, so that not everybody's
// passes meet Clerk at once, and is the same in every process.
type nightly struct{ instance func() string }

// Next implements cron.Schedule.
func (n nightly) Next(after time.Time) time.Time {
	h := fnv.New32a()
	h.Write([]byte(n.instance()))
	after = after.UTC()
	next := time.Date(after.Year(), after.Month(), after.Day(), 3, int(h.Sum32()%60), 0, 0, time.UTC)
	if !next.After(after) {
		next = next.AddDate(0, 0, 1)
	}
	return next
}
