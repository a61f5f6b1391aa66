/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON edge: an object as users write it <-> the body that is stored, sent and cached. JSON exists nowhere behind this.
 *
 * Parsing is driven by one field table per kind (name, parser, renderer), so that what is accepted and what is answered cannot
 * differ; it checks the object by itself and reports all findings at once. Rules that need other objects (references,
 * overlaps, keys kept by SPKI) are the change layer's. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/secret.h"
#include "channel.pb-c.h"
#include "model/findings.h"
#include "model/object.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct cert_list;

/* A reference to another object; `pointer` is where it stands in the document. */
struct resource_ref {
	enum kind kind;
	char id[ID_MAX + 1];
	char pointer[64];
};

/* One pair of an SSL object as the writer needs it. */
struct resource_pair {
	uint8_t spki_sha256[32];
	bool has_key; /* false: the stored key with this SPKI is to be taken */
	char pointer[32]; /* of its certificate: "/cert", "/certs/0" */
};

struct resource {
	enum kind kind;
	char id[ID_MAX + 1];
	char *selector;   /* canonical; "" when absent */
	char *labels;     /* compact JSON object text, or NULL */
	char *desc;       /* or NULL */
	bool enabled;     /* status */
	uint8_t *body;    /* encoded; for an SSL object with missing keys, complete but for the secret */
	size_t body_len;
	struct secret *secret;       /* encoded Secret; NULL unless an SSL object; keys of pairs without one are empty */
	struct resource_ref *refs;
	size_t refs_len;
	struct resource_pair *pairs; /* SSL objects */
	size_t pairs_len;
	char **names;                /* SSL objects: normalised snis; routes: normalised patterns */
	size_t names_len;
	unsigned client_bits;        /* TLS options: what client_auth asks (client_mode.h) */
	uint8_t *facets;             /* what lists find it by (facet.h); NULL when made by hand: then by its labels alone */
	size_t facets_len;
	char *host;                  /* listeners: canonical address */
	uint16_t port;
	uint32_t ttl;                /* join tokens: seconds */
	char *agent_id;              /* join tokens: the fixed id, or NULL */
	struct cert_list *certs;     /* as read for the body, for resource_render_parsed; NULL: dropped, or too many */
};

struct resource_limits {
	uint32_t rsa_bits_max; /* 4096, or 8192 by option */
	uint64_t now;          /* unix seconds, for expiry warnings */
};

/* Agents and join tokens have no body here (body NULL, body_len 0): theirs is made by the change layer. Their labels fit the grammar of
 * selectors: selector_from_labels never refuses resource.labels.
 *
 * document: a JSON object (borrowed). id: from the path, already checked, or "" when the document must bring it.
 * Returns 0 with *ret, or E_INVALID with findings->errors > 0 (all of them), or E_NOMEM / E_CRYPTO. Warnings come with 0. */
int resource_parse(enum kind kind, const char *id, json_t *document, const struct resource_limits *limits,
                   struct findings *findings, struct resource **ret, struct error *err) MUST_USE;
struct resource *resource_free(struct resource *resource); /* NULL allowed */
DEFINE_CLEANUP(struct resource, resource_free);
/* Of many objects none is rendered, and certificates take more memory than all the rest; a body that is not that of the document has
 * others. NULL allowed. */
void resource_drop_certs(struct resource *resource);

/* What the store has of one object, borrowed. */
struct resource_state {
	struct object_view object;
	const char *labels; /* compact JSON object, or NULL */
	const char *desc;   /* or NULL */
	bool enabled;
	uint64_t create_time, update_time; /* unix seconds */
};

/* The document for an answer: the user's fields in their canonical spelling, then the server's: id, uid, version, create_time,
 * update_time; SSL objects and bundles also x509 and the standing warnings (expired...) as of limits->now. Never a key.
 * New reference, or NULL with err. */
json_t *resource_render(const struct resource_state *state, const struct resource_limits *limits, struct error *err);
/* The same, with the certificates of `parsed` (NULL: of none) if the body is the same: to read one takes longer than all the rest. */
json_t *resource_render_parsed(const struct resource_state *state, const struct resource *parsed, const struct resource_limits *limits,
                               struct error *err);
/* The user's fields alone: what a PATCH merges into. New reference. */
json_t *resource_render_input(const struct resource_state *state, struct error *err);

/* As in 2026-11-21T08:00:00Z (RFC 3339): every time whose name ends in _at, or is not_before or not_after. NULL without
 * memory or when no calendar has it. */
json_t *resource_render_time(int64_t unix_seconds);

/* Strict JSON: UTF-8, no duplicate keys, no trailing bytes, depth at most 32, NUL refused. E_SYNTAX says line and column, never
 * quotes the text. New reference in *ret. */
int resource_load_json(struct bytes text, json_t **ret, struct error *err) MUST_USE;
/* RFC 7396. New reference; target and patch are not changed. NULL without memory. */
json_t *resource_merge_patch(json_t *target, json_t *patch);

/* The presets modern, intermediate, old, krakend as resources (builtin set). index from 0; E_NOT_FOUND ends. */
int resource_preset(size_t index, struct resource **ret, struct error *err) MUST_USE;
bool resource_is_preset(enum kind kind, const char *id);
