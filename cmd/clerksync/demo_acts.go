package main

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/clerksync/clerksync/clerktest"
)

// maxActs bounds how many users sign up, and as many are deleted.
const maxActs = 500

// acts is what happens to users in Clerk: as many sign up as are deleted.
type acts struct {
	clerk    *clerktest.Server
	dice     *rand.Rand
	cast     []string // users who were there before
	count    int
	created  []string
	deleted  []string
	renamed  int
	marked   int
	banned   int
	signedIn int
}

func newActs(clerk *clerktest.Server, users int, seed uint64) *acts {
	a := &acts{clerk: clerk, dice: rand.New(rand.NewPCG(seed, 2)), count: min(max(users/10, 1), maxActs)}
	every := max(min(users, 50_000)/(4*a.count), 1)
	n := 0
	for id := range clerk.Users() {
		if n++; n%every == 0 {
			a.cast = append(a.cast, id)
		}
		if len(a.cast) == 4*a.count {
			break
		}
	}
	a.dice.Shuffle(len(a.cast), func(i, j int) { a.cast[i], a.cast[j] = a.cast[j], a.cast[i] })
	return a
}

// play lets everything happen. Of those who sign up every fourth changes and is deleted at once, so that the events of a whole
// life overtake each other.
func (a *acts) play() error {
	for i := range a.count {
		id, err := a.clerk.CreateUser(clerktest.Fields{
			"first_name": fmt.Sprintf("New %d", i), "email_address": []string{fmt.Sprintf("new.%d@example.com", i)},
		})
		if err != nil {
			return fmt.Errorf("signing up: %w", err)
		}
		a.created = append(a.created, id)
		if err := a.live(i, id); err != nil {
			return fmt.Errorf("changing a user: %w", err)
		}
	}
	return nil
}

// live lets one thing after another happen to a new user and to some old ones.
func (a *acts) live(i int, id string) error {
	old := a.cast[min(4*i, len(a.cast)):min(4*i+4, len(a.cast))]
	leaving := id
	if i%4 != 3 && len(old) > 0 {
		leaving, old = old[0], old[1:]
	}
	errs := []error{a.rename(id, i)}
	for j, other := range old {
		switch (i + j) % 4 {
		case 0:
			errs = append(errs, a.rename(other, i))
		case 1:
			a.marked++
			errs = append(errs, a.clerk.MergeMetadata(other, clerktest.Fields{"public_metadata": map[string]any{"plan": a.dice.IntN(10)}}))
		case 2:
			a.banned++
			errs = append(errs, a.clerk.BanUser(other))
		case 3:
			a.signedIn++
			_, err := a.clerk.CreateSession(other)
			errs = append(errs, err)
		}
	}
	a.deleted = append(a.deleted, leaving)
	return errors.Join(append(errs, a.clerk.DeleteUser(leaving))...)
}

func (a *acts) rename(id string, i int) error {
	a.renamed++
	return a.clerk.UpdateUser(id, clerktest.Fields{"last_name": fmt.Sprintf("Renamed %d", i)})
}

// living are those who signed up and are still there.
func (a *acts) living() (ids []string) {
	for _, id := range a.created {
		if a.clerk.User(id) != nil {
			ids = append(ids, id)
		}
	}
	return ids
}
