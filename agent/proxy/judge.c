/* SPDX-License-Identifier: Apache-2.0 */
/* Open connections under rules that have tightened. Each publication of such rules raises the worker's generation, after which a pass goes
 * over its connections, from the youngest to the oldest, for a moment per turn: a judgement may cost a verification. Connections that come
 * meanwhile were decided under the new rules; those whose handshake was under way are judged when it is done (conn_handshake.c).
 *
 * Rules that tighten during a pass do not start it anew, or who publishes often enough would keep the oldest connections from ever being
 * judged: the pass goes on under the newest rules, and the next one judges whom it had judged under older ones. */
#include "proxy/conn_impl.h"
#include "proxy/conn_log.h"

#include <openssl/err.h>

/* A handshake takes some four turns, and waits for a slice in each. */
#define BUSY_TURN_NS 500000
#define IDLE_TURN_NS 2000000

bool conn_judge(struct conn *conn)
{
	struct hello *hello = &conn->hello;
	struct error why = ERROR_NULL;
	bool is_tls = conn->client.ssl != NULL;

	conn->generation = conn->worker->generation;
	if (hello_judge(&conn->worker->hello, conn->point->address, hello->name, &hello->client, conn->client.ssl,
	                is_tls ? &hello->seat : NULL, &why) == 0)
		return true;
	ERR_clear_error();
	conn_log_closed_on_tighten(conn, why.text);
	conn_cut(conn);
	return false;
}

bool judge_is_due(const struct worker *worker)
{
	return worker->walks[WALK_JUDGE] != NULL || worker->pass != worker->generation;
}

void judge_some(struct worker *worker, bool is_idle)
{
	struct conn **at = &worker->walks[WALK_JUDGE], *conn;
	uint64_t until = uv_hrtime() + (is_idle ? IDLE_TURN_NS : BUSY_TURN_NS);

	if (*at == NULL) {
		*at = worker->conns.last;
		worker->pass = worker->generation;
	}
	while ((conn = *at) != NULL) {
		bool is_open = conn->state == CONN_CONNECT || conn->state == CONN_UPSTREAM_HANDSHAKE || conn->state == CONN_RELAY;

		*at = conn->prev;
		if (is_open && conn->generation != worker->generation)
			conn_judge(conn);
		if (uv_hrtime() >= until)
			return;
	}
}
