/* SPDX-License-Identifier: Apache-2.0 */
/* Text that others chose, into JSON and into labels of metrics: the only way for it onto a page. */
#pragma once

#include "base/buf.h"

/* A JSON string with its quotes. Controls (DEL and C1 too: a page ends up on terminals) are escaped, each byte that is
 * no UTF-8 becomes U+FFFD. */
void text_put_json(struct buf *out, const char *text);
/* The same, and null for "". */
void text_put_json_or_null(struct buf *out, const char *text);
/* A label's value with its quotes: exposition format 0.0.4. What is no UTF-8 becomes U+FFFD. */
void text_put_label(struct buf *out, const char *value);
