/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection has to tell: log lines and counters by cause. */
#pragma once

#include "proxy/conn.h"

void conn_log_handshake(const struct conn *conn);              /* debug: version and suite */
void conn_log_failure(const struct conn *conn, int ssl_error); /* counts and tells why, from OpenSSL's error queue */
void conn_log_timeout(const struct conn *conn);
void conn_log_no_upstream(const struct conn *conn);
