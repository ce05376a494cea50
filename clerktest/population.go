package clerktest

import (
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
)

// span is the time over which the generated users signed up.
const span = 3 * 365 * 24 * time.Hour

// settled is how long after created_at a generated user was last updated:
// Clerk's own sign-up writes a user twice within some 20 ms. One constant for
// all keeps the order by updated_at equal to the order by created_at.
const settled = 21

// population is the users that exist by arithmetic: the user of an index is a
// function of the seed, so they cost no memory. Safe for concurrent use.
type population struct {
	ids      idSpace
	seed     uint64
	instance string
	n        int64
	first    int64 // lower bound of the first created_at
	step     int64 // milliseconds a user
}

func newPopulation(ids idSpace, seed uint64, instance string, n int64, epoch time.Time) *population {
	p := &population{ids: ids, seed: seed, instance: instance, n: n}
	p.first = epoch.Add(-span).UnixMilli()
	p.step = max(1, span.Milliseconds()/max(1, n))
	return p
}

// trait is the draw of one property of one user.
func (p *population) trait(i int64, property uint64) uint64 {
	x := p.seed ^ uint64(i)*0x9e3779b97f4a7c15 ^ property*0xd1b54a32d192ed03
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// one reports a property that one user in k has.
func (p *population) one(i int64, property, k uint64) bool {
	return p.trait(i, property)%k == 0
}

// createdAt never decreases with i. Some neighbours share their millisecond,
// as users do that were imported together.
func (p *population) createdAt(i int64) int64 {
	switch {
	case p.one(i>>3, traitTieOfEight, 24):
		i &^= 7
	case p.one(i>>1, traitTieOfTwo, 12):
		i &^= 1
	}
	return p.first + i*p.step + int64(p.trait(i, traitJitter)%uint64(p.step))
}

func (p *population) updatedAt(i int64) int64 { return p.createdAt(i) + settled }

// search returns the first index for which reached is true, n if none.
func (p *population) search(reached func(i int64) bool) int64 {
	return int64(sort.Search(int(p.n), func(i int) bool { return reached(int64(i)) }))
}

// guess returns the index whose user alone could carry the key.
func (p *population) guess(k key) (i int64, ok bool) {
	var err error
	switch k.name {
	case byEmail:
		local, _, _ := strings.Cut(k.value, "@")
		i, err = strconv.ParseInt(local[strings.LastIndexByte(local, '.')+1:], 36, 64)
	case byUsername:
		i, err = strconv.ParseInt(k.value[strings.LastIndexByte(k.value, '_')+1:], 36, 64)
	case byExternalID:
		i, err = strconv.ParseInt(strings.TrimPrefix(k.value, externalPrefix), 10, 64)
	case byPhone:
		i, err = strconv.ParseInt(strings.TrimPrefix(k.value, phonePrefix), 10, 64)
	case byWallet:
		i, err = p.walletIndex(k.value)
	default:
		return 0, false
	}
	return i, err == nil && i >= 0 && i < p.n
}

func (p *population) wallet(i int64) string {
	opaque := p.ids.opaque(kindWallet, 0xff, i)
	return fmt.Sprintf("0x%x%08x", opaque, uint32(p.trait(i, traitWallet)))
}

func (p *population) walletIndex(value string) (int64, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(value, "0x"))
	if err != nil || len(raw) != 20 {
		return 0, strconv.ErrSyntax
	}
	var plain [16]byte
	p.ids.block.Decrypt(plain[:], raw[:16])
	var i int64
	for _, b := range plain[8:] {
		i = i<<8 | int64(b)
	}
	return i, nil
}
