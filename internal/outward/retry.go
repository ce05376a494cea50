package outward

import (
	"errors"
	"strconv"
	"time"
)

// RetryAfter returns how long the seconds of a Retry-After ask to wait, at most so long; ok is false where there are none.
func RetryAfter(text string, most time.Duration) (pause time.Duration, ok bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // of a number that is too large it is the largest
		return 0, false
	}
	return time.Duration(max(min(n, int64(most/time.Second)), 0)) * time.Second, true // bounded first, since there are not as many nanoseconds
}
