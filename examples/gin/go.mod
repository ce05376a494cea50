module github.com/clerksync/clerksync/examples/gin

go 1.26.0

replace github.com/clerksync/clerksync => ../..
