//go:build torture

package torture

const long = true
