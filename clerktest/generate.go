package clerktest

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

// The properties that are drawn for every generated user.
const (
	traitTieOfEight = iota + 1
	traitTieOfTwo
	traitJitter
	traitNameless
	traitFirstName
	traitLastName
	traitHandle
	traitEmails
	traitGoogle
	traitPhone
	traitWallet
	traitUsername
	traitExternalID
	traitPublic
	traitUnsafe
	traitPrivate
	traitBanned
	traitLocked
	traitPassword
	traitMFA
	traitSignIn
	traitActive
	traitLegal
)

const (
	// +888 is not assigned to any country, so no number belongs to anybody.
	phonePrefix    = "+888"
	externalPrefix = "crm-"
	day            = 24 * 60 * 60 * 1000
)

// Names as people have them: accents, other scripts, an apostrophe, quotes, an
// emoji, a surname that is a word of SQL.
var (
	firstNames = []string{
		"Ada", "José", "Łukasz", "Thị Hương", "美玲", "محمد", "Ólafur", "Zoë", "Anne-Marie", "Иван",
		"Πέτρος", "Sinéad", "Bobby \"B\"", "राज", "유진", "Grace", "Linus", "Margaret", "Ngozi", "Ana 🌻",
		"D'Andre", "Katherine", "Alan", "Barbara", "Edsger", "Frances", "Ken", "Radia", "Sophie", "Tim",
		"Vint", "Yukihiro",
	}
	lastNames = []string{
		"Lovelace", "García Márquez", "Wiśniewski", "Nguyễn", "李", "الخوارزمي", "Þórsson", "O'Brien",
		"van der Berg", "Петров", "Παπαδόπουλος", "Null", "Müller-Lüdenscheidt", "शर्मा", "김", "Hopper",
		"Torvalds", "Hamilton", "Okonkwo", "Select", "Smith", "Johnson", "Turing", "Liskov", "Dijkstra",
		"Allen", "Thompson", "Perlman", "Wilson", "Berners-Lee", "Cerf", "Matsumoto",
	}
	handles = []string{
		"ada", "jose", "lukas", "huong", "mei", "mo", "olaf", "zoe", "am", "ivan", "petros", "sinead",
		"bobby", "raj", "yujin", "grace",
	}
	domains = []string{"example.com", "example.org", "example.net", "mail.example.com"}
)

// pick returns the member of list that property draws for user i.
func pick[T any](p *population, i int64, property uint64, list []T) T {
	return list[p.trait(i, property)%uint64(len(list))]
}

// user returns the generated user of an index in [0, n).
func (p *population) user(i int64) *user {
	u := &user{seq: i, createdAt: p.createdAt(i), deleteSelf: true, createOrgs: true}
	u.updatedAt = u.createdAt + settled
	u.id = p.ids.id(kindUser, 0, i, u.createdAt)
	if !p.one(i, traitNameless, 12) {
		u.firstName = new(pick(p, i, traitFirstName, firstNames))
		if !p.one(i, traitNameless, 19) {
			u.lastName = new(pick(p, i, traitLastName, lastNames))
		}
	}
	if p.one(i, traitUsername, 3) {
		u.username = new(pick(p, i, traitHandle, handles) + "_" + strconv.FormatInt(i, 36))
	}
	if p.one(i, traitExternalID, 4) {
		u.externalID = new(externalPrefix + strconv.FormatInt(i, 10))
	}
	p.addIdentifiers(u)
	p.addMetadata(u)
	p.addSecurity(u)
	p.addActivity(u)
	return u
}

func (p *population) addIdentifiers(u *user) {
	i := u.seq
	count := 1
	switch draw := p.trait(i, traitEmails) % 30; {
	case draw < 2:
		count = 0
	case draw < 6:
		count = int(draw) - 1 + int(draw+1)%2 // 2 to 4
	}
	for sub := range count {
		u.emails = append(u.emails, p.email(u, sub))
	}
	if count > 0 {
		u.primaryEmail = &u.emails[count-1].id
		if p.one(i, traitGoogle, 3) {
			p.addGoogle(u)
		}
	}
	if p.one(i, traitPhone, 5) {
		u.phones = []identifier{{id: p.ids.id(kindPhone, 0, i, u.createdAt), value: fmt.Sprintf("%s%09d", phonePrefix, i),
			status: "verified", strategy: "phone_code", createdAt: u.createdAt, updatedAt: u.createdAt}}
		u.primaryPhone = &u.phones[0].id
	}
	if p.one(i, traitWallet, 25) {
		u.wallets = []identifier{{id: p.ids.id(kindWallet, 0, i, u.createdAt), value: p.wallet(i),
			status: "verified", strategy: "web3_metamask_signature", createdAt: u.createdAt, updatedAt: u.createdAt}}
		u.primaryWallet = &u.wallets[0].id
	}
	u.imageURL, u.hasImage = defaultImage(p.instance, u.id), false
}

func (p *population) email(u *user, sub int) identifier {
	e := identifier{id: p.ids.id(kindEmail, byte(sub), u.seq, u.createdAt), status: "verified", strategy: "email_code",
		createdAt: u.createdAt, updatedAt: u.createdAt}
	e.value = pick(p, u.seq, traitHandle, handles) + "." + strconv.FormatInt(u.seq, 36) + "@" + domains[sub]
	if sub == 1 {
		e.status = "unverified"
	}
	return e
}

// addGoogle connects the primary address to a Google account.
func (p *population) addGoogle(u *user) {
	main := &u.emails[len(u.emails)-1]
	a := account{id: p.ids.id(kindAccount, 0, u.seq, u.createdAt), connectionID: "eac_" + p.ids.id(kindAccount, 1, u.seq, u.createdAt)[4:],
		providerUserID: strconv.FormatUint(1e17+p.trait(u.seq, traitGoogle)%9e17, 10) + "042", email: main.value, createdAt: u.createdAt}
	a.picture = "https://lh3.googleusercontent.com/a/" + p.ids.id(kindImage, 0, u.seq, u.createdAt) + "=s1000-c"
	if u.firstName != nil {
		a.firstName = *u.firstName
	}
	if u.lastName != nil {
		a.lastName = *u.lastName
	}
	main.linkedTo, main.strategy = a.id, "from_oauth_google"
	u.accounts = []account{a}
}

func (p *population) addMetadata(u *user) {
	i := u.seq
	if draw := p.trait(i, traitPublic); draw%4 == 0 {
		plans := []string{"free", "pro", "enterprise"}
		u.public = fmt.Appendf(nil, `{"plan":%q,"seats":%d,"flags":{"beta":%t}}`, plans[draw>>8%3], draw>>16%50, draw>>24%2 == 0)
	}
	if draw := p.trait(i, traitUnsafe); draw%5 == 0 {
		u.unsafe = fmt.Appendf(nil, `{"theme":"dark","onboarding":{"step":%d,"note":"caf\u00e9 \ud83d\ude80"},"tags":["a","b"]}`, draw>>8%7)
	}
	if draw := p.trait(i, traitPrivate); draw%6 == 0 {
		u.private = fmt.Appendf(nil, `{"stripe_customer":"cus_%x","score":%d.5}`, draw, draw>>8%100)
	}
}

func (p *population) addSecurity(u *user) {
	i := u.seq
	u.banned = p.one(i, traitBanned, 97)
	u.locked = p.one(i, traitLocked, 131)
	if u.locked {
		u.lockoutSeconds = new(int64(3600))
	}
	u.attemptsRemaining = new(int64(100))
	u.password = len(u.accounts) == 0
	if u.password {
		u.passwordUpdatedAt = new(u.createdAt)
	}
	if p.one(i, traitMFA, 9) {
		u.totp, u.backupCodes, u.mfaEnabledAt = true, true, new(u.createdAt)
	}
}

func (p *population) addActivity(u *user) {
	if p.one(u.seq, traitSignIn, 7) {
		return
	}
	end := p.first + span.Milliseconds()
	u.lastSignInAt = new(u.createdAt + int64(p.trait(u.seq, traitSignIn)%uint64(max(1, end-u.createdAt))))
	u.lastActiveAt = new(min(end, *u.lastSignInAt/day*day+day*int64(p.trait(u.seq, traitActive)%2)))
	if p.one(u.seq, traitLegal, 2) {
		u.legalAcceptedAt = new(u.createdAt)
	}
}

// defaultImage is the address of the image that Clerk draws for who has none.
func defaultImage(instance, id string) string {
	source := `{"type":"default","iid":"` + instance + `","rid":"` + id + `"}`
	return "https://img.clerk.com/" + base64.RawURLEncoding.EncodeToString([]byte(source))
}
