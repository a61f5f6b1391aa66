/* SPDX-License-Identifier: Apache-2.0 */
#include "holding.h"

#include "crypto/crypto.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void holding_init(struct holding *holding, uv_loop_t *loop)
{
	char dir[] = "/tmp/tlsplane-test-XXXXXX", path[64];
	struct error err = ERROR_NULL;

	memset(holding, 0, sizeof(*holding));
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/keyring", dir);
	ck_assert_msg(keyring_load(path, true, &holding->keyring, &err) == 0, "%s", err.text);
	unlink(path);
	rmdir(dir);
	ck_assert_int_eq(site_cache_new(holding->keyring, 64, &holding->sites, NULL), 0);
	ck_assert_int_eq(trust_cache_new(8, &holding->trusts, NULL), 0);
	holding->context.loop = loop;
	holding->context.keyring = holding->keyring;
	holding->warm_max = 256;
}

void holding_deinit(struct holding *holding)
{
	site_cache_free(holding->sites);
	trust_cache_free(holding->trusts);
	keyring_free(holding->keyring);
}

void holding_begin(struct holding *holding, const struct snapshot *base)
{
	struct error err = ERROR_NULL;

	holding->revision++;
	ck_assert_msg(snapshot_builder_new(&holding->context, base, (struct revision){1, holding->revision}, &DIGEST_NULL,
	                                   &holding->builder, &err) == 0,
	              "%s", err.text);
}

static void put(struct holding *holding, enum kind kind, const char *id, const struct buf *body,
                const struct buf *secret)
{
	struct error err = ERROR_NULL;
	struct snapshot_put put = {
	    .object = {.kind = kind,
	               .id = id,
	               .uid = uid_make(1, holding->revision, 0),
	               .version = holding->revision,
	               .selector = "",
	               .body = BYTES(body->data, body->len)},
	    .secret = secret != NULL ? BYTES(secret->data, secret->len) : BYTES_NULL,
	};

	ck_assert_msg(snapshot_builder_put(holding->builder, &put, &err) == 0, "%s", err.text);
}

static void put_ssl(struct holding *holding, const char *id, const struct ssl_spec *spec, bool client_type, bool broken)
{
	struct buf body = BUF_NULL, secret = BUF_NULL;

	bodies_make_ssl(spec, &body, &secret);
	if (client_type)
		buf_put(&body, "\x40\x01", 2);
	if (broken)
		secret.data[secret.len - 1] ^= 1; /* of the scalar, which comes last */
	put(holding, KIND_SSL, id, &body, &secret);
	buf_deinit(&body);
	buf_deinit(&secret);
}

void holding_put_ssl(struct holding *holding, const char *id, const struct ssl_spec *spec)
{
	put_ssl(holding, id, spec, false, false);
}

void holding_put_broken_ssl(struct holding *holding, const char *id, const struct ssl_spec *spec)
{
	put_ssl(holding, id, spec, false, true);
}

void holding_put_client_ssl(struct holding *holding, const char *id, const struct pki_cert *cert, bool broken)
{
	put_ssl(holding, id, &(struct ssl_spec){.pairs = {cert}}, true, broken);
}

void holding_put(struct holding *holding, enum kind kind, const char *id, const void *message)
{
	struct buf body = BUF_NULL;

	bodies_encode(message, &body);
	put(holding, kind, id, &body, NULL);
	buf_deinit(&body);
}

void holding_remove(struct holding *holding, enum kind kind, const char *id)
{
	struct error err = ERROR_NULL;

	ck_assert_msg(snapshot_builder_remove(holding->builder, kind, id, "", &err) == 0, "%s", err.text);
}

void holding_put_options(struct holding *holding, const char *id, void (*change)(Tlsplane__TlsOptions *options))
{
	Tlsplane__TlsOptions options = TLSPLANE__TLS_OPTIONS__INIT;

	options.has_min_version = options.has_max_version = 1;
	options.min_version = 0x0303;
	options.max_version = 0x0304;
	if (change != NULL)
		change(&options);
	holding_put(holding, KIND_TLS_OPTIONS, id, &options);
}

void holding_put_listener(struct holding *holding, const char *id, const char *host, uint16_t port,
                          const char *upstream, const char *options, uint32_t max_connections)
{
	Tlsplane__Listener listener = TLSPLANE__LISTENER__INIT;
	char protocol[] = "tcp";

	listener.host = (char *)(uintptr_t)host;
	listener.port = port;
	listener.protocol = protocol;
	listener.upstream = (char *)(uintptr_t)upstream;
	listener.tls_options = (char *)(uintptr_t)options;
	listener.has_max_connections = max_connections > 0;
	listener.max_connections = max_connections;
	holding_put(holding, KIND_LISTENER, id, &listener);
}

void holding_put_upstream(struct holding *holding, const char *id, const uint16_t *ports, size_t count)
{
	Tlsplane__Upstream upstream = TLSPLANE__UPSTREAM__INIT;
	Tlsplane__Node nodes[8], *list[8];
	char host[] = "127.0.0.1";

	ck_assert_uint_le(count, 8);
	for (size_t i = 0; i < count; i++) {
		tlsplane__node__init(&nodes[i]);
		nodes[i].host = host;
		nodes[i].port = ports[i];
		nodes[i].weight = 1;
		list[i] = &nodes[i];
	}
	upstream.nodes = list;
	upstream.n_nodes = count;
	upstream.has_connect_timeout_ms = 1;
	upstream.connect_timeout_ms = 1000;
	holding_put(holding, KIND_UPSTREAM, id, &upstream);
}

struct snapshot *holding_finish(struct holding *holding)
{
	struct snapshot_refusal refusal = {0};
	struct error err = ERROR_NULL;
	int r = snapshot_builder_prepare(holding->builder, holding->sites, holding->warm_max, &refusal, &err);
	struct snapshot *snapshot;

	ck_assert_msg(r == 0, "%s %s %s %s", err.text, refusal.id, refusal.field, refusal.reason);
	snapshot = snapshot_builder_finish(holding->builder);
	holding->builder = NULL;
	return snapshot;
}
