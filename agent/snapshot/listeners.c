/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners by address, with what they refer to. They are few, and their neighbours change under them: the array is
 * made anew with each set of views. */
#include "model/effective.h"
#include "snapshot/refuse.h"
#include "snapshot/views.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One spelling per address: it is the key of a socket. */
int listener_format_address(const Tlsplane__Listener *body, char address[LISTENER_ADDRESS_MAX])
{
	struct in_addr v4;
	struct in6_addr v6;
	char host[INET6_ADDRSTRLEN];

	if (body->port == 0 || body->port > UINT16_MAX)
		return E_INVALID;
	if (inet_pton(AF_INET, body->host, &v4) == 1 && inet_ntop(AF_INET, &v4, host, sizeof(host)) != NULL)
		snprintf(address, LISTENER_ADDRESS_MAX, "%s:%u", host, body->port);
	else if (inet_pton(AF_INET6, body->host, &v6) == 1 && inet_ntop(AF_INET6, &v6, host, sizeof(host)) != NULL)
		snprintf(address, LISTENER_ADDRESS_MAX, "[%s]:%u", host, body->port);
	else
		return E_INVALID;
	return 0;
}

/* References were found held; only "default" may be missing. */
static int add_listener(void *value, void *context)
{
	struct views_build *build = context;
	struct views *views = build->views;
	const struct listener_box *box = value;
	const Tlsplane__Listener *body = (const Tlsplane__Listener *)box->box.body;
	const struct upstream_box *upstream =
	    body->upstream != NULL ? views_find(views, KIND_UPSTREAM, body->upstream) : NULL;
	const struct options_box *options =
	    body->tls_options != NULL ? views_find(views, KIND_TLS_OPTIONS, body->tls_options) : NULL;

	if (options == NULL && views->fallback == NULL)
		return refuse(build->refusal, build->err, TLSPLANE__NACK_CODE__NACK_PROFILE, box->box.entry, "/tls_options",
		              "TLS options \"%s\" are not in this holding",
		              body->tls_options != NULL ? body->tls_options : "default");
	views->listeners[views->listeners_len++] = (struct listener_view){
	    .entry = box->box.entry,
	    .id = box->box.entry->id,
	    .address = box->address,
	    .body = body,
	    .options = options != NULL ? (struct options_view *)(uintptr_t)&options->view : NULL,
	    .upstream = upstream != NULL ? upstream->view.upstream : NULL,
	    .max_connections = effective_max_connections(body),
	};
	return 0;
}

static int compare_addresses(const void *a, const void *b)
{
	const struct listener_view *x = a, *y = b;
	int order = strcmp(x->address, y->address);

	return order != 0 ? order : strcmp(x->id, y->id);
}

int views_make_listeners(struct views_build *build)
{
	struct views *views = build->views;
	const struct trie *boxes = &views->boxes[KIND_LISTENER];
	int r;

	if (boxes->count == 0)
		return 0;
	views->listeners = calloc(boxes->count, sizeof(views->listeners[0]));
	if (views->listeners == NULL)
		return error_nomem(build->err);
	r = trie_each(boxes, add_listener, build);
	if (r < 0)
		return r;
	qsort(views->listeners, views->listeners_len, sizeof(views->listeners[0]), compare_addresses);
	for (size_t i = 1; i < views->listeners_len; i++) {
		const struct listener_view *view = &views->listeners[i];

		if (strcmp(view[-1].address, view->address) == 0)
			return refuse(build->refusal, build->err, TLSPLANE__NACK_CODE__NACK_PROFILE, view->entry, "/bind",
			              "listener \"%s\" has the same address", view[-1].id);
	}
	return 0;
}
