/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate of the admin API over HTTPS: of an `ssls` object, followed live, or one that the internal CA issues.
 *
 *   the object can be used --> it is shown; a replacement from the next handshake on
 *   it is gone, disabled, of type client, or can't be read --> the last good one is shown on, and that is logged
 *   there was none since the start (or no object is named) --> the internal CA's, so that the object can be put
 *
 * The internal CA's has a key made here, never written down, and is issued anew at half of its life, by the handshake
 * that finds it so. All on the loop. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "store/store.h"

#include <openssl/types.h>

struct certificate;

struct certificate_config {
	struct store *store;
	const char *ssl_id;       /* borrowed; NULL: none */
	const char *const *names; /* of the internal CA's: host names and addresses, NULL at their end; borrowed */
};

/* E_INVALID: a name can't be one, or the CA has expired. */
int certificate_new(const struct certificate_config *config, struct certificate **ret, struct error *err) MUST_USE;
struct certificate *certificate_free(struct certificate *certificate); /* NULL allowed */
DEFINE_CLEANUP(struct certificate, certificate_free);

/* Looks at the object; costs one read when it is as before. */
void certificate_follow(struct certificate *certificate, struct store_reader *reader);
/* For struct http_tls; owner: a struct certificate. */
int certificate_put(SSL *ssl, void *owner, struct error *err) MUST_USE;
