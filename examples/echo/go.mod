module github.com/clerksync/clerksync/examples/echo

go 1.26.0

replace github.com/clerksync/clerksync => ../..
