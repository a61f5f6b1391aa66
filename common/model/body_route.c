/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of listeners and routes. What a route's mode does not use is an error: whoever wrote it expects something that would not
 * happen. */
#include "model/address.h"
#include "model/body_tls.h"
#include "model/name.h"

#include <stdio.h>
#include <string.h>

#define SNIS_MAX 1000
#define LISTENERS_MAX 100
#define RATE_MAX 1000000

static void find_limit(struct findings *findings, const char *pointer, bool given, uint32_t value)
{
	if (given)
		body_find_number(findings, pointer, value, 1, RATE_MAX);
}

void body_find_listener(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__Listener *listener = (const Tlsplane__Listener *)body;

	if (!address_is_ip(listener->host) || !address_is_normal(listener->host))
		BODY_ERROR(findings, "invalid-value", "/bind", "the host must be an IP address in its normal form");
	body_find_number(findings, "/bind", listener->port, 1, 65535);
	if (strcmp(listener->protocol, "tcp") != 0)
		BODY_ERROR(findings, "invalid-value", "/protocol", "must be \"tcp\"");
	body_find_id(findings, "/upstream", listener->upstream);
	body_find_id(findings, "/tls_options", listener->tls_options);
	find_limit(findings, "/max_connections", listener->has_max_connections, listener->max_connections);
	body_find_ranges(findings, "/accept_proxy_protocol", listener->accept_proxy_protocol,
	                 listener->n_accept_proxy_protocol);
	find_limit(findings, "/max_handshakes", listener->has_max_handshakes, listener->max_handshakes);
	find_limit(findings, "/handshakes_per_second", listener->has_handshakes_per_second,
	           listener->handshakes_per_second);
}

static bool texts_have_before(char *const *texts, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (strcmp(texts[i], texts[index]) == 0)
			return true;
	return false;
}

static void find_snis(const Tlsplane__Route *route, struct findings *findings)
{
	char pointer[32], pattern[NAME_MAX_LEN + 1];

	body_find_count(findings, "/snis", route->n_snis, 1, SNIS_MAX);
	for (size_t i = 0; i < route->n_snis && i < SNIS_MAX; i++) {
		snprintf(pointer, sizeof(pointer), "/snis/%zu", i);
		if (name_normalise_pattern(route->snis[i], pattern, NULL) < 0 || strcmp(pattern, route->snis[i]) != 0)
			BODY_ERROR(findings, "invalid-value", pointer, "not a pattern in its normal form");
		else if (texts_have_before(route->snis, i))
			BODY_ERROR(findings, "duplicate", pointer, "\"%s\" stands twice", route->snis[i]);
	}
}

static void find_listeners(const Tlsplane__Route *route, struct findings *findings)
{
	char pointer[32];

	body_find_count(findings, "/listeners", route->n_listeners, 0, LISTENERS_MAX);
	for (size_t i = 0; i < route->n_listeners && i < LISTENERS_MAX; i++) {
		snprintf(pointer, sizeof(pointer), "/listeners/%zu", i);
		body_find_id(findings, pointer, route->listeners[i]);
		if (texts_have_before(route->listeners, i))
			BODY_ERROR(findings, "duplicate", pointer, "%s stands twice", route->listeners[i]);
	}
}

static void find_useless(struct findings *findings, const char *pointer, const char *value, const char *why)
{
	if (value != NULL)
		BODY_ERROR(findings, "conflicting-fields", pointer, "%s", why);
}

static void find_mode(const Tlsplane__Route *route, struct findings *findings)
{
	switch (route->mode) {
	case TLSPLANE__ROUTE_MODE__ROUTE_PASSTHROUGH:
		find_useless(findings, "/tls_options", route->tls_options,
		             "with mode \"passthrough\" the upstream, not the agent, speaks TLS with the client");
		find_useless(findings, "/upstream_tls", route->upstream_tls,
		             "with mode \"passthrough\" the client's own TLS goes through to the upstream; it is not wrapped again");
		break;
	case TLSPLANE__ROUTE_MODE__ROUTE_REJECT:
		find_useless(findings, "/tls_options", route->tls_options, "with mode \"reject\" there is no handshake");
		find_useless(findings, "/upstream", route->upstream, "with mode \"reject\" nothing goes to an upstream");
		find_useless(findings, "/upstream_tls", route->upstream_tls, "with mode \"reject\" nothing goes to an upstream");
		if (route->n_allow_clients > 0)
			BODY_ERROR(findings, "conflicting-fields", "/allow_clients",
			           "with mode \"reject\" everybody is refused, whatever the address");
		break;
	default:
		break;
	}
}

void body_find_route(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__Route *route = (const Tlsplane__Route *)body;

	find_snis(route, findings);
	find_listeners(route, findings);
	body_find_id(findings, "/tls_options", route->tls_options);
	body_find_id(findings, "/upstream", route->upstream);
	body_find_id(findings, "/upstream_tls", route->upstream_tls);
	body_find_ranges(findings, "/allow_clients", route->allow_clients, route->n_allow_clients);
	find_mode(route, findings);
}
