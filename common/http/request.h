/* SPDX-License-Identifier: Apache-2.0 */
/* One request, inside common/http.
 *
 *   HEAD --last byte--> DELIVERED --http_reply--> ANSWERED --sent or connection lost--> (freed)
 *     \____ refused, or answered by on_head: ______/
 *   DELIVERED --the server closes--> ORPHANED --http_reply--> (freed)
 *
 * While DELIVERED the MHD connection is suspended; while ORPHANED there is none. */
#pragma once

#include "http/body.h"
#include "http/http.h"
#include "http/sockaddr.h"
#include "http/target.h"

#include <microhttpd.h>

enum request_state { REQUEST_HEAD, REQUEST_DELIVERED, REQUEST_ANSWERED, REQUEST_ORPHANED };

#define REQUEST_ID_MAX 64

struct http_request {
	struct http_server *server;           /* NULL while ORPHANED */
	struct MHD_Connection *connection;    /* NULL while ORPHANED */
	struct http_request *next, *previous; /* of the server's list */
	enum request_state state;
	bool started;   /* the handler has seen the head */
	bool adopted;   /* on_head let it pass: on_request or on_drop follows */
	bool suspended; /* DELIVERED, and the handler has returned */
	bool large;     /* has one of the places for large bodies */
	bool last;      /* the connection ends with the answer */
	bool is_unix;   /* came over the Unix socket */
	uint64_t begun; /* ms of the loop */
	char method[16];
	char id[REQUEST_ID_MAX + 1];
	char peer[SOCKADDR_TEXT_MAX];
	struct target target;
	int target_code; /* what target_parse said */
	char *target_refusal;
	size_t body_limit;
	size_t dropped; /* bytes of body that came after the answer was decided */
	struct body body;
	uv_loop_t *loop;
	int reply_status;
	struct MHD_Response *reply; /* owned until queued; NULL while ANSWERED: no memory, close */
	void *data;
};

/* target: as on the wire. NULL without memory. */
struct http_request *request_new(uv_loop_t *loop, struct MHD_Connection *connection, const char *target);
void request_free(struct http_request *request);
bool request_awaits_continue(const struct http_request *request);
/* Moves along an edge of the drawing; asserts that there is one. */
void request_set_state(struct http_request *request, enum request_state state);
/* Takes what becomes known with the head: method and request id. */
void request_take_head(struct http_request *request, const char *method);
/* Builds MHD's response; closing adds "Connection: close". Leaves reply NULL without memory. */
void request_set_reply(struct http_request *request, const struct http_reply *reply, bool closing);
