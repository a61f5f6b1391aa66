/* SPDX-License-Identifier: Apache-2.0 */
/* What clients of APISIX's admin API send, checked in its words and made a document of ours. Every refusal is E_SYNTAX (HTTP 400) whose
 * text is the error_msg. Pure. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "model/kind.h"

#include <jansson.h>
#include <stdbool.h>

#define INPUT_BODY_MAX (3u << 19) /* 1.5 MiB, as there */

/* Any JSON value, scalars too; *ret NULL for no body and for null. "invalid request body: ...", which never quotes it. */
int input_load(struct bytes body, json_t **ret, struct error *err) MUST_USE;

/* Between path and body: who names the object. path_id "": nobody. An id in document becomes text. */
int input_take_id(json_t *document, const char *path_id, char ret_id[ID_MAX + 1], struct error *err) MUST_USE;
/* That nobody does. */
int input_has_no_id(json_t *document, const char *path_id, struct error *err) MUST_USE;
/* create_time and update_time are the server's. */
int input_has_no_times(json_t *document, struct error *err) MUST_USE;

/* The schema, without the words "invalid configuration". schema: of schema_load, for who has many documents; NULL: it is loaded for
 * this one. */
int input_check_schema(json_t *document, json_t *schema, struct error *err) MUST_USE;
/* Takes from our form of an object what its writer had left to the defaults; what input_translate has noted goes. */
void input_restore(json_t *document);
/* The schema, where a missing key may be one that is stored; what APISIX has and we don't; then changes document to what ours is, with
 * "spelled" noting which defaults were written out. */
int input_translate(json_t *document, json_t *schema, struct error *err) MUST_USE;

/* Sets what stands at the path below document ("labels/team"), making objects on the way. */
int input_set_at(json_t *document, const char *const *path, size_t len, json_t *value, struct error *err) MUST_USE;
