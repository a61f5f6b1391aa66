/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/model: distinguished names as text, one spelling per name (RFC 4514, most specific RDN first; types by the names of
 * peer_dn.c's table or as dotted numbers; the attributes of one RDN sorted; values that are no text as "#" and the hex of their DER).
 * Equal spellings of an RDN are equal RDNs. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "model/peer.h"

#include <openssl/types.h>

/* A certificate's name; ret must hold PEER_TEXT_MAX + 1, "" for an empty name. E_INVALID: a value has a NUL; E_TOO_LARGE; E_NOMEM. */
int peer_dn_from_name(const X509_NAME *name, char *ret) MUST_USE;
/* Of two such texts: do they hold the same RDNs, each as often? */
bool peer_dn_is_equal(const char *a, const char *b);
/* The last (most specific) common name in UTF-8, as peer_dn_from_name; E_NOT_FOUND: there is none. */
int peer_dn_common_name(const X509_NAME *name, char *ret) MUST_USE;
