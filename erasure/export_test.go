package erasure

// WithWholeSearch sets up to how many visible objects a run looks through all of them.
func (c Config) WithWholeSearch(objects int64) Config {
	c.wholeSearch = objects
	return c
}
