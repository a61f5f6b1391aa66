/* SPDX-License-Identifier: Apache-2.0 */
/* Versions, cipher suites and groups under every name that users write: IANA, OpenSSL, Go (also its truncated CHACHA20 names) and
 * KrakenD's integers. Stored as code points, answered as IANA names. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum suite_auth { SUITE_AUTH_ANY, SUITE_AUTH_RSA, SUITE_AUTH_ECDSA };

struct suite {
	uint16_t code;
	const char *iana;
	const char *openssl; /* NULL: lacking in this OpenSSL, or not offered */
	bool tls13;
	enum suite_auth auth;
	const char *reason; /* when lacking: why, and what to use instead */
};

const struct suite *suite_find(const char *name); /* any spelling, case-insensitive; NULL: unknown */
const struct suite *suite_find_code(uint32_t code);
bool suite_is_for(const struct suite *suite, uint32_t version); /* can a handshake of this version choose it? */
bool suite_is_ecdhe(const struct suite *suite);                 /* up to TLS 1.2, does it need a group? */

#define SUITES_IN_FORCE_MAX 64
/* A list as users give it (code points that are all known; at most SUITES_IN_FORCE_MAX - 9) for a range of versions, with what stands for
 * what it leaves out: without any suite, the sound ones (forward secrecy and AEAD alone); without one of TLS 1.3, that version's three, as
 * everywhere else. In order of preference; returns how many. */
size_t suites_in_force(const uint32_t *codes, size_t count, uint32_t min, uint32_t max,
                       const struct suite *ret[SUITES_IN_FORCE_MAX]);

struct group {
	uint16_t id;
	const char *iana;    /* "x25519", "secp256r1"... */
	const char *openssl; /* for SSL_set1_groups_list; NULL: lacking */
	int nid;             /* for SSL_set1_groups */
	const char *reason;
};

const struct group *group_find(const char *name); /* IANA, OpenSSL, Go (CurveP256, X25519MLKEM768) or the integer as text */
const struct group *group_find_id(uint32_t id);
/* The same of groups: none stands for x25519, secp256r1, secp384r1, secp521r1. */
size_t groups_in_force(const uint32_t *ids, size_t count, const struct group *ret[SUITES_IN_FORCE_MAX]);
bool group_is_for(const struct group *group, uint32_t version);

/* "TLSv1.2", "VersionTLS12", "TLS12", "1.2" -> 0x0303. 0: unknown. */
uint16_t version_find(const char *name);
const char *version_name(uint32_t version); /* "TLSv1.2"; NULL: none of 0x0301..0x0304 */
