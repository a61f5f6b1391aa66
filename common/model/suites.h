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
	const char *openssl; /* NULL: this OpenSSL lacks it */
	bool tls13;
	enum suite_auth auth;
	const char *reason; /* when lacking: why, and what to use instead */
};

const struct suite *suite_find(const char *name); /* any spelling, case-insensitive; NULL: unknown */
const struct suite *suite_find_code(uint32_t code);
bool suite_is_for(const struct suite *suite, uint32_t version); /* can a handshake of this version choose it? */
bool suite_is_ecdhe(const struct suite *suite);                 /* up to TLS 1.2, does it need a group? */

struct group {
	uint16_t id;
	const char *iana;    /* "x25519", "secp256r1"... */
	const char *openssl; /* for SSL_set1_groups_list; NULL: lacking */
	int nid;             /* for SSL_set1_groups */
	const char *reason;
};

const struct group *group_find(const char *name); /* IANA, OpenSSL, Go (CurveP256, X25519MLKEM768) or the integer as text */
const struct group *group_find_id(uint32_t id);
bool group_is_for(const struct group *group, uint32_t version);

/* "TLSv1.2", "VersionTLS12", "TLS12", "1.2" -> 0x0303. 0: unknown. */
uint16_t version_find(const char *name);
const char *version_name(uint32_t version); /* "TLSv1.2"; NULL: none of 0x0301..0x0304 */
