package clerktest

import (
	"fmt"
	"iter"
	"sort"
)

// objects are the tables of everything but users.
type objects struct {
	organizations  *table[*organization]
	memberships    *table[*membership]
	orgInvitations *table[*orgInvitation]
	invitations    *table[*invitation]
	domains        *table[*domain]
	roles          *table[*role]
	permissions    *table[*permission]
	sessions       *table[*session]
}

func newObjects() objects {
	return objects{newTable[*organization](), newTable[*membership](), newTable[*orgInvitation](), newTable[*invitation](),
		newTable[*domain](), newTable[*role](), newTable[*permission](), newTable[*session]()}
}

// newHead begins an object. The caller holds mu.
func (c *Clerk) newHead(k kind) head { return c.newHeadAt(k, c.nowMilli()) }

func (c *Clerk) newHeadAt(k kind, at int64) head {
	c.serial++
	return head{id: c.ids.id(k, madeLater, c.serial, at), seq: c.serial, createdAt: at, updatedAt: at}
}

// later is the updated_at of a change: now, and always after the last one.
func (c *Clerk) later(h *head) int64 { return max(c.nowMilli(), h.updatedAt+1) }

// made returns the id of what a write made.
func made[T row](r T, err *apiError) (string, error) {
	if err != nil {
		return "", err
	}
	return r.top().id, nil
}

// Resources returns the names of the resources that Object and Objects know:
// the paths of Clerk's instance-wide listings.
func Resources() []string {
	return []string{"users", "organizations", "organization_memberships", "organization_invitations", "invitations", "sessions",
		"organization_domains", "organization_roles", "organization_permissions"}
}

// view is one resource, seen as ids and JSON. Its functions need mu.
type view struct {
	size  func() int
	page  func(h head) []head // the next ones in the order of creation
	write func(w *writer, id string) bool
}

func (c *Clerk) view(resource string) view {
	switch resource {
	case "users":
		return view{func() int { return int(c.store.count()) }, nil, func(w *writer, id string) bool {
			u := c.store.byID(id)
			if u != nil {
				w.listUser("", u)
			}
			return u != nil
		}}
	case "sessions":
		return viewOf(c.sessions, func(w *writer, s *session) { c.session(w, "", s, nil) })
	case "organizations":
		return viewOf(c.organizations, func(w *writer, o *organization) { c.organization(w, "", o, counts{}) })
	case "organization_memberships":
		return viewOf(c.memberships, func(w *writer, m *membership) { c.membership(w, "", m) })
	case "organization_invitations":
		return viewOf(c.orgInvitations, func(w *writer, i *orgInvitation) { c.orgInvitation(w, "", i, true) })
	case "invitations":
		return viewOf(c.invitations, func(w *writer, i *invitation) { c.invitation(w, "", i) })
	case "organization_domains":
		return viewOf(c.domains, func(w *writer, d *domain) { c.domain(w, "", d) })
	case "organization_roles":
		return viewOf(c.roles, func(w *writer, r *role) { c.role(w, "", r) })
	case "organization_permissions":
		return viewOf(c.permissions, func(w *writer, p *permission) { w.permission("", p) })
	}
	panic(fmt.Sprintf("clerktest: there is no resource %q", resource))
}

func viewOf[T row](t *table[T], write func(w *writer, r T)) view {
	return view{
		size: func() int { return len(t.all) },
		page: func(h head) (out []head) {
			from := sort.Search(len(t.all), func(i int) bool { return isAfter(t.all[i].top(), h) })
			for _, r := range t.all[from:min(len(t.all), from+maxLimit)] {
				out = append(out, *r.top())
			}
			return out
		},
		write: func(w *writer, id string) bool {
			r, ok := t.byID[id]
			if ok {
				write(w, r)
			}
			return ok
		},
	}
}

func isAfter(a *head, b head) bool {
	return a.createdAt > b.createdAt || a.createdAt == b.createdAt && a.seq > b.seq
}

// Object returns an object of a resource as the instance-wide listing renders
// it, a session as GET /v1/sessions does; nil if there is none. It panics on a
// resource that is not in Resources.
func (c *Clerk) Object(resource, id string) []byte {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var w writer
	if !c.view(resource).write(&w, id) {
		return nil
	}
	return w.buf
}

// Objects yields id and JSON of every object of a resource in the order of
// creation, the JSON as Object returns it. Objects that are created or deleted
// meanwhile may or may not be among them.
func (c *Clerk) Objects(resource string) iter.Seq2[string, []byte] {
	v := c.view(resource)
	if resource == "users" {
		return c.Users()
	}
	return c.walk(v.page, v.write)
}

// Sessions yields id and JSON of every session in the order of creation, the
// JSON as the data of a webhook has it: with the whole user.
func (c *Clerk) Sessions() iter.Seq2[string, []byte] {
	return c.walk(c.view("sessions").page, func(w *writer, id string) bool {
		s := c.sessions.byID[id]
		w.webhook = true
		c.session(w, "", s, c.store.byID(s.userID))
		return true
	})
}

// walk yields what write writes, a page at a time, so that nobody waits for a
// lock that the loop's body holds.
func (c *Clerk) walk(page func(head) []head, write func(*writer, string) bool) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for last := (head{createdAt: -1 << 63}); ; {
			c.mu.RLock()
			heads := page(last)
			texts := make([][]byte, len(heads))
			for i, h := range heads {
				var w writer
				write(&w, h.id)
				texts[i] = w.buf
			}
			c.mu.RUnlock()
			for i, h := range heads {
				if !yield(h.id, texts[i]) {
					return
				}
			}
			if len(heads) == 0 {
				return
			}
			last = heads[len(heads)-1]
		}
	}
}

// counts returns the sizes of all resources. The caller holds mu.
func (c *Clerk) counts() map[string]int {
	out := map[string]int{}
	for _, resource := range Resources() {
		out[resource] = c.view(resource).size()
	}
	return out
}
