/* SPDX-License-Identifier: Apache-2.0 */
/* Open connections under rules that have tightened. Each publication of such rules raises the worker's generation and starts a pass over
 * its connections, from the youngest to the oldest, for a moment per turn: a judgement may cost a verification. Connections that come
 * meanwhile were decided under the new rules; those whose handshake was under way are judged when it is done (conn_handshake.c). */
#include "proxy/conn_impl.h"
#include "proxy/conn_log.h"

#include <openssl/err.h>

#define TURN_NS 2000000

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

void judge_some(struct worker *worker)
{
	struct conn **at = &worker->walks[WALK_JUDGE], *conn;
	uint64_t until = uv_hrtime() + TURN_NS;

	while ((conn = *at) != NULL) {
		bool is_open = conn->state == CONN_CONNECT || conn->state == CONN_UPSTREAM_HANDSHAKE || conn->state == CONN_RELAY;

		*at = conn->prev;
		if (is_open && conn->generation != worker->generation) {
			conn_judge(conn);
			if (uv_hrtime() >= until)
				return;
		}
	}
}
