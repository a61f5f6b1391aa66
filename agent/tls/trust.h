/* SPDX-License-Identifier: Apache-2.0 */
/* Auth profile: who may connect. Made of the joined rules (resolve/decide.h): mode, anchors, CRLs, depth, allow, pins, deny lists; in a
 * bounded cache. System CAs are never in it. Finished before it is shared, never changed after.
 *
 * Judged in this order: chain (X509_verify_cert, purpose client, the leaf no CA, CRLs of the whole chain where a bundle has any), deny
 * lists over the whole chain, pins (leaf), allow rules of each party (leaf). A mode that does not verify judges deny lists and pins alone,
 * of the leaf alone (what else a peer sends then proves nothing); there allow rules let nobody pass. What can't be computed refuses. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "model/object.h"
#include "resolve/decide.h"
#include "tls/seat.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trust; /* atomic count */
struct trust_cache;

int trust_cache_new(size_t max_entries, struct trust_cache **ret, struct error *err) MUST_USE;
struct trust_cache *trust_cache_free(struct trust_cache *cache);
DEFINE_CLEANUP(struct trust_cache, trust_cache_free);

/* client->ask false: *ret is NULL. key: of all objects that the rules stand in (their digests hashed together), so that a handshake hashes
 * no bundle. A reference in *ret. E_SYNTAX, E_INVALID: an anchor or CRL does not parse; E_NOMEM. */
int trust_cache_get(struct trust_cache *cache, const struct digest *key, const struct decide_client *client, struct trust **ret,
                    struct error *err) MUST_USE;
/* After rules have changed: what no connection uses goes, and CRLs that no trust has. Any thread. */
void trust_cache_sweep(struct trust_cache *cache);
struct trust *trust_ref(struct trust *trust);
struct trust *trust_unref(struct trust *trust);
DEFINE_CLEANUP(struct trust, trust_unref);

/* What separates sessions: mode, anchors, depth, allow, pins. Not CRLs, deny lists, names sent: those are judged again at each resumption.
 * Zeros for NULL. */
const struct digest *trust_digest(const struct trust *trust);
bool trust_keeps_on_tighten(const struct trust *trust); /* NULL: false */
bool trust_maps_identity(const struct trust *trust);    /* NULL: false */

/* Inside the ClientHello callback, after profile_put_on and seat_set: verify mode, store, param, CA names if they are not
 * too many; the seat gets a reference. trust NULL: SSL_VERIFY_NONE. */
int trust_put_on(struct trust *trust, SSL *ssl, struct seat *seat, struct error *err) MUST_USE;
/* After the handshake: the SSL needs the store no more, whose CRLs would live as long as the connection. */
void trust_take_off(SSL *ssl);
/* For every SSL_CTX that a server-side SSL may stand on: judges peers by their seat. */
void trust_install(SSL_CTX *ctx);

/* An open connection under other rules: 0 it would pass; E_FORBIDDEN: it would be refused, or can't be verified any more (a resumed session
 * whose chain needs certificates that it doesn't carry); *ret_cause and err say why. facts: of its seat, which is settled and still has the
 * trust of the handshake; NULL without a verified peer. trust NULL: 0. Takes as long as a verification. */
int trust_judge(const struct trust *trust, const SSL *ssl, const struct facts *facts, enum seat_cause *ret_cause,
                struct error *err) MUST_USE;

/* The identity that the peer of a finished handshake maps to (model/peer.h), under the rules of its trust. E_NOT_FOUND: none. */
int trust_map_identity(const struct trust *trust, const SSL *ssl, char *ret, const char **ret_source, struct error *err) MUST_USE;
