//go:build !torture

package torture

const long = false
