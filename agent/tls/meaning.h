/* SPDX-License-Identifier: Apache-2.0 */
/* Inside agent/tls: what a set of crypto parameters means in full (defaults filled in, names of suites and groups found), and that meaning
 * on an SSL_CTX. Towards clients and towards origins alike. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/suites.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEANING_LIST_MAX SUITES_IN_FORCE_MAX

struct meaning {
	uint16_t min, max;
	bool server_preference;
	const struct suite *suites[MEANING_LIST_MAX]; /* of both kinds, in order of preference */
	size_t suites_len;
	const struct group *groups[MEANING_LIST_MAX];
	size_t groups_len;
	struct buf alpn; /* wire form of RFC 7301: u8 length, name */
};

/* *meaning must be zeroed; suites and groups are static. E_INVALID, E_TOO_LARGE: the text begins with the field. */
int meaning_read(const Tlsplane__TlsOptions *options, struct meaning *meaning, struct error *err) MUST_USE;
void meaning_deinit(struct meaning *meaning);
DEFINE_CLEANUP_VALUE(struct meaning, meaning_deinit);

/* Versions, security level, suites, groups. E_INVALID: OpenSSL did not take a suite. */
int meaning_put_on(const struct meaning *meaning, SSL_CTX *ctx, struct error *err) MUST_USE;
void meaning_list_groups(const struct meaning *meaning, int nids[MEANING_LIST_MAX]);
