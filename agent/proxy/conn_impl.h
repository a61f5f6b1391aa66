/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files that make up a connection: conn.c (states, events), conn_handshake.c (up to the end of the client's
 * handshake), conn_upstream.c (nodes, TLS with them, PROXY headers out), relay.c, judge.c. */
#pragma once

#include "proxy/conn.h"

void conn_move(struct conn *conn, enum conn_state state);
void conn_set_deadline(struct conn *conn, uint64_t due_ms);
void conn_close(struct conn *conn);  /* everything goes but the memory, which an event of this batch may still name */
void conn_linger(struct conn *conn); /* the last words are on their way: the client's rest is read away for a while */
void conn_cut(struct conn *conn);    /* closes so that the upstream does not take what it has for the whole */
void conn_on_upstream_event(struct watch *watch, uint32_t events);

/* conn_handshake.c */
void conn_run_wait_first_byte(struct conn *conn);
void conn_run_proxy_header(struct conn *conn);
void conn_run_handshake(struct conn *conn);
void conn_begin_handshake(struct conn *conn); /* entry to and exit from HANDSHAKE */
void conn_end_handshake(struct conn *conn);

/* conn_upstream.c */
/* What the upstream gets before all else: PROXY header, captured bytes. In HANDSHAKE, when it is over. E_NOMEM. */
int conn_put_ahead(struct conn *conn) MUST_USE;
void conn_connect(struct conn *conn); /* CONNECT has been entered */
void conn_run_connect(struct conn *conn);
void conn_run_upstream_handshake(struct conn *conn);
void conn_upstream_timed_out(struct conn *conn);
void conn_drop_upstream(struct conn *conn); /* socket and TLS of the node */
void conn_prove_upstream(struct conn *conn, bool good); /* in RELAY: the node's first words, once: an alert, or anything else */

/* conn_view.c: IANA's number of the group that was agreed; 0: none. */
uint16_t conn_group_of(SSL *ssl);

/* judge.c: under the rules of now, where they may have changed since it was decided. False: it has been closed. */
bool conn_judge(struct conn *conn);

/* relay.c. Moves what can be moved in this turn of the two ends. */
enum relay_verdict {
	RELAY_GOES_ON,
	RELAY_DONE, /* both ways over, in order */
	RELAY_CLIENT_FAILED,
	RELAY_UPSTREAM_FAILED,
};
enum relay_verdict relay_run(struct conn *conn);
/* What goes to the upstream first: conn->ahead, and behind it what the client has sent already, so that they share a segment. E_NOMEM. */
int relay_begin(struct conn *conn) MUST_USE;
void relay_drop(struct worker *worker, struct flow *flow); /* what it keeps */
