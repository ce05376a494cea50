package feed

import "time"

// WithPauses returns a configuration with other pauses between tries.
func (c Config) WithPauses(first, last time.Duration) Config {
	c.firstPause, c.lastPause = first, last
	return c
}
