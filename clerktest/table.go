package clerktest

import (
	"cmp"
	"slices"
)

// head is what every object has that is not a user.
type head struct {
	id                   string
	seq                  int64 // order of creation
	createdAt, updatedAt int64
}

func (h *head) top() *head { return h }

// row is one state of an object. It is never changed after it was stored: a
// write stores a changed copy.
type row interface {
	comparable
	top() *head
	groups() []string // by what the row can be found, beside its id
}

// table holds the objects of one resource, sorted by creation: all of them, and
// those that share a group. The caller locks it.
type table[T row] struct {
	byID    map[string]T
	all     []T
	grouped map[string][]T
}

func newTable[T row]() *table[T] {
	return &table[T]{byID: map[string]T{}, grouped: map[string][]T{}}
}

func inOrder[T row](a, b T) int {
	x, y := a.top(), b.top()
	return cmp.Or(cmp.Compare(x.createdAt, y.createdAt), cmp.Compare(x.seq, y.seq))
}

// group returns the rows of a group in the order of creation. It is valid until
// the next write.
func (t *table[T]) group(name string) []T { return t.grouped[name] }

// first returns the oldest row of a group, nil if it has none.
func (t *table[T]) first(group string) (none T) {
	if list := t.grouped[group]; len(list) > 0 {
		return list[0]
	}
	return none
}

// put stores a new state of an object.
func (t *table[T]) put(r T) {
	if old, ok := t.byID[r.top().id]; ok {
		t.remove(old)
	}
	t.byID[r.top().id] = r
	t.all = inserted(t.all, r)
	for _, g := range r.groups() {
		t.grouped[g] = inserted(t.grouped[g], r)
	}
}

func inserted[T row](list []T, r T) []T {
	at, _ := slices.BinarySearchFunc(list, r, inOrder)
	return slices.Insert(list, at, r)
}

func (t *table[T]) remove(r T) {
	delete(t.byID, r.top().id)
	t.all = removed(t.all, r)
	for _, g := range r.groups() {
		t.keep(g, removed(t.grouped[g], r))
	}
}

func removed[T row](list []T, r T) []T {
	if at, found := slices.BinarySearchFunc(list, r, inOrder); found {
		return slices.Delete(list, at, at+1)
	}
	return list
}

// keep replaces a group, or forgets it if nothing is left.
func (t *table[T]) keep(group string, list []T) {
	if len(list) == 0 {
		delete(t.grouped, group)
		return
	}
	t.grouped[group] = list
}

// removeAll removes many rows at the cost of one walk, so that the end of a
// large organization does not take minutes.
func (t *table[T]) removeAll(rows []T) {
	gone, groups := map[T]bool{}, map[string]bool{}
	for _, r := range rows {
		gone[r] = true
		delete(t.byID, r.top().id)
		for _, g := range r.groups() {
			groups[g] = true
		}
	}
	isGone := func(r T) bool { return gone[r] }
	t.all = slices.DeleteFunc(t.all, isGone)
	for g := range groups {
		t.keep(g, slices.DeleteFunc(t.grouped[g], isGone))
	}
}

// fill stores rows that are not yet there.
func (t *table[T]) fill(rows []T) {
	slices.SortFunc(rows, inOrder)
	t.all = rows
	for _, r := range rows {
		t.byID[r.top().id] = r
		for _, g := range r.groups() {
			t.grouped[g] = append(t.grouped[g], r)
		}
	}
}
