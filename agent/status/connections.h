/* SPDX-License-Identifier: Apache-2.0 */
/* The connection view as JSON. */
#pragma once

#include "base/buf.h"
#include "proxy/proxy.h"

#define CONNECTIONS_LIMIT_MAX 10000
#define CONNECTIONS_LIMIT_DEFAULT 100

/* text: the query parameter; NULL: the default. E_INVALID names it. */
int connections_parse_limit(const char *text, size_t *ret, struct error *err) MUST_USE;

/* {"connections": total, "listeners": [...], "items": [...]} */
void connections_write(const struct proxy *proxy, const struct proxy_conn_list *list, struct buf *out);
/* One element of "items". */
void connections_write_item(const struct proxy_conn_info *info, struct buf *out);
