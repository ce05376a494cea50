module github.com/clerksync/clerksync/examples/chi

go 1.26.0

replace github.com/clerksync/clerksync => ../..
