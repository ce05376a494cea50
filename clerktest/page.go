package clerktest

import (
	"cmp"
	"iter"
	"maps"
	"slices"
)

// maxSorted bounds the orders and instances that are sorted in memory.
const maxSorted = 100_000

// users returns the users of a listing in its order, from its cursor on, without
// its limit. left is what the caller still has to skip of the offset.
func (s *store) users(l *listing) (list iter.Seq[*user], left int64, err *apiError) {
	numbers, left, err := s.numbers(l)
	if err != nil {
		return nil, 0, err
	}
	return func(yield func(*user) bool) {
		for seq, u := range numbers {
			if u == nil {
				u = s.pop.user(seq)
			}
			if l.match(u) && !yield(u) {
				return
			}
		}
	}, left, nil
}

// numbers returns the numbers and kept states of the users among which the
// listing's are, in its order. An offset that filters cannot change is skipped
// here, where it costs little.
func (s *store) numbers(l *listing) (list iter.Seq2[int64, *user], left int64, err *apiError) {
	from, to, err := s.window(l)
	if err != nil {
		return nil, 0, err
	}
	whole := len(l.matches) == 0
	switch {
	case len(l.chosen) > 0:
		return s.sorted(l, s.choose(l.chosen), from, to), l.offset, nil
	case l.order == "created_at" && whole:
		from, to = s.skip(from, to, l.offset, l.backwards)
		return s.created(from, to, l.backwards), 0, nil
	case l.order == "created_at":
		return s.created(from, to, l.backwards), l.offset, nil
	case l.order == "updated_at" && whole && from == s.start() && to == s.end():
		return without(s.updated(l.backwards), l.offset), 0, nil
	case l.order == "updated_at":
		return s.updated(l.backwards), l.offset, nil
	case s.count() > maxSorted:
		return nil, 0, unprocessable("emulator_limit", "too many users to sort",
			"The emulator sorts by "+l.order+" only up to 100,000 users. Use created_at or updated_at.", "order_by")
	}
	return s.sorted(l, s.all(), from, to), l.offset, nil
}

// without leaves out the first n of a sequence.
func without(list iter.Seq2[int64, *user], n int64) iter.Seq2[int64, *user] {
	return func(yield func(int64, *user) bool) {
		for seq, u := range list {
			if n > 0 {
				n--
			} else if !yield(seq, u) {
				return
			}
		}
	}
}

// window returns the places in the order of creation between which the listing
// lies: its window of created_at, shortened by its cursor.
func (s *store) window(l *listing) (from, to cut, err *apiError) {
	from = s.start()
	if l.createdAfter+1 > l.createdAfter { // no overflow
		from = s.cutBefore(l.createdAfter+1, -1)
	}
	to = s.cutBefore(l.createdBefore, -1)
	if l.after == "" {
		return from, to, nil
	}
	last := s.byID(l.after)
	if last == nil {
		return from, to, errNoCursor()
	}
	if l.backwards {
		to = earlier(to, s.cutBefore(last.createdAt, last.seq))
	} else {
		from = later(from, s.cutBefore(last.createdAt, last.seq+1))
	}
	return from, to, nil
}

func earlier(a, b cut) cut { return cut{min(a.generated, b.generated), min(a.added, b.added)} }
func later(a, b cut) cut   { return cut{max(a.generated, b.generated), max(a.added, b.added)} }

// skip moves the end at which the listing starts by offset users.
func (s *store) skip(from, to cut, offset int64, backwards bool) (cut, cut) {
	low, high := s.rank(from), s.rank(to)
	switch {
	case offset == 0:
		return from, to
	case offset >= high-low:
		return to, to
	case backwards:
		return from, s.cutAtRank(high - offset)
	}
	return s.cutAtRank(low + offset), to
}

// choose returns the users that carry one value of every chosen parameter.
func (s *store) choose(all []chosen) iter.Seq[*user] {
	found := map[int64]*user{}
	for i, c := range all {
		these := map[int64]*user{}
		for _, value := range c.values {
			if u := s.byKey(key{c.name, value}); u != nil && (i == 0 || found[u.seq] != nil) {
				these[u.seq] = u
			}
		}
		found = these
	}
	return maps.Values(found)
}

func (s *store) all() iter.Seq[*user] {
	return func(yield func(*user) bool) {
		for seq, u := range s.created(s.start(), s.end(), false) {
			if u == nil {
				u = s.pop.user(seq)
			}
			if !yield(u) {
				return
			}
		}
	}
}

// sorted sorts users in memory, those between two places only.
func (s *store) sorted(l *listing, users iter.Seq[*user], from, to cut) iter.Seq2[int64, *user] {
	compare := comparison(l.order)
	list := slices.SortedFunc(users, func(a, b *user) int {
		order := compare(a, b)
		if l.backwards {
			order = -order
		}
		return order
	})
	return func(yield func(int64, *user) bool) {
		for _, u := range list {
			place := s.cutBefore(u.createdAt, u.seq)
			inside := place.generated >= from.generated && place.added >= from.added &&
				(place.generated < to.generated || place.added < to.added)
			if inside && !yield(u.seq, u) {
				return
			}
		}
	}
}

// comparison returns the ascending order by a property: missing values last,
// ties in the order of creation.
func comparison(order string) func(a, b *user) int {
	text := func(property func(*user) *string) func(a, b *user) int {
		return func(a, b *user) int { return cmp.Or(compareNullable(property(a), property(b)), byCreation(a, b)) }
	}
	number := func(property func(*user) *int64) func(a, b *user) int {
		return func(a, b *user) int { return cmp.Or(compareNullable(property(a), property(b)), byCreation(a, b)) }
	}
	switch order {
	case "updated_at":
		return byUpdate
	case "email_address":
		return text(func(u *user) *string { return primary(u.emails, u.primaryEmail) })
	case "web3wallet":
		return text(func(u *user) *string { return primary(u.wallets, u.primaryWallet) })
	case "phone_number":
		return text(func(u *user) *string { return primary(u.phones, u.primaryPhone) })
	case "first_name":
		return text(func(u *user) *string { return u.firstName })
	case "last_name":
		return text(func(u *user) *string { return u.lastName })
	case "username":
		return text(func(u *user) *string { return u.username })
	case "last_active_at":
		return number(func(u *user) *int64 { return u.lastActiveAt })
	case "last_sign_in_at":
		return number(func(u *user) *int64 { return u.lastSignInAt })
	}
	return byCreation
}

func compareNullable[T cmp.Ordered](a, b *T) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return cmp.Compare(*a, *b)
}
