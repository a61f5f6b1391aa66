/* SPDX-License-Identifier: Apache-2.0 */
/* The two forms of POST /v1/apply as feeds of items (change.h), read on the pool:
 *
 *   JSON    {"put": [{"kind", "id", "value", "if_match"?, "if_none_match"?}...], "delete": [{"kind", "id", "if_match"?}...]}
 *   NDJSON  a line per item: {"op": "put"|"delete", "kind", "id", "value", "if_match"?, "if_none_match"?}
 *
 * The body's memory goes back as it is read: of JSON when the document is made, of NDJSON line by line. Findings point
 * to "/put/3/value/cert", or "/3/value/cert" where lines are items; empty lines are none. */
#pragma once

#include "base/macros.h"
#include "change/change.h"
#include "http/http.h"

/* http: delivered, and not answered before the feed is gone. NULL without memory. */
struct change_feed *feed_new_json(struct http_request *http);
struct change_feed *feed_new_lines(struct http_request *http);
