// Package scan finds the members of JSON objects without decoding them.
//
// It is the first code that touches a webhook's bytes after their signature was verified, and the hot loop of a pass. It accepts
// exactly RFC 8259 in UTF-8 without a byte order mark, and nothing else; but unlike a decoder it does not give up on a value that
// is valid JSON and yet cannot be stored. Users write their own metadata, and what they write there must never hold back what
// Clerk says about them: the object is split into members, and each [Member] tells its hazards, so that the caller can drop or
// [Clean] that member and keep the rest.
//
// Nothing recurses, so nesting is bounded by the input's length alone. Nothing allocates unless the input is unusual: escaped
// names, more than 64 names in open objects, nesting far beyond [MaxDepth].
//
// All functions may be called at once from many goroutines. Members and elements alias the input, which must not change while
// they are in use.
package scan
