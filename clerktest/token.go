package clerktest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// tokenLifetime is how long a session token is valid, as Clerk's.
const tokenLifetime = time.Minute

// tokenKey signs session tokens. The key is made when it is first needed and is
// random: the seed of an instance is no secret. The zero value is ready.
type tokenKey struct {
	once sync.Once
	key  *rsa.PrivateKey
	kid  string
}

func (t *tokenKey) ready() {
	t.once.Do(func() {
		var err error
		if t.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err) // the system has no randomness
		}
		sum := sha256.Sum256(t.key.N.Bytes())
		// Clerk's kid is the instance id. Here it also tells two keys of one
		// seed apart: clerk-sdk-go caches keys by kid, process-wide.
		t.kid = "ins_emulator_" + hex.EncodeToString(sum[:8])
	})
}

// grant is what a session token says.
type grant struct {
	userID, sessionID string
	status            string                     // of the session, "active" or "pending"
	actor             json.RawMessage            // nil unless somebody impersonates the user
	extra             map[string]json.RawMessage // claims, over those that tokens have by themselves
	organization      *organization              // the active one, nil if there is none
	role              string                     // in it
	permissions       []string                   // of that role, by their keys
}

// sign returns a session token of version 2.
func (t *tokenKey) sign(issuer string, g grant, now time.Time) string {
	t.ready()
	encode := base64.RawURLEncoding.EncodeToString
	var head, body writer
	head.open("", '{').str("alg", "RS256").str("cat", "cl_B7d4PD111AAA").str("kid", t.kid).str("typ", "JWT").close('}')
	claims := g.claims(issuer, now)
	body.open("", '{')
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		body.raw(name, string(claims[name]))
	}
	body.close('}')
	text := encode(head.buf) + "." + encode(body.buf)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, t.key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // a 2048-bit key signs any SHA-256 sum
	}
	return text + "." + encode(signature)
}

// claims are those of a token that is made now.
func (g grant) claims(issuer string, now time.Time) map[string]json.RawMessage {
	own := Fields{
		"exp": now.Add(tokenLifetime).Unix(), "fva": []int{0, -1}, "iat": now.Unix(), "iss": issuer, "nbf": now.Add(-10 * time.Second).Unix(),
		"sid": g.sessionID, "sts": g.status, "sub": g.userID, "v": 2,
	}
	if g.actor != nil {
		own["act"] = g.actor
	}
	features, names, masks := powers(g.permissions)
	if len(features) > 0 {
		own["fea"] = "o:" + strings.Join(features, ",o:")
	}
	if o := g.organization; o != nil {
		active := Fields{"id": o.id, "rol": strings.TrimPrefix(g.role, "org:"), "slg": o.slug}
		if len(features) > 0 {
			active["fpm"], active["per"] = strings.Join(masks, ","), strings.Join(names, ",")
		}
		own["o"] = active
	}
	all, err := own.raw()
	if err != nil {
		panic(err) // texts and numbers have a JSON form
	}
	maps.Copy(all, g.extra)
	return all
}

// powers takes permissions such as "org:invoices:read" apart the way tokens
// tell them: the features, the names of what may be done, and for each feature
// a number whose lowest bit stands for the first of the names. Clerk's own
// permissions, "org:sys_…", are in no token.
func powers(permissions []string) (features, names, masks []string) {
	may := map[string]map[string]bool{}
	for _, key := range permissions {
		feature, name, ok := strings.Cut(strings.TrimPrefix(key, "org:"), ":")
		if !ok || strings.HasPrefix(key, systemPrefix) {
			continue
		}
		if may[feature] == nil {
			may[feature] = map[string]bool{}
			features = append(features, feature)
		}
		may[feature][name] = true
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(features)
	slices.Sort(names)
	for _, feature := range features {
		mask := new(big.Int)
		for i, name := range names {
			if may[feature][name] {
				mask.SetBit(mask, i, 1)
			}
		}
		masks = append(masks, mask.String())
	}
	return features, names, masks
}

// SessionToken returns a token that signs a user in for one minute: an RS256
// JWT that clerk-sdk-go verifies against GET /v1/jwks. It names the user's
// newest session, with its actor, its further claims, and its active
// organization as long as the user is a member, with his role and its custom
// permissions; see SessionOptions. A token outlives its session, so an ended
// one is named like one that is open. Without a session it names one that does
// not exist, and it is made for deleted users and for ids that never existed,
// too.
func (c *Clerk) SessionToken(userID string) string {
	c.mu.RLock()
	g := grant{userID: userID, status: "active", sessionID: c.ids.id(kindSession, 1, 0, c.nowMilli())}
	if list := c.sessions.group(userID); len(list) > 0 {
		g = c.grant(list[len(list)-1])
	}
	c.mu.RUnlock()
	return c.tokens.sign(c.Issuer(), g, c.now())
}

// grant is what a token of a session says that was made while it was open. The
// caller holds mu.
func (c *Clerk) grant(s *session) grant {
	g := grant{userID: s.userID, sessionID: s.id, status: "active", actor: s.actor, extra: s.claims}
	if s.status == "pending" {
		g.status = "pending"
	}
	if m := c.member(s.orgID, s.userID); m != nil {
		r := c.roles.byID[m.roleID]
		g.organization, g.role = c.organizations.byID[m.orgID], r.key
		for _, id := range r.permissions {
			g.permissions = append(g.permissions, c.permissions.byID[id].key)
		}
	}
	return g
}

// JWTKey returns the public key of session tokens as PEM (CLERK_JWT_KEY).
func (c *Clerk) JWTKey() string {
	c.tokens.ready()
	der, err := x509.MarshalPKIXPublicKey(&c.tokens.key.PublicKey)
	if err != nil {
		panic(err) // an RSA key has an encoding
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// Issuer returns the address of the instance's Frontend API, which its tokens
// name as "iss". It follows from InstanceID. The SDKs accept https://clerk.…
// and ….clerk.accounts.… only.
func (c *Clerk) Issuer() string {
	name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(c.config.InstanceID, "ins_"), "_", "-"))
	if c.config.Live {
		return "https://clerk." + name + ".example"
	}
	return "https://" + name + ".clerk.accounts.dev"
}

func (c *Clerk) getJWKS(w *writer, _ *http.Request) *apiError {
	c.tokens.ready()
	encode := base64.RawURLEncoding.EncodeToString
	public := c.tokens.key.PublicKey
	w.open("", '{').open("keys", '[').open("", '{')
	w.str("use", "sig").str("kty", "RSA").str("kid", c.tokens.kid).str("alg", "RS256")
	w.str("n", encode(public.N.Bytes())).str("e", encode(big.NewInt(int64(public.E)).Bytes()))
	w.close('}').close(']').close('}')
	return nil
}
