//go:build !race

package clerksync_test

// worlds is how many random worlds each database gets.
const worlds = 200
