/* SPDX-License-Identifier: Apache-2.0 */
/* Messages over mutual TLS over a uv stream: both ends of the control channel. The owner sees decoded messages; frames, records and
 * back-pressure stay inside. One loop owns a channel and everything it calls.
 *
 *                    handshake ok                 channel_close / peer / error
 *   HANDSHAKING ------------------------> OPEN ------------------------------> CLOSING --> closed (on_close, once)
 *        \_____________________________________________________________________/
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <uv.h>

#define CHANNEL_FRAME_MAX (2u << 20)
#define CHANNEL_ENROLL_FRAME_MAX (32u << 10) /* from who has no certificate, and from whom it asks for one */
#define CHANNEL_QUEUE_HIGH (4u << 20) /* channel_is_writable turns false above */
#define CHANNEL_QUEUE_LOW (1u << 20)  /* on_writable when it falls to this */

#define CHANNEL_ALPN_ENROLL "tlsplane-enroll/1"
#define CHANNEL_ALPN "tlsplane/1"

struct channel;

struct channel_events {
	/* The handshake is done; the owner checks peer and ALPN and may close. */
	void (*on_open)(struct channel *channel, void *owner);
	/* A checked message; borrowed for the call. Closing inside is allowed. */
	void (*on_message)(struct channel *channel, Tlsplane__MessageType type, ProtobufCMessage *message, void *owner);
	/* The queue fell below the low mark after channel_is_writable was false. */
	void (*on_writable)(struct channel *channel, void *owner);
	/* Exactly once, from the loop; the channel's memory goes right after. why, for the owner to log beside channel_address:
	 * E_CLOSED: an orderly end, either side's; E_UNAUTHENTICATED: a certificate was refused, here or there ("certificate
	 * has expired"); E_TIMEOUT; E_IO; E_PROTOCOL, E_TOO_LARGE, E_SYNTAX, E_INVALID: what the peer sent; E_CRYPTO;
	 * E_NOMEM; or what the owner said in channel_close. */
	void (*on_close)(struct channel *channel, const struct error *why, void *owner);
};

/* The TLS side of one role. Shared by all its channels, which live on one loop; built once per certificate. TLS 1.3 only, no
 * tickets, no cache, 0-RTT off. The CA issues the peers' certificates itself: no intermediates. */
struct channel_tls;

struct channel_tls_config {
	bool server;
	X509 *certificate; /* NULL: a client without one (enrolment) */
	EVP_PKEY *key;
	X509 *ca;                  /* the only trust anchor; NULL in a client that pins by ca_sha256 */
	const uint8_t *ca_sha256;  /* 32 bytes: trust exactly the certificate in the peer's chain with this hash; excludes ca */
	const char *const *alpn;   /* server: accepted, client: offered; NULL-terminated. _ENROLL asks for no certificate */
	bool allow_expired_client; /* server: one out of its time but otherwise good passes; ask channel_peer_is_expired */
};

int channel_tls_new(const struct channel_tls_config *config, struct channel_tls **ret, struct error *err) MUST_USE;
struct channel_tls *channel_tls_ref(struct channel_tls *tls);
struct channel_tls *channel_tls_unref(struct channel_tls *tls); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(struct channel_tls, channel_tls_unref);

/* Takes a connected or accepted, not yet reading uv_tcp_t's file descriptor: the channel makes its own handle on loop. On failure the
 * descriptor is closed. Events come only from the loop, never from inside this call. handshake_ms: absolute deadline. */
int channel_start(uv_loop_t *loop, int fd, struct channel_tls *tls, uint64_t handshake_ms, const struct channel_events *events,
                  void *owner, struct channel **ret, struct error *err) MUST_USE;

/* Idempotent; on_close follows and nothing else does. flush: what is queued is sent first, and the peer given time to take it
 * (bounded by 2 s). why may be NULL (orderly) and is copied. */
void channel_close(struct channel *channel, bool flush, const struct error *why);

/* Encodes and queues. E_TOO_LARGE: beyond a frame; E_CLOSED: no longer open. */
int channel_send(struct channel *channel, Tlsplane__MessageType type, const ProtobufCMessage *message, struct error *err) MUST_USE;

/* A payload encoded once and sent to many: its bytes are shared, not copied, until TLS encrypts them. */
struct channel_payload;
int channel_payload_new(Tlsplane__MessageType type, const ProtobufCMessage *message, struct channel_payload **ret,
                        struct error *err) MUST_USE;
struct channel_payload *channel_payload_ref(struct channel_payload *payload);
struct channel_payload *channel_payload_unref(struct channel_payload *payload); /* wipes: it may hold keys */
DEFINE_CLEANUP(struct channel_payload, channel_payload_unref);
size_t channel_payload_len(const struct channel_payload *payload);
int channel_send_payload(struct channel *channel, struct channel_payload *payload, struct error *err) MUST_USE;

/* What is sent between them leaves in one write, at the end. Answers within on_message do so by themselves. */
void channel_cork(struct channel *channel);
void channel_uncork(struct channel *channel);

/* All these may be asked until on_close returns. */
bool channel_is_writable(const struct channel *channel);
X509 *channel_peer(const struct channel *channel); /* borrowed; NULL: none shown */
bool channel_peer_is_expired(const struct channel *channel); /* or not yet valid */
const char *channel_alpn(const struct channel *channel);    /* "" before on_open */
const char *channel_address(const struct channel *channel); /* "127.0.0.1:1234" of the peer, for logs */
STACK_OF(X509) *channel_peer_chain(const struct channel *channel); /* verified: leaf first, CA last; borrowed; may be NULL */
