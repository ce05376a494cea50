package clerktest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// Clerk's ids are KSUIDs behind a prefix: 27 base62 characters that hold 4
// bytes of seconds since ksuidEpoch and 16 opaque bytes. Here the opaque bytes
// are a number enciphered under the seed, so an id leads back to its object
// without an index, however many objects there are.
const (
	ksuidEpoch  = 1_400_000_000
	ksuidLength = 27
	base62      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// kind separates the number spaces of the ids: the same number in two kinds
// gives unrelated ids.
type kind byte

const (
	kindUser kind = iota + 1
	kindEmail
	kindPhone
	kindWallet
	kindAccount
	kindImage
	kindSession
	kindClient
	kindActivity
	kindMessage
	kindInstance
	kindOrganization
	kindMembership
	kindOrgInvitation
	kindInvitation
	kindDomain
	kindRole
	kindPermission
	kindTicket
)

var prefixes = [...]string{
	kindUser: "user_", kindEmail: "idn_", kindPhone: "idn_", kindWallet: "idn_", kindAccount: "idn_",
	kindImage: "img_", kindSession: "sess_", kindClient: "client_", kindActivity: "activity_",
	kindMessage: "msg_", kindInstance: "ins_",
	kindOrganization: "org_", kindMembership: "orgmem_", kindOrgInvitation: "orginv_", kindInvitation: "inv_",
	kindDomain: "orgdmn_", kindRole: "role_", kindPermission: "perm_", kindTicket: "tkt_",
}

// idSpace makes ids and reads them back. Safe for concurrent use.
type idSpace struct{ block cipher.Block }

func newIDSpace(seed uint64) idSpace {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64([]byte("clerktest ids"), seed))
	block, err := aes.NewCipher(sum[:16])
	if err != nil {
		panic(err) // 16 bytes is an AES key
	}
	return idSpace{block}
}

// opaque enciphers one number of one kind; sub counts the objects that share a
// number, such as the addresses of one user.
func (s idSpace) opaque(k kind, sub byte, n int64) (out [16]byte) {
	out[0], out[1] = byte(k), sub
	binary.BigEndian.PutUint64(out[8:], uint64(n))
	s.block.Encrypt(out[:], out[:])
	return out
}

// id returns the id of object n, created at ms milliseconds.
func (s idSpace) id(k kind, sub byte, n, ms int64) string {
	var raw [20]byte
	binary.BigEndian.PutUint32(raw[:], uint32(ms/1000-ksuidEpoch))
	opaque := s.opaque(k, sub, n)
	copy(raw[4:], opaque[:])
	return prefixes[k] + encodeKSUID(raw)
}

// number reads back n of an id that id made with sub 0. A number that comes
// out is only a candidate: the caller compares the object's own id.
func (s idSpace) number(k kind, id string) (int64, bool) {
	text, ok := strings.CutPrefix(id, prefixes[k])
	if !ok {
		return 0, false
	}
	raw, ok := decodeKSUID(text)
	if !ok {
		return 0, false
	}
	var plain [16]byte
	s.block.Decrypt(plain[:], raw[4:])
	head := [8]byte{byte(k)}
	n := int64(binary.BigEndian.Uint64(plain[8:]))
	return n, [8]byte(plain[:8]) == head && n >= 0
}

// pow5 is 62⁵: five digits leave one division of the 160-bit number.
const pow5 = 62 * 62 * 62 * 62 * 62

func encodeKSUID(raw [20]byte) string {
	var words [5]uint32
	for i := range words {
		words[i] = binary.BigEndian.Uint32(raw[4*i:])
	}
	var out [30]byte
	for end := len(out); end > 0; end -= 5 {
		var rest uint64
		for i, word := range words {
			rest = rest<<32 | uint64(word)
			words[i], rest = uint32(rest/pow5), rest%pow5
		}
		for at := end - 1; at >= end-5; at-- {
			out[at], rest = base62[rest%62], rest/62
		}
	}
	return string(out[len(out)-ksuidLength:])
}

func decodeKSUID(text string) (raw [20]byte, ok bool) {
	if len(text) != ksuidLength {
		return raw, false
	}
	var words [5]uint32
	for i := range len(text) {
		digit := strings.IndexByte(base62, text[i])
		if digit < 0 {
			return raw, false
		}
		carry := uint64(digit)
		for w := len(words) - 1; w >= 0; w-- {
			carry += uint64(words[w]) * 62
			words[w], carry = uint32(carry), carry>>32
		}
		if carry != 0 {
			return raw, false
		}
	}
	for i, word := range words {
		binary.BigEndian.PutUint32(raw[4*i:], word)
	}
	return raw, true
}
