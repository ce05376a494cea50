package clerktest

// Person begins the fields of a user. Its methods add to them and return them:
//
//	clerktest.Person("Ada", "Lovelace").Email("ada@example.com").With("external_id", "42")
func Person(first, last string) Fields {
	return Fields{"first_name": first, "last_name": last}
}

// Email gives the user verified addresses, the first of them primary.
func (f Fields) Email(addresses ...string) Fields { return f.With("email_address", addresses) }

// With sets a member, by the name that Clerk's Backend API has for it, and
// returns the same fields, or others if they are nil.
func (f Fields) With(name string, value any) Fields {
	if f == nil {
		f = Fields{}
	}
	f[name] = value
	return f
}

// MustCreateUser is CreateUser for tests: it panics where CreateUser returns
// an error.
func (c *Clerk) MustCreateUser(fields Fields) (id string) {
	id, err := c.CreateUser(fields)
	if err != nil {
		panic(err)
	}
	return id
}
