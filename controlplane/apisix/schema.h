/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Schema, as far as schema/apisix-ssl.json needs it, judged in the words of APISIX's validator: the first thing wrong, in Lua's names
 * of types. Pure. */
#pragma once

#include "base/macros.h"

#include <jansson.h>
#include <stdbool.h>

#define SCHEMA_TEXT_MAX 768

/* The schema of SSL objects. New reference; NULL without memory. */
json_t *schema_load(void);
/* False: text says why. Of the value nothing is quoted but what a pattern refuses (names, labels, ids), escaped and short. */
bool schema_fits(json_t *schema, json_t *value, char text[SCHEMA_TEXT_MAX]) MUST_USE;
