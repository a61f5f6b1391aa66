/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's end of the ClientHello without the worker: published snapshots, and handshakes in memory that are decided
 * over them. */
#pragma once

#include "crypto/crypto.h"
#include "holding.h"
#include "proxy/hello.h"
#include "shake.h"
#include "unit.h"

#define ADDRESS "127.0.0.1:8443"

static uv_loop_t loop;
static uv_async_t news; /* nobody listens: what is noted is taken by hand */
static struct holding holding;
static struct hello_context context;
static SSL_CTX *front;
static const struct ip client_ip = {{127, 0, 0, 1}, 4};
static struct pki_cert *ca, *other_ca, *middle, *cert_a, *cert_b, *cert_wild, *cert_any, *cert_mtls, *client,
    *far_client, *other_client;

static inline struct pki_cert *leaf(const char *name, const struct pki_cert *issuer)
{
	return pki_make(&(struct pki_spec){.name = name, .issuer = issuer, .sans = "DNS:x.test"});
}

static inline void setup(void)
{
	uv_loop_init(&loop);
	ck_assert_int_eq(uv_async_init(&loop, &news, NULL), 0);
	ck_assert_int_eq(failures_new(&news, &context.failures, NULL), 0);
	holding_init(&holding, &loop);
	ca = pki_make(&(struct pki_spec){.name = "ca", .is_ca = true});
	other_ca = pki_make(&(struct pki_spec){.name = "other ca", .is_ca = true});
	middle = pki_make(&(struct pki_spec){.name = "middle", .is_ca = true, .issuer = ca});
	cert_a = leaf("a", ca);
	cert_b = leaf("b", ca);
	cert_wild = leaf("wild", ca);
	cert_any = leaf("any", ca);
	cert_mtls = leaf("mtls", ca);
	client = leaf("client", ca);
	far_client = leaf("far client", middle);
	other_client = leaf("other client", other_ca);
	ck_assert_int_eq(front_new(&front, NULL), 0);
	ck_assert_int_eq(roots_new(1, &context.roots, NULL), 0);
	ck_assert_int_eq(site_new_self_signed(&context.fallback, NULL), 0);
	ck_assert_int_eq(crypto_hash_key(&context.hash_key, NULL), 0);
	context.sites = holding.sites;
	context.trusts = holding.trusts;
}

static inline void teardown(void)
{
	roots_free(context.roots);
	context.failures = failures_free(context.failures);
	uv_close((uv_handle_t *)&news, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	site_unref(context.fallback);
	SSL_CTX_free(front);
	holding_deinit(&holding);
	for (struct pki_cert **at = (struct pki_cert *[]){ca, other_ca, middle, cert_a, cert_b, cert_wild, cert_any,
	                                                  cert_mtls, client, far_client, other_client, NULL};
	     *at != NULL; at++)
		pki_free(*at);
}

static inline void put_frame(void)
{
	const uint16_t port = 9;

	holding_begin(&holding, NULL);
	holding_put_upstream(&holding, "u", &port, 1);
	holding_put_listener(&holding, "l", "127.0.0.1", 8443, "u", NULL, 0);
}

static inline void publish(void)
{
	roots_publish(context.roots, holding_finish(&holding), NULL, 0);
}

static inline enum hello_cause run(const struct shake_spec *spec, struct shake *shake)
{
	struct hello hello;
	enum hello_cause cause;

	hello_init(&hello, &context, ADDRESS, &client_ip);
	shake_run(front, &hello.hook, spec, shake);
	ck_assert(!shake->done || hello.upstream != NULL);
	cause = hello.cause;
	hello_deinit(&hello);
	return cause;
}
