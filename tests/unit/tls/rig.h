/* SPDX-License-Identifier: Apache-2.0 */
/* The server side of agent/tls as the proxy puts it together (profile, trust, certificate, tickets, session-id context), for handshakes in
 * memory under one policy or another. All SSLs come from one front. Whatever fails ends the test. */
#pragma once

#include "channel.pb-c.h"
#include "pki.h"
#include "shake.h"
#include "tls/profile.h"
#include "tls/seat.h"
#include "tls/tickets.h"
#include "tls/trust.h"

struct rig_rules {
	Tlsplane__ClientVerify mode;
	const struct pki_cert *cas[34]; /* NULL ends */
	uint32_t depth;                 /* 0: 1 */
	bool flat;                      /* depth 0 */
	const Tlsplane__ClientAuth *parts[2];
	const ProtobufCBinaryData *crls;
	size_t crls_len;
	bool accept_stale, hide_names, map_identity;
};

/* A reference. */
struct trust *rig_trust(const struct rig_rules *rules);
/* Versions [min, max], suites of TLS 1.2 and 1.3 by code; 0: the default. A reference. */
struct profile *rig_profile(uint16_t min, uint16_t max, uint32_t suite12, uint32_t suite13);

struct rig_policy {
	const char *name; /* in the session-id context */
	const struct profile *profile;
	struct trust *trust;
	struct ticket_rules tickets;
	/* Mistakes, to see that a test sees them: one session-id context for all; a server that keeps sessions. */
	bool shares_context, caches;
};

struct rig {
	struct hello_hook hook;
	const struct rig_policy *policy;
	int calls;
	struct seat seat; /* settled */
	uint8_t chain_len; /* of its facts; 0: none */
	struct shake shake;
};

void rig_run(const struct rig_policy *policy, const struct shake_spec *spec, struct rig *ret);
bool rig_resumed(const struct rig *rig); /* and complete */
SSL_SESSION *rig_session(const struct rig *rig); /* the newest that the client has; a reference */
void rig_deinit(struct rig *rig);
