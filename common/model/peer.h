/* SPDX-License-Identifier: Apache-2.0 */
/* Peers by what their certificates say: the rules of `allow`, and the identity that a certificate maps to. One grammar and one matcher for
 * clients and origins. Only a certificate that has been verified has anything to say here.
 *
 * Names are those of RFC 5280 4.2.1.6; compared as the RFCs say and never more loosely: DNS names case-insensitively, the local part of an
 * e-mail address and everything of a URI exactly, distinguished names as a multiset of RDNs (an RDN that stands twice must stand twice:
 * CVE-2026-33248), attribute values exactly. A name with an embedded NUL fits nothing. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

#define PEER_TEXT_MAX 1024 /* of one value of a rule, and of an identity, in bytes */

/* What a user wrote, in the canonical form that PeerRule holds; ret must hold PEER_TEXT_MAX + 1. E_SYNTAX with the reason. */
int peer_normalise_dns(const char *text, char *ret, struct error *err) MUST_USE;   /* IDNA as name_normalise, "*.rest" */
int peer_normalise_uri(const char *text, char *ret, struct error *err) MUST_USE;   /* absolute; may end in a path segment "*" */
int peer_normalise_email(const char *text, char *ret, struct error *err) MUST_USE; /* "local@domain", "*@domain" */
int peer_normalise_dn(const char *text, char *ret, struct error *err) MUST_USE;    /* RFC 4514, RFC 2253 and the "/CN=x/O=y" of OpenSSL */

/* Does the certificate fit one of the rules? No rules: true. False also for what can't be read, and for a rule that names nothing. "*.rest"
 * is one label, and a wildcard in the certificate fits no more than the same text. "prefix/" and a star is whatever is below it, as long as
 * nobody could read it as leading out: no empty or dot segments, no '%', '?', '#'. Of several common names the last counts. */
bool peer_is_allowed(X509 *leaf, Tlsplane__PeerRule *const *rules, size_t count);

/* The common name that rules look at, in UTF-8; ret must hold PEER_TEXT_MAX + 1. E_NOT_FOUND: there is none; E_INVALID: it has a NUL or is
 * no text; E_TOO_LARGE. */
int peer_common_name(const X509 *leaf, char *ret) MUST_USE;

/* NATS's verify_and_map: the first of all e-mail addresses, then DNS names, then URIs, then the subject (RFC 2253); where there are rules
 * (up to two lists, the object's and the options'), the first that one of the rules names, and if none does, the first of all. ret must
 * hold PEER_TEXT_MAX + 1 and gets UTF-8 in which control bytes are escaped as \HH. ret_source (may be NULL): static, "email", "dns", "uri",
 * "dn". E_NOT_FOUND: the certificate says nothing (no names, empty subject), or only what is too long or has a NUL. */
struct peer_rules {
	Tlsplane__PeerRule *const *rules;
	size_t count;
};
int peer_map_identity(X509 *leaf, const struct peer_rules *lists, size_t lists_len, char *ret, const char **ret_source,
                      struct error *err) MUST_USE;
