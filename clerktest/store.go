package clerktest

import (
	"cmp"
	"iter"
	"slices"
	"sort"
)

// store holds every user: the generated ones by arithmetic, and in memory only
// those that were created, changed or deleted since. The caller locks it.
type store struct {
	pop     *population
	writes  int64           // how often a user was stored or removed
	next    int64           // seq of the next created user
	kept    map[int64]*user // created and changed users
	gone    []int64         // generated users that left their place, ascending
	added   []*user         // users outside the generated order, by (createdAt, seq)
	touched []*user         // every kept user, by (updatedAt, seq), and stale states of them
	index   map[key]int64   // keys of the kept users
}

func newStore(pop *population) *store {
	return &store{pop: pop, next: pop.n, kept: map[int64]*user{}, index: map[key]int64{}}
}

func (s *store) count() int64 { return s.pop.n - int64(len(s.gone)) + int64(len(s.added)) }

// at returns a user by its number, nil if there is none.
func (s *store) at(seq int64) *user {
	if u := s.kept[seq]; u != nil {
		return u
	}
	if seq < 0 || seq >= s.pop.n || s.isGone(seq) {
		return nil
	}
	return s.pop.user(seq)
}

// byID returns a user by its id, nil if there is none.
func (s *store) byID(id string) *user {
	seq, ok := s.pop.ids.number(kindUser, id)
	if !ok {
		return nil
	}
	if u := s.at(seq); u != nil && u.id == id {
		return u
	}
	return nil
}

// byKey returns the user that carries a key, nil if nobody does.
func (s *store) byKey(k key) *user {
	if k.name == byUserID {
		return s.byID(k.value)
	}
	seq, ok := s.index[k]
	if !ok {
		if seq, ok = s.pop.guess(k); !ok || s.kept[seq] != nil {
			return nil
		}
	}
	if u := s.at(seq); u != nil && slices.Contains(u.keys(), k) {
		return u
	}
	return nil
}

func (s *store) isGone(seq int64) bool {
	_, found := slices.BinarySearch(s.gone, seq)
	return found
}

func (s *store) goneBefore(seq int64) int64 {
	at, _ := slices.BinarySearch(s.gone, seq)
	return int64(at)
}

// put stores a new state of a user.
func (s *store) put(u *user) {
	s.writes++
	old := s.at(u.seq)
	if old != nil {
		s.forget(old)
	}
	switch inPlace := u.seq < s.pop.n && !s.isGone(u.seq); {
	case inPlace && u.createdAt != old.createdAt:
		at, _ := slices.BinarySearch(s.gone, u.seq)
		s.gone = slices.Insert(s.gone, at, u.seq)
		fallthrough
	case !inPlace:
		at, _ := slices.BinarySearchFunc(s.added, u, byCreation)
		s.added = slices.Insert(s.added, at, u)
	}
	for _, k := range u.keys() {
		s.index[k] = u.seq
	}
	s.kept[u.seq] = u
	at, _ := slices.BinarySearchFunc(s.touched, u, byUpdate)
	s.touched = slices.Insert(s.touched, at, u)
	s.compact()
}

// remove deletes a user.
func (s *store) remove(u *user) {
	s.writes++
	s.forget(u)
	if u.seq < s.pop.n && !s.isGone(u.seq) {
		at, _ := slices.BinarySearch(s.gone, u.seq)
		s.gone = slices.Insert(s.gone, at, u.seq)
	}
	s.compact()
}

// forget takes the present state of a user out of every structure.
func (s *store) forget(u *user) {
	for _, k := range u.keys() {
		if s.index[k] == u.seq {
			delete(s.index, k)
		}
	}
	if at, found := slices.BinarySearchFunc(s.added, u, byCreation); found {
		s.added = slices.Delete(s.added, at, at+1)
	}
	delete(s.kept, u.seq)
}

// compact drops the stale states once they are more than the valid ones, so a
// change costs no search through touched.
func (s *store) compact() {
	if len(s.touched) > 2*len(s.kept)+1024 {
		s.touched = slices.DeleteFunc(s.touched, func(u *user) bool { return s.kept[u.seq] != u })
	}
}

func byCreation(a, b *user) int {
	return cmp.Or(cmp.Compare(a.createdAt, b.createdAt), cmp.Compare(a.seq, b.seq))
}

func byUpdate(a, b *user) int {
	return cmp.Or(cmp.Compare(a.updatedAt, b.updatedAt), cmp.Compare(a.seq, b.seq))
}

// cut is a place in the order of creation: so many generated users (gone ones
// counted) and so many added users lie before it.
type cut struct{ generated, added int64 }

func (s *store) start() cut { return cut{} }
func (s *store) end() cut   { return cut{s.pop.n, int64(len(s.added))} }

// cutBefore returns the place just before everything at or after (createdAt, seq).
func (s *store) cutBefore(createdAt, seq int64) cut {
	after := func(c, n int64) bool { return c > createdAt || c == createdAt && n >= seq }
	return cut{
		generated: s.pop.search(func(i int64) bool { return after(s.pop.createdAt(i), i) }),
		added:     int64(sort.Search(len(s.added), func(i int) bool { return after(s.added[i].createdAt, s.added[i].seq) })),
	}
}

// rank returns how many users lie before a place.
func (s *store) rank(c cut) int64 { return c.generated - s.goneBefore(c.generated) + c.added }

// cutAtRank returns a place with rank users before it.
func (s *store) cutAtRank(rank int64) cut {
	place := func(i int64) cut { return s.cutBefore(s.pop.createdAt(i), i) }
	i := s.pop.search(func(i int64) bool { return s.rank(place(i)) > rank })
	c := s.start()
	if i > 0 {
		c = place(i - 1)
	}
	rest := rank - s.rank(c)
	if rest > 0 && i > 0 {
		if !s.isGone(c.generated) {
			rest--
		}
		c.generated++
	}
	c.added += rest
	return c
}

// created yields the numbers and kept states of the users between two places
// in the order of creation, or backwards. The state is nil for a generated
// user nobody has changed.
func (s *store) created(from, to cut, backwards bool) iter.Seq2[int64, *user] {
	return func(yield func(int64, *user) bool) {
		if from.generated > to.generated || from.added > to.added {
			return // an empty window
		}
		for from != to {
			var takeAdded bool
			place := &from
			if backwards {
				place = &to
				takeAdded = from.added < to.added && (from.generated == to.generated || s.addedIsLater(to.generated-1, to.added-1))
			} else {
				takeAdded = from.added < to.added && (from.generated == to.generated || !s.addedIsLater(from.generated, from.added))
			}
			seq, u := s.step(place, takeAdded, backwards)
			if (takeAdded || !s.isGone(seq)) && !yield(seq, u) {
				return
			}
		}
	}
}

// step moves a place over one user and returns it.
func (s *store) step(place *cut, takeAdded, backwards bool) (int64, *user) {
	at := *place
	move := int64(1)
	if backwards {
		move = -1
		at = cut{at.generated - 1, at.added - 1}
	}
	if takeAdded {
		place.added += move
		return s.added[at.added].seq, s.added[at.added]
	}
	place.generated += move
	return at.generated, s.kept[at.generated]
}

// addedIsLater compares a generated with an added user.
func (s *store) addedIsLater(generated, added int64) bool {
	u := s.added[added]
	created := s.pop.createdAt(generated)
	return u.createdAt > created || u.createdAt == created && u.seq > generated
}

// updated yields all users by (updatedAt, seq), or backwards.
func (s *store) updated(backwards bool) iter.Seq2[int64, *user] {
	return func(yield func(int64, *user) bool) {
		i, t, move := int64(0), 0, 1
		if backwards {
			i, t, move = s.pop.n-1, len(s.touched)-1, -1
		}
		for {
			for ; t >= 0 && t < len(s.touched) && s.kept[s.touched[t].seq] != s.touched[t]; t += move {
			}
			for ; i >= 0 && i < s.pop.n && (s.kept[i] != nil || s.isGone(i)); i += int64(move) {
			}
			hasTouched, hasGenerated := t >= 0 && t < len(s.touched), i >= 0 && i < s.pop.n
			switch {
			case !hasTouched && !hasGenerated:
				return
			case hasTouched && (!hasGenerated || s.touchedFirst(s.touched[t], i) != backwards):
				if !yield(s.touched[t].seq, s.touched[t]) {
					return
				}
				t += move
			default:
				if !yield(i, nil) {
					return
				}
				i += int64(move)
			}
		}
	}
}

func (s *store) touchedFirst(u *user, generated int64) bool {
	updated := s.pop.updatedAt(generated)
	return u.updatedAt < updated || u.updatedAt == updated && u.seq < generated
}
