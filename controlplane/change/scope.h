/* SPDX-License-Identifier: Apache-2.0 */
/* What a scoped token is confined to: SSL objects, by their names, by their labels, or by both. Immutable; shared by count between the
 * loop, the pool and the writer's thread.
 *
 *     {"sni_suffixes": ["team-b.example", "*.team-a.example"], "labels": {"team": "a"}}
 *
 * "x" covers x and every name below it, "*.x" what is below at any depth and not x; wildcards of such names too. An object is inside
 * when each of its names is covered, and it has some where there are suffixes (one of type client has none), and it carries all the
 * labels. The name "*" is inside of no suffix. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "model/findings.h"
#include "model/resource.h"

#include <jansson.h>
#include <stdbool.h>

struct scope;

#define SCOPE_SUFFIXES_MAX 64

/* From a request's document, findings behind `pointer`; E_INVALID with findings, E_NOMEM. */
int scope_parse(json_t *document, const char *pointer, struct findings *findings, struct scope **ret, struct error *err) MUST_USE;
/* From the text that scope_format made. E_CORRUPT: it was made by somebody else; no scope at all is never the outcome. */
int scope_load(const char *text, struct scope **ret, struct error *err) MUST_USE;
/* Compact JSON in its canonical spelling, malloc'd; NULL without memory. */
char *scope_format(const struct scope *scope);
json_t *scope_render(const struct scope *scope); /* new reference; NULL without memory */
struct scope *scope_ref(struct scope *scope); /* NULL allowed */
struct scope *scope_unref(struct scope *scope); /* NULL allowed */
DEFINE_CLEANUP(struct scope, scope_unref);

/* One of the labels that whatever is inside carries, for who looks for it; NULL: there is none. Lives as long as the scope. */
const char *scope_first_label(const struct scope *scope, const char **ret_value);
bool scope_covers_name(const struct scope *scope, const char *name); /* normalised */
/* labels: as the store has them (compact JSON object of strings, or NULL). E_NOMEM. */
int scope_covers_labels(const struct scope *scope, const char *labels, bool *ret, struct error *err) MUST_USE;
/* A stored object of any kind: what a read may show. */
int scope_covers_state(const struct scope *scope, const struct resource_state *state, bool *ret, struct error *err) MUST_USE;
/* A document that was parsed: an error finding per name and label that is outside. scalar: its one name stands in "sni". */
void scope_check(const struct scope *scope, const struct resource *resource, bool scalar, struct findings *findings);
