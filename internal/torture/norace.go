//go:build !race

package torture

const race = false
