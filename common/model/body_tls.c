/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of TLS options; those of versions, suites, groups and ALPN are in body_crypto.c. */
#include "model/body_tls.h"

#define HANDSHAKE_TIMEOUT_MIN_MS 100
#define HANDSHAKE_TIMEOUT_MAX_MS 300000
#define HANDSHAKES_MAX 1000000 /* under way, and per second */
#define TICKETS_MAX 8
#define TICKET_LIFETIME_MAX_S 86400 /* for as long as the control plane keeps a ticket key after its last use */

static void find_rest(const Tlsplane__TlsOptions *options, struct findings *findings)
{
	const Tlsplane__ClientAuth *client = options->client_auth;
	const Tlsplane__SessionTickets *tickets = options->session_tickets;

	body_find_id(findings, "/default_ssl", options->default_ssl);
	if (client != NULL)
		body_find_client_auth(client, "/client_auth", TLSPLANE__CLIENT_VERIFY__VERIFY_NONE, false, findings);
	if (options->has_handshake_timeout_ms && (options->handshake_timeout_ms < HANDSHAKE_TIMEOUT_MIN_MS ||
	                                          options->handshake_timeout_ms > HANDSHAKE_TIMEOUT_MAX_MS))
		BODY_ERROR(findings, "out-of-range", "/handshake_timeout", "must be 0.1 to 300 seconds");
	if (options->has_max_handshakes)
		body_find_number(findings, "/max_handshakes", options->max_handshakes, 1, HANDSHAKES_MAX);
	if (options->has_handshakes_per_second)
		body_find_number(findings, "/handshakes_per_second", options->handshakes_per_second, 1, HANDSHAKES_MAX);
	if (tickets != NULL && tickets->has_count)
		body_find_number(findings, "/session_tickets/count", tickets->count, 1, TICKETS_MAX);
	if (tickets != NULL && tickets->has_lifetime_s)
		body_find_number(findings, "/session_tickets/lifetime", tickets->lifetime_s, 1, TICKET_LIFETIME_MAX_S);
}

void body_find_tls_options(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__TlsOptions *options = (const Tlsplane__TlsOptions *)body;
	const struct body_crypto crypto = {
		.min_version_unset = 0x0304,
		.min_version = options->has_min_version ? options->min_version : 0,
		.max_version = options->has_max_version ? options->max_version : 0,
		.cipher_suites = options->cipher_suites,
		.n_cipher_suites = options->n_cipher_suites,
		.curve_preferences = options->curve_preferences,
		.n_curve_preferences = options->n_curve_preferences,
		.alpn_protocols = options->alpn_protocols,
		.n_alpn_protocols = options->n_alpn_protocols,
	};

	body_find_crypto(&crypto, findings);
	find_rest(options, findings);
}
