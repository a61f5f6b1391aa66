/* SPDX-License-Identifier: Apache-2.0 */
/* What GET /v1/resolve is made of: one handshake that is explained, and the parts of the answer. Parts return a new
 * reference, or NULL without memory. */
#pragma once

#include "api/query.h"
#include "view/view.h"
#include "model/name.h"
#include "model/resource.h"

#include <jansson.h>

struct resolve_handshake {
	struct view *source;
	char name[NAME_MAX_LEN + 1]; /* normalised; "": none */
	const char *name_note;       /* why there is none though one was given; NULL: all is said */
	bool has_client;             /* its address is known */
	const char *alpn[QUERY_ALPN_MAX];
	size_t alpn_len;
	struct decision decision;
};

/* What was chosen under a name, and who was passed over. `losers` may stay empty, is never NULL. */
struct resolve_contest {
	char key[NAME_MAX_LEN + 1]; /* under which the winner stands; "" also when there is none */
	json_t *losers;             /* owned: [{id, why}] */
	size_t more;                /* losers that are not listed */
};

/* Who stood where the handshake's name was looked for. winner NULL: nobody won. 0, E_NOMEM, or E_INTERNAL with
 * source->error. */
int resolve_contest_hold(const struct resolve_handshake *handshake, enum kind kind, const char *winner,
                         struct resolve_contest *ret) MUST_USE;

const char *resolve_level_word(enum decide_level level);
const char *resolve_from_word(enum decide_from from);

/* The object's own fields, canonical; an empty one for what is built in. */
json_t *resolve_document_of(const struct view_object *object);

/* What holds before the ClientHello is read. */
json_t *resolve_render_limits(const struct decide_listener *listener);
json_t *resolve_render_route(const struct resolve_handshake *handshake, struct resolve_contest *contest);
json_t *resolve_render_certificate(const struct resolve_handshake *handshake, struct resolve_contest *contest);
json_t *resolve_render_options(const struct resolve_handshake *handshake);
json_t *resolve_render_client(const struct resolve_handshake *handshake);
json_t *resolve_render_upstream(const struct resolve_handshake *handshake);
/* [{id, from, why}]: who also names one, and is passed over. */
json_t *resolve_options_overruled(const struct decision *decision);
json_t *resolve_upstream_overruled(const struct decision *decision);
json_t *resolve_upstream_tls_overruled(const struct decision *decision);
const char *resolve_options_reason(enum decide_from from);
const char *resolve_upstream_reason(const struct decision *decision);
const char *resolve_upstream_tls_reason(enum decide_from from);
const char *resolve_client_reason(const struct decision *decision);

/* As in force; of codes and ids that are known. */
json_t *resolve_render_suites(const uint32_t *codes, size_t codes_len, uint32_t min, uint32_t max);
json_t *resolve_render_groups(const uint32_t *ids, size_t ids_len);
