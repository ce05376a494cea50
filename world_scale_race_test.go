//go:build race

package clerksync_test

// worlds is how many random worlds each database gets. The race detector makes everything several times slower, so it gets fewer.
const worlds = 20
