/* SPDX-License-Identifier: Apache-2.0 */
/* For whom a route is, and what an absent field means. */
#include "resolve/decide.h"

#include <string.h>

#define TICKETS_COUNT 2
#define TICKETS_LIFETIME_S 43200
#define HANDSHAKE_TIMEOUT_MS 10000

bool decide_route_is_for(const Tlsplane__Route *route, const char *listener_id, bool *ret_names_it)
{
	bool names_it = false;

	for (size_t i = 0; i < route->n_listeners && !names_it; i++)
		names_it = strcmp(route->listeners[i], listener_id) == 0;
	*ret_names_it = names_it;
	return names_it || route->n_listeners == 0;
}

struct decide_tickets decide_tickets_of(const Tlsplane__TlsOptions *options)
{
	const Tlsplane__SessionTickets *given = options->session_tickets;
	struct decide_tickets tickets = {true, TICKETS_COUNT, TICKETS_LIFETIME_S};

	if (given == NULL)
		return tickets;
	if (given->has_enabled)
		tickets.enabled = given->enabled;
	if (given->has_count)
		tickets.count = given->count;
	if (given->has_lifetime_s)
		tickets.lifetime_s = given->lifetime_s;
	if (!tickets.enabled)
		tickets.count = 0;
	return tickets;
}

uint32_t decide_handshake_timeout_ms_of(const Tlsplane__TlsOptions *options)
{
	return options->has_handshake_timeout_ms ? options->handshake_timeout_ms : HANDSHAKE_TIMEOUT_MS;
}

/* The server's order decides (RFC 7301 3.2). */
int decide_alpn(const Tlsplane__TlsOptions *options, const char *const *offered, size_t count)
{
	if (options->n_alpn_protocols == 0 || count == 0)
		return -1;
	for (size_t i = 0; i < options->n_alpn_protocols; i++) {
		for (size_t j = 0; j < count; j++) {
			if (strcmp(options->alpn_protocols[i], offered[j]) == 0)
				return (int)i;
		}
	}
	return E_NOT_FOUND;
}
