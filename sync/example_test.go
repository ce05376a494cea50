package sync_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
)

// site is a Clerk with two users and their organization, and a migrated database that knows nothing of them and has a table of the
// application's own, projects.
func site() (there *clerktest.Server, db *sqlx.DB, end func()) {
	t, end := pgtest.Example()
	there = clerktest.NewServer(t, clerktest.Config{})
	ada := there.MustCreateUser(clerktest.Person("Ada", "Lovelace").Email("ada@example.com").With("external_id", "42"))
	bob := there.MustCreateUser(clerktest.Person("Bob", "Hope").Email("bob@example.com"))
	lab, err := there.CreateOrganization(clerktest.Fields{"name": "Lab", "created_by": ada})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := there.AddMember(lab, bob, "org:member"); err != nil {
		log.Fatal(err)
	}
	db = pgtest.New(t)
	pgtest.Superuser(t, db).MustExec(`CREATE TABLE projects (owner text PRIMARY KEY, name text); GRANT ALL ON projects TO PUBLIC`)
	return there, db, end
}

// everybody are the kinds of objects that these examples mirror.
var everybody = []clerksync.Kind{clerksync.Users, clerksync.Organizations, clerksync.OrganizationMemberships}

// mirrored is a mirror of that Clerk after its first pass.
func mirrored(cfg clerksync.Config) (context.Context, *clerksync.Mirror, *clerktest.Server, func()) {
	ctx := context.Background()
	there, db, end := site()
	cfg.Kinds, cfg.Unprepared, cfg.ReadMargin = everybody, pgtest.Unprepared(), -1
	mirror, err := clerksync.Open(ctx, db, cfg)
	if err != nil {
		log.Fatal(err)
	}
	pass(ctx, mirror, there)
	return ctx, mirror, there, end
}

// pass brings the mirror to what Clerk has.
func pass(ctx context.Context, mirror *clerksync.Mirror, there *clerktest.Server) {
	if _, err := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api(there)}).RunOnce(ctx); err != nil {
		log.Fatal(err)
	}
}

// api reads the emulator, where an application has its secret key and nothing else.
func api(there *clerktest.Server) *clerksync.API {
	api, err := clerksync.NewAPI(clerksync.APIConfig{
		SecretKey: there.SecretKey(), URL: there.URL(), RateLimit: -1, Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err != nil {
		log.Fatal(err)
	}
	return api
}

// A mirror on the application's database, and a first pass that fills it: the shortest way from an empty database to a query.
func Example() {
	ctx := context.Background()
	there, db, end := site() // with a real account: sqlx.Open("postgres", os.Getenv("DATABASE_URL"))
	defer end()

	mirror, err := clerksync.Open(ctx, db, clerksync.Config{Unprepared: pgtest.Unprepared()})
	if err != nil {
		log.Fatal(err)
	}
	report, err := reconcile.New(reconcile.Config{Mirror: mirror, Clerk: api(there)}).RunOnce(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Resources[clerksync.Users].Created, "users copied")

	user, err := mirror.UserByEmail(ctx, "ada@example.com")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(*user.FirstName, *user.LastName)
	// Output:
	// 2 users copied
	// Ada Lovelace
}

// What is not mirrored is said at once, and not found to be missing later.
func ExampleOpen() {
	ctx := context.Background()
	_, db, end := site()
	defer end()

	_, err := clerksync.Open(ctx, db, clerksync.Config{Kinds: []clerksync.Kind{"groups"}})
	fmt.Println(err)

	mirror, err := clerksync.Open(ctx, db, clerksync.Config{
		Kinds:      []clerksync.Kind{clerksync.Users, clerksync.Organizations, clerksync.OrganizationMemberships},
		Unprepared: pgtest.Unprepared(),
	})
	fmt.Println(mirror.Mirrors(clerksync.Organizations), mirror.Mirrors(clerksync.Sessions), err)
	// Output:
	// opening the mirror: there is no kind "groups"
	// true false <nil>
}

// A program that has a *sql.DB wraps it, and names the driver.
func ExampleOpen_sqlDB() {
	ctx := context.Background()
	_, db, end := site()
	defer end()
	own := db.DB // a *sql.DB

	mirror, err := clerksync.Open(ctx, sqlx.NewDb(own, db.DriverName()), clerksync.Config{Unprepared: pgtest.Unprepared()}) // such as "pgx"
	if err != nil {
		log.Fatal(err)
	}
	_, err = mirror.User(ctx, "user_unknown")
	fmt.Println(err)
	// Output: reading a user: not found
}

// A user by Clerk's id. Whoever was deleted is not returned.
func ExampleMirror_User() {
	ctx, mirror, there, end := mirrored(clerksync.Config{})
	defer end()
	ada, err := mirror.UserByEmail(ctx, "ada@example.com")
	if err != nil {
		log.Fatal(err)
	}

	user, err := mirror.User(ctx, ada.ID)
	fmt.Println(*user.FirstName, err)

	if err := there.DeleteUser(ada.ID); err != nil {
		log.Fatal(err)
	}
	pass(ctx, mirror, there) // or the webhook, a second later
	_, err = mirror.User(ctx, ada.ID)
	fmt.Println(errors.Is(err, clerksync.ErrDeleted))
	_, err = mirror.User(ctx, "user_unknown")
	fmt.Println(errors.Is(err, clerksync.ErrNotFound))
	// Output:
	// Ada <nil>
	// true
	// true
}

// A user by the primary e-mail address.
func ExampleMirror_UserByEmail() {
	ctx, mirror, _, end := mirrored(clerksync.Config{})
	defer end()

	user, err := mirror.UserByEmail(ctx, "bob@example.com")
	if err != nil {
		log.Fatal(err)
	}
	if user.EmailVerified != nil && *user.EmailVerified {
		fmt.Println(*user.FirstName, "has proved that this address is his")
	}
	_, err = mirror.UserByEmail(ctx, "nobody@example.com")
	fmt.Println(err)
	// Output:
	// Bob has proved that this address is his
	// reading a user by e-mail: not found
}

// All users, however many, without holding a connection meanwhile.
func ExampleMirror_Users() {
	ctx, mirror, _, end := mirrored(clerksync.Config{})
	defer end()

	for user, err := range mirror.Users(ctx, clerksync.UserFilter{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(*user.Email)
	}
	// Unordered output:
	// ada@example.com
	// bob@example.com
}

// The user who has an id of the application's own.
func ExampleMirror_Users_externalID() {
	ctx, mirror, _, end := mirrored(clerksync.Config{})
	defer end()

	for user, err := range mirror.Users(ctx, clerksync.UserFilter{ExternalID: "42"}) {
		fmt.Println(*user.FirstName, err)
	}
	// Output: Ada <nil>
}

// The organizations that a user belongs to, and his role in each.
func ExampleMirror_OrganizationsOf() {
	ctx, mirror, _, end := mirrored(clerksync.Config{})
	defer end()
	ada, err := mirror.UserByEmail(ctx, "ada@example.com")
	if err != nil {
		log.Fatal(err)
	}

	for m, err := range mirror.OrganizationsOf(ctx, ada.ID) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(*m.Organization.Name, m.HasRole("org:admin"))
	}
	// Output: Lab true
}

// The members of an organization.
func ExampleMirror_MembersOf() {
	ctx, mirror, there, end := mirrored(clerksync.Config{})
	defer end()
	for lab := range there.Objects("organizations") {
		for m, err := range mirror.MembersOf(ctx, lab) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(*m.User.FirstName, *m.Role)
		}
	}
	// Unordered output:
	// Ada org:admin
	// Bob org:member
}

// What typed calls do not tell is a query away: the mirror's tables and views are in the application's own database.
func ExampleMirror_SQL() {
	ctx, mirror, _, end := mirrored(clerksync.Config{})
	defer end()

	var domains []struct {
		Domain string `db:"domain"`
		Users  int    `db:"users"`
	}
	err := mirror.DB().SelectContext(ctx, &domains, mirror.SQL(`
SELECT split_part(email, '@', 2) AS domain, count(*) AS users
FROM {active_users} -- which is clerk.active_users
WHERE created_at > now() - interval '1 day'
GROUP BY 1 ORDER BY 2 DESC`))
	fmt.Println(domains, err)
	// Output: [{example.com 2}] <nil>
}

// A default project for every user: it is there when the user is, or neither is.
func ExampleHooks() {
	ctx, mirror, there, end := mirrored(clerksync.Config{Hooks: clerksync.Hooks{clerksync.Users: {
		Initial: true, // also for those who are older than the mirror
		OnCreated: func(ctx context.Context, tx *sqlx.Tx, t clerksync.Transition) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO projects (owner, name) VALUES ($1, 'My first project')`, t.ObjectID)
			return err
		},
	}}})
	defer end()
	there.MustCreateUser(clerktest.Person("Grace", "Hopper"))
	pass(ctx, mirror, there)

	var projects int
	err := mirror.DB().GetContext(ctx, &projects, `SELECT count(*) FROM projects JOIN clerk.active_users AS u ON u.id = owner`)
	fmt.Println(projects, err)
	// Output: 3 <nil>
}

// A cache of one's own that forgets what has changed.
func ExampleMirror_Watch() {
	ctx, mirror, there, end := mirrored(clerksync.Config{})
	defer end()

	forgotten := make(chan string, 10)
	stop := mirror.Watch(func(c clerksync.Commit) {
		for _, change := range c.Changes {
			forgotten <- change.ObjectID
		}
	})
	defer stop()

	grace := there.MustCreateUser(clerktest.Person("Grace", "Hopper"))
	pass(ctx, mirror, there)
	fmt.Println(<-forgotten == grace)
	// Output: true
}

// The change feed, read by a cursor of one's own: in the order of commits, without a hole.
func ExampleMirror_Changes() {
	ctx, mirror, there, end := mirrored(clerksync.Config{})
	defer end()
	_, cursor, err := mirror.FeedEnds(ctx) // only what comes from now on
	if err != nil {
		log.Fatal(err)
	}
	grace := there.MustCreateUser(clerktest.Person("Grace", "Hopper"))
	pass(ctx, mirror, there)
	if err := there.BanUser(grace); err != nil {
		log.Fatal(err)
	}
	pass(ctx, mirror, there)

	changes, err := mirror.Changes(ctx, cursor, 100)
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range changes {
		fmt.Println(c.Kind, c.Op, c.Version) // and c.Seq is what to ask for after, also tomorrow
	}
	// Output:
	// users created 1
	// users updated 2
}

// Reading one user again by Clerk's id, whatever webhooks said.
func ExampleReader_Get() {
	ctx, mirror, there, end := mirrored(clerksync.Config{})
	defer end()
	grace := there.MustCreateUser(clerktest.Person("Grace", "Hopper"))

	reader := clerksync.NewReader(mirror, api(there), clerksync.Resync)
	evidence, err := reader.Get(ctx, clerksync.Users, grace)
	if err != nil {
		log.Fatal(err)
	}
	results, err := mirror.Apply(ctx, evidence)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(results[0].Outcome)
	// Output: created
}
