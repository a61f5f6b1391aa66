/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the API as text for a terminal. What the control plane, and through it anybody who may write there, puts into a text
 * never reaches a terminal raw: control characters, DEL, C1 and the marks that turn the direction of writing come out as escapes. */
#pragma once

#include "base/buf.h"
#include "base/macros.h"

#include <jansson.h>
#include <stddef.h>
#include <time.h>

void text_put(struct buf *out, const char *text, size_t len);
void text_put_cstr(struct buf *out, const char *text); /* NULL puts nothing */
/* A string as it is, an array with commas, an object as NAME=VALUE with commas, PEM as the number of its blocks. NULL, null: "-". */
void text_put_json(struct buf *out, const json_t *value);
/* Unix seconds or RFC 3339 text as "2026-11-21 08:24:50Z"; anything else as text_put_json. */
void text_put_time(struct buf *out, const json_t *value);
/* The JSON of a document as lines: indented, ASCII alone. 0 or E_NOMEM. */
int text_put_pretty(struct buf *out, const json_t *document) MUST_USE;
/* Nested lines "name: value"; indent counts steps of two. */
void text_put_lines(struct buf *out, const json_t *object, unsigned indent);

bool text_is_pem(const char *text);
/* RFC 3339 in UTC, as the API writes it. -1: not one. */
time_t text_parse_time(const char *text);
/* How many columns the text takes, one per character of UTF-8. */
size_t text_width(const char *text, size_t len);
