/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection has to tell: log lines, and counters by cause where a failure has one. */
#pragma once

#include "proxy/conn.h"

void conn_log_start(const struct conn *conn);              /* debug */
void conn_log_handshake(const struct conn *conn);          /* debug: version and suite, identity */
void conn_log_passthrough(const struct conn *conn);        /* debug */
void conn_log_failure(struct conn *conn, int ssl_error);   /* counts; why, from our own verdict or OpenSSL's error queue */
void conn_log_refusal(const struct conn *conn, const char *reason); /* counts; before there was an SSL */
void conn_log_timeout(const struct conn *conn);
void conn_log_no_upstream(const struct conn *conn, const char *message);
void conn_log_upstream_handshake(const struct conn *conn); /* debug; what was let pass under PERMISSIVE: counts, warning */
void conn_log_upstream_tls(const struct conn *conn, enum origin_cause cause, const char *reason); /* counts */
void conn_log_closed_on_tighten(const struct conn *conn, const char *reason);                     /* counts */
/* Counts; one line a second. name: of a limit per name, else "". */
void conn_log_limit(struct worker *worker, const struct point *point, enum limit limit, const char *name);
