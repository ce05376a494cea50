// Package loopback knows which hosts are this machine alone: secrets go there in the clear, and nowhere else.
package loopback

import "net/netip"

// Is reports whether a host, a name or an address without port or brackets, can be reached from this machine alone. Of names only
// localhost can: where another one leads to, whoever answers for it decides.
func Is(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
