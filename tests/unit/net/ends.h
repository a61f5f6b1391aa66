/* SPDX-License-Identifier: Apache-2.0 */
/* Two channels in one loop over loopback TCP, and a raw TLS client in a process of its own for what a channel would never do. */
#pragma once

#include "base/error.h"
#include "net/channel.h"

#include <openssl/x509.h>
#include <uv.h>

/* One CA with a certificate for each role, and a second CA of the same name. */
struct pki {
	X509 *ca, *controlplane, *agent, *expired_agent, *other_ca, *other_controlplane, *other_agent;
	EVP_PKEY *ca_key, *other_ca_key, *key;
};

void pki_make(struct pki *pki);
void pki_free(struct pki *pki);

/* One end of a channel and what happened to it. Hooks run inside the event. */
struct end {
	struct channel *channel; /* NULL after on_close */
	int opened, closed, messages, writable;
	size_t bytes; /* payload bytes of Renew messages */
	struct error why;
	char alpn[32];
	bool peer_is_expired;
	Tlsplane__MessageType last_type;
	void (*on_open)(struct end *end);
	void (*on_message)(struct end *end, Tlsplane__MessageType type, const ProtobufCMessage *message);
	void (*on_writable)(struct end *end);
	void *context;
};

extern const struct channel_events end_events;

void end_start(struct end *end, uv_loop_t *loop, int fd, struct channel_tls *tls, uint64_t handshake_ms);

/* A message of about `len` bytes. */
int end_send_renew(struct end *end, size_t len, struct error *err);

/* Connected sockets: [0] accepted, [1] connecting. */
void sockets_make(int fds[2]);

struct channel_tls *tls_server(X509 *certificate, EVP_PKEY *key, X509 *ca, bool allow_expired);
/* alpn NULL: CHANNEL_ALPN. certificate NULL: none. ca NULL: pin. */
struct channel_tls *tls_client(const char *alpn, X509 *certificate, EVP_PKEY *key, X509 *ca, const uint8_t *pin);

/* Runs both ends to their close (the server closes when the client's Hello has come, unless hooks say otherwise). Takes both tls. */
void ends_run(struct end *server, struct channel_tls *server_tls, struct end *client, struct channel_tls *client_tls);

/* What a raw client does: connects, sends bytes inside TLS, reads to the end. */
struct raw_client {
	const char *alpn; /* wire form, e.g. "\012tlsplane/1"; NULL: no extension */
	X509 *certificate;
	EVP_PKEY *key;
	int max_version;    /* 0: any */
	struct bytes bytes; /* sent in TLS */
	bool without_tls;   /* sent as they are instead */
	unsigned sleep_ms;  /* before reading */
};

/* Exit status of the client's process: RAW_* ored. */
enum { RAW_CONNECTED = 1, RAW_CLOSED_WELL = 2, RAW_GOT_TICKET = 4, RAW_ALERT_NO_PROTOCOL = 8, RAW_ALERT_VERSION = 16 };
/* Runs server against it until both are done. */
int ends_run_raw(struct end *server, struct channel_tls *server_tls, uint64_t handshake_ms,
                 const struct raw_client *client);
