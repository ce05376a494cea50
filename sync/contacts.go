package sync

import (
	"slices"
	"strconv"
	"strings"

	"github.com/clerksync/clerksync/internal/scan"
)

// contacts are a user's addresses of one sort: a list of objects with an id, a value and a verification.
type contacts struct{ list, value, primary string }

// A user's contacts. The primary one is the entry whose id the user names, never the first.
var (
	emails  = contacts{list: "email_addresses", value: "email_address", primary: "primary_email_address_id"}
	phones  = contacts{list: "phone_numbers", value: "phone_number", primary: "primary_phone_number_id"}
	wallets = contacts{list: "web3_wallets", value: "web3_wallet", primary: "primary_web3_wallet_id"}
)

type contact struct{ id, value, status string }

func (c contacts) of(o *object) []contact {
	for _, read := range o.contacts {
		if read.of == c {
			return read.all
		}
	}
	var all []contact
	_ = scan.Array(o.member(c.list), func(elem []byte) error {
		var one contact
		_ = scan.Outline(elem, func(m scan.Member) error {
			switch string(m.Name) {
			case "id":
				one.id, _ = scan.String(m.Value)
			case c.value:
				one.value, _ = scan.String(m.Value)
			case "verification":
				one.status = memberText(m.Value, "status")
			}
			return nil
		})
		all = append(all, one)
		return nil
	})
	o.contacts = append(o.contacts, readContacts{c, all})
	return all
}

// readContacts are those of one sort that were read from an object.
type readContacts struct {
	of  contacts
	all []contact
}

func (c contacts) primaryOf(o *object) (contact, bool) {
	id, ok := scan.String(o.member(c.primary))
	if !ok {
		return contact{}, false
	}
	all := c.of(o)
	i := slices.IndexFunc(all, func(one contact) bool { return one.id == id })
	if i < 0 {
		return contact{}, false
	}
	return all[i], true
}

func (c contacts) primaryValue(o *object) []byte {
	one, ok := c.primaryOf(o)
	if !ok || one.value == "" {
		return nil
	}
	return appendText(nil, one.value)
}

func (c contacts) primaryVerified(o *object) []byte {
	one, ok := c.primaryOf(o)
	if !ok {
		return nil
	}
	return strconv.AppendBool(nil, one.status == "verified")
}

// project appends id, value and verification status of every entry, sorted by id, which is the order that both a webhook and a
// list can be brought into.
func (c contacts) project(dst []byte, o *object) []byte {
	all := slices.Clone(c.of(o))
	slices.SortStableFunc(all, func(a, b contact) int { return strings.Compare(a.id, b.id) })
	return appendList(dst, all, func(dst []byte, one contact) []byte { return appendTexts(dst, []string{one.id, one.value, one.status}) })
}
