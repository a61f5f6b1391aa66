/* SPDX-License-Identifier: Apache-2.0 */
/* Selectors and labels: equality conditions, canonical text "key=value,key=value" sorted by key; "" selects every agent.
 * Keys and values: 1 to 63 of [a-zA-Z0-9._-] (values of labels on objects may be any APISIX label value, agents' may not);
 * at most 16 conditions. Labels of an agent are kept in the same text form. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>

#define SELECTOR_MAX 2048 /* bytes of canonical text */

/* True when labels (canonical text) satisfy every condition of selector. */
bool selector_is_match(const char *selector, const char *labels);
/* True when every agent that satisfies `narrow` satisfies `wide`: wide's conditions are a subset of narrow's. */
bool selector_is_within(const char *narrow, const char *wide);
/* True when no labels can satisfy both: one key with two values. */
bool selector_is_exclusive(const char *a, const char *b);

/* Sorts and joins. E_SYNTAX: a key or value out of its grammar, a key twice, too many. *ret is malloc'd. */
int selector_make(const char *const *keys, const char *const *values, size_t count, char **ret, struct error *err) MUST_USE;
/* Checks canonical text that came from a peer or a file. */
int selector_check(const char *selector, struct error *err) MUST_USE;
/* Calls fn per condition, in order. key and value are not terminated. */
void selector_each(const char *selector, void (*fn)(struct bytes key, struct bytes value, void *context), void *context);
/* The canonical text of an agent's labels, which the store keeps as a JSON object of strings ({"site":"a"}; NULL: none). */
int selector_from_labels(const char *labels_json, char **ret, struct error *err) MUST_USE;
