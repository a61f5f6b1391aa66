/* SPDX-License-Identifier: Apache-2.0 */
/* Objects for tests of the agent: bodies that pass body_check (certificates are opaque to it), put into builders. */
#pragma once

#include "base/buf.h"
#include "crypto/seal.h"
#include "model/body.h"
#include "snapshot/snapshot.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sample_world {
	uv_loop_t loop;
	struct keyring *keyring;
	struct snapshot_context context;
};

static inline void sample_world_init(struct sample_world *world)
{
	char dir[] = "/tmp/tlsplane-test-XXXXXX", path[64];
	struct error err;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/keyring", dir);
	ck_assert_int_eq(keyring_load(path, true, &world->keyring, &err), 0);
	unlink(path);
	rmdir(dir);
	uv_loop_init(&world->loop);
	world->context = (struct snapshot_context){.loop = &world->loop, .keyring = world->keyring, .hash_key = {1, 2}};
}

static inline void sample_world_deinit(struct sample_world *world)
{
	uv_run(&world->loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&world->loop), 0);
	keyring_free(world->keyring);
}

static inline void sample_encode(const ProtobufCMessage *message, struct buf *out)
{
	ck_assert_int_eq(body_encode(message, out, NULL), 0);
}

struct sample_ssl {
	const char *const *names; /* NULL-terminated */
	int32_t priority;
	const char *tls_options, *ca_bundle;
	const char *salt;   /* stands for the certificate */
	uint64_t not_after; /* 0: absent */
	bool client_type;
	uint32_t depth; /* of `client`; 0: absent */
};

static inline void sample_put_ssl(const struct sample_ssl *sample, struct buf *out)
{
	static uint8_t spki[32];
	const char *salt = sample->salt != NULL ? sample->salt : "certificate";
	ProtobufCBinaryData der = {strlen(salt), (uint8_t *)(uintptr_t)salt};
	Tlsplane__Pair pair = TLSPLANE__PAIR__INIT, *pairs[] = {&pair};
	Tlsplane__ClientAuth client = TLSPLANE__CLIENT_AUTH__INIT;
	Tlsplane__Ssl ssl = TLSPLANE__SSL__INIT;

	pair.key_type = TLSPLANE__KEY_TYPE__KEY_EC_P256;
	pair.n_chain = 1;
	pair.chain = &der;
	pair.spki_sha256 = (ProtobufCBinaryData){32, spki};
	pair.has_not_after = sample->not_after > 0;
	pair.not_after = sample->not_after;
	ssl.has_client_type = ssl.client_type = sample->client_type;
	while (sample->names != NULL && sample->names[ssl.n_snis] != NULL)
		ssl.n_snis++;
	ssl.snis = (char **)(uintptr_t)sample->names;
	ssl.n_pairs = 1;
	ssl.pairs = pairs;
	ssl.tls_options = (char *)(uintptr_t)sample->tls_options;
	ssl.has_priority = sample->priority != 0;
	ssl.priority = sample->priority;
	if (sample->ca_bundle != NULL) {
		client.ca_bundle = (char *)(uintptr_t)sample->ca_bundle;
		client.has_depth = sample->depth > 0;
		client.depth = sample->depth;
		ssl.client = &client;
	}
	sample_encode(&ssl.base, out);
}

static inline void sample_put_options(const char *default_ssl, const char *ca_bundle, struct buf *out)
{
	Tlsplane__ClientAuth client = TLSPLANE__CLIENT_AUTH__INIT;
	Tlsplane__TlsOptions options = TLSPLANE__TLS_OPTIONS__INIT;

	options.has_min_version = options.has_max_version = true;
	options.min_version = 0x0303;
	options.max_version = 0x0304;
	options.default_ssl = (char *)(uintptr_t)default_ssl;
	if (ca_bundle != NULL) {
		client.has_verify = true;
		client.verify = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE;
		client.ca_bundle = (char *)(uintptr_t)ca_bundle;
		options.client_auth = &client;
	}
	sample_encode(&options.base, out);
}

static inline void sample_put_listener(const char *host, uint32_t port, const char *upstream, const char *options,
                                       struct buf *out)
{
	Tlsplane__Listener listener = TLSPLANE__LISTENER__INIT;

	listener.host = (char *)(uintptr_t)host;
	listener.port = port;
	listener.protocol = (char *)(uintptr_t) "tcp";
	listener.upstream = (char *)(uintptr_t)upstream;
	listener.tls_options = (char *)(uintptr_t)options;
	sample_encode(&listener.base, out);
}

/* upstream_tls: NULL: none; "": TLS, but nothing says how. */
static inline void sample_put_tls_upstream(uint32_t port, const char *upstream_tls, struct buf *out)
{
	Tlsplane__Node node = TLSPLANE__NODE__INIT, *nodes[] = {&node};
	Tlsplane__Upstream upstream = TLSPLANE__UPSTREAM__INIT;

	upstream.has_tls = upstream.tls = upstream_tls != NULL;
	if (upstream_tls != NULL && *upstream_tls != '\0')
		upstream.upstream_tls = (char *)(uintptr_t)upstream_tls;

	node.host = (char *)(uintptr_t) "127.0.0.1";
	node.port = port;
	node.weight = 1;
	upstream.n_nodes = 1;
	upstream.nodes = nodes;
	sample_encode(&upstream.base, out);
}

static inline void sample_put_upstream(uint32_t port, struct buf *out)
{
	sample_put_tls_upstream(port, NULL, out);
}

static inline void sample_put_upstream_tls(const char *client_ssl, const char *ca_bundle, struct buf *out)
{
	Tlsplane__UpstreamTls tls = TLSPLANE__UPSTREAM_TLS__INIT;

	tls.client_ssl = (char *)(uintptr_t)client_ssl;
	tls.ca_bundle = (char *)(uintptr_t)ca_bundle;
	sample_encode(&tls.base, out);
}

struct sample_route {
	const char *const *snis, *const *listeners; /* NULL-terminated; listeners NULL: all */
	const char *tls_options, *upstream, *upstream_tls;
	Tlsplane__RouteMode mode;
	int32_t priority;
};

static inline void sample_put_route(const struct sample_route *sample, struct buf *out)
{
	Tlsplane__Route route = TLSPLANE__ROUTE__INIT;

	while (sample->snis[route.n_snis] != NULL)
		route.n_snis++;
	route.snis = (char **)(uintptr_t)sample->snis;
	while (sample->listeners != NULL && sample->listeners[route.n_listeners] != NULL)
		route.n_listeners++;
	route.listeners = (char **)(uintptr_t)sample->listeners;
	route.tls_options = (char *)(uintptr_t)sample->tls_options;
	route.upstream = (char *)(uintptr_t)sample->upstream;
	route.upstream_tls = (char *)(uintptr_t)sample->upstream_tls;
	route.has_mode = sample->mode != TLSPLANE__ROUTE_MODE__ROUTE_TERMINATE;
	route.mode = sample->mode;
	route.has_priority = sample->priority != 0;
	route.priority = sample->priority;
	sample_encode(&route.base, out);
}

static inline void sample_put_bundle(struct buf *out)
{
	static uint8_t der[] = "der";
	ProtobufCBinaryData cert = {3, der};
	Tlsplane__CaBundle bundle = TLSPLANE__CA_BUNDLE__INIT;

	bundle.n_certs = 1;
	bundle.certs = &cert;
	sample_encode(&bundle.base, out);
}

/* Puts what body holds and empties it; version is also the age. */
static inline int sample_put(struct snapshot_builder *builder, enum kind kind, const char *id, const char *selector,
                             uint64_t version, struct buf *body, struct error *err)
{
	struct snapshot_put put = {.object = {.kind = kind,
	                                      .id = id,
	                                      .uid = uid_make(1, version, 0),
	                                      .version = version,
	                                      .selector = selector,
	                                      .body = BYTES(body->data, body->len)}};
	int r;

	if (kind == KIND_SSL)
		put.secret = BYTES("secret-key-bytes", 16);
	r = snapshot_builder_put(builder, &put, err);
	buf_reset(body);
	return r;
}

static inline struct snapshot_builder *sample_builder(struct sample_world *world, const struct snapshot *base,
                                                      uint64_t number)
{
	static const struct digest chain;
	struct snapshot_builder *builder = NULL;
	struct error err;

	ck_assert_int_eq(snapshot_builder_new(&world->context, base, (struct revision){1, number}, &chain, &builder, &err),
	                 0);
	return builder;
}

static inline struct snapshot *sample_finish(struct snapshot_builder *builder)
{
	struct snapshot_refusal refusal = {0};
	struct error err = ERROR_NULL;
	int r = snapshot_builder_prepare(builder, NULL, 0, &refusal, &err);

	ck_assert_msg(r == 0, "%s", err.text);
	return snapshot_builder_finish(builder);
}
