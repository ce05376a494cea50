package feed

import "time"

// WithPauses returns a configuration with other pauses between tries.
func (c Config) WithPauses(first, last time.Duration) Config {
	c.firstPause, c.lastPause = first, last
	return c
}

// WithLate returns a configuration by which a receiver is called late after so long.
func (c Config) WithLate(late time.Duration) Config {
	c.late = late
	return c
}

// WithLook returns a configuration by which a request is answered after it has looked for so long.
func (c PullConfig) WithLook(long time.Duration) PullConfig {
	c.look = long
	return c
}
