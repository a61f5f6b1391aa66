/* SPDX-License-Identifier: Apache-2.0 */
/* One spelling for what a file says and what GET answers, so that they can be compared: both go through the parser and the renderer of the
 * control plane itself (common/model), which check everything that can be checked without other objects. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "model/findings.h"
#include "model/kind.h"

#include <jansson.h>

/* What the control plane would answer to GET, but for uid, version, times and warnings: with x509 blocks, without keys. A new reference in
 * *ret. E_INVALID: findings say what is wrong with the document. The document is not changed. */
int normal_make(enum kind kind, const char *id, json_t *document, struct findings *findings, json_t **ret, struct error *err) MUST_USE;

/* The same for an answer of the control plane: one that this release can't read, or that says what is expected (may be NULL) to the
 * letter, is taken as it is. */
int normal_make_stored(enum kind kind, const char *id, json_t *document, const json_t *expected, json_t **ret, struct error *err) MUST_USE;
