/* SPDX-License-Identifier: Apache-2.0 */
/* Serve checks: the control plane asks what this agent's listeners show, each question becomes a probe (proxy.h), the answers go back
 * together. A few probes at once; what else comes waits its turn. Main loop. */
#pragma once

#include "base/error.h"
#include "channel.pb-c.h"
#include "proxy/proxy.h"

struct checks_ports {
	int (*probe)(const char *listener_id, const char *sni, enum proxy_probe_key key,
	             void (*done)(const struct proxy_probed *result, void *context), void *context, void *owner, struct error *err);
	int (*send)(Tlsplane__MessageType type, const ProtobufCMessage *message, void *owner, struct error *err);
	void *owner;
};

#define CHECKS_QUESTIONS_MAX 200 /* of a message */
#define CHECKS_WAITING_MAX 32    /* messages; what comes beyond is answered at once, with no leaf */

struct check;

/* Zeroed but for its ports. */
struct checks {
	struct checks_ports ports;
	struct check *first, *last; /* messages, oldest first */
	size_t waiting;
	unsigned under_way; /* probes */
};

void checks_on_message(struct checks *checks, const Tlsplane__ServeCheck *message);
/* Who asked is gone: nothing more is tried or sent. Probes under way end by themselves, before their proxy is closed. */
void checks_forget(struct checks *checks);
