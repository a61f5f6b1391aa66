/* SPDX-License-Identifier: Apache-2.0 */
/* The Nth allocation of our own code fails, in a running data plane and in its decisions: whoever must not pass never does, nothing is
 * left behind (the sanitizers look), and what comes after is served. */
#include "allocations.h"
#include "hello_plane.h"
#include "origins.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

/* Decisions ---------------------------------------------------------------------------------------------------------- */

static void put_mtls(const struct pki_cert *anchor)
{
	holding_put_ssl(&holding, "m", &(struct ssl_spec){.snis = {"m.test"}, .pairs = {cert_mtls}, .client_ca = anchor});
}

/* A hello whose decision runs short of memory; the test's own code does not. */
struct short_hello {
	struct hello_hook hook;
	struct hello hello;
	size_t at;
	bool failed;
};

static int on_hello(struct hello_hook *hook, SSL *ssl, int *alert)
{
	struct short_hello *outer = container_of(hook, struct short_hello, hook);
	int r;

	allocations_fail_at(outer->at);
	r = outer->hello.hook.decide(&outer->hello.hook, ssl, alert);
	outer->failed = allocations_stop();
	return r;
}

/* Caches are empty each time, so that all is made anew. */
static bool shakes_at(size_t n, const struct pki_cert *cert, bool *ret_failed)
{
	struct short_hello outer = {.hook = {on_hello}, .at = n};
	struct shake shake;
	bool done;

	ck_assert_int_eq(trust_cache_new(4, &context.trusts, NULL), 0);
	ck_assert_int_eq(site_cache_new(holding.keyring, 4, &context.sites, NULL), 0);
	hello_init(&outer.hello, &context, ADDRESS, &client_ip);
	shake_run(front, &outer.hook, &(struct shake_spec){.sni = "m.test", .cert = cert, .max = TLS1_2_VERSION}, &shake);
	*ret_failed = outer.failed;
	done = shake.done;
	shake_deinit(&shake);
	hello_deinit(&outer.hello);
	trust_cache_free(context.trusts);
	site_cache_free(context.sites);
	return done;
}

START_TEST(test_hello)
{
	bool failed = true, done = false;
	size_t refused = 0;

	setup();
	put_frame();
	holding_put_options(&holding, "modern", NULL);
	put_mtls(ca);
	publish();
	for (size_t n = 1; failed; n++) {
		ck_assert(!shakes_at(n, NULL, &failed));
		ck_assert(!shakes_at(n, other_client, &failed));
		done = shakes_at(n, client, &failed);
		refused += !done;
	}
	ck_assert(done);
	ck_assert_uint_gt(refused, 5);
	teardown();
}
END_TEST

/* Not known whether it may stay: that is no leave to stay. */
START_TEST(test_judge)
{
	struct hello hello;
	struct shake shake;
	bool failed = true;
	int r = 0;

	setup();
	put_frame();
	holding_put_options(&holding, "modern", NULL);
	put_mtls(ca);
	publish();
	hello_init(&hello, &context, ADDRESS, &client_ip);
	shake_run(front, &hello.hook, &(struct shake_spec){.sni = "m.test", .cert = client}, &shake);
	ck_assert(shake.done);
	holding_begin(&holding, roots_current(context.roots)->snapshot);
	put_mtls(other_ca);
	publish();
	for (size_t n = 1; failed; n++) {
		struct error why = ERROR_NULL;

		allocations_fail_at(n);
		r = hello_judge(&context, ADDRESS, "m.test", &client_ip, shake.server, &hello.seat, &why);
		failed = allocations_stop();
		ck_assert_int_lt(r, 0);
	}
	ck_assert_int_eq(r, E_FORBIDDEN);
	shake_deinit(&shake);
	hello_deinit(&hello);
	teardown();
}
END_TEST

/* Connections -------------------------------------------------------------------------------------------------------- */

static struct plane plane;
static struct pki_cert *origin_ca, *origin_cert;
static atomic_bool origin_ends;

static Tlsplane__ClientAuth client_auth;
static ProtobufCBinaryData client_ca;

static void ask_clients(Tlsplane__TlsOptions *options)
{
	tlsplane__client_auth__init(&client_auth);
	client_auth.has_verify = client_auth.has_map_identity = client_auth.map_identity = 1;
	client_auth.verify = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE;
	client_auth.ca = &client_ca;
	client_auth.n_ca = 1;
	options->client_auth = &client_auth;
}

static void use_v2(Tlsplane__Upstream *upstream)
{
	upstream->has_send_proxy_protocol = 1;
	upstream->send_proxy_protocol = 2;
}

static void use_tls(Tlsplane__Upstream *upstream)
{
	static char id[] = "t";

	use_v2(upstream);
	upstream->has_tls = 1;
	upstream->tls = 1;
	upstream->upstream_tls = id;
}

/* Says "y" to whoever comes, over TLS where that is asked for, and ends. */
static void answer(int fd, bool tls)
{
	const struct timeval patience = {.tv_sec = 1};
	uint8_t header[1024];
	struct peer peer;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (recv(fd, header, 16, MSG_PEEK) != 16) {
		close(fd);
		return;
	}
	origin_read_header(fd, header, sizeof(header));
	if (!tls) {
		send(fd, "y", 1, MSG_NOSIGNAL);
		close(fd);
	} else if (origin_accept(&peer, fd, origin_cert)) {
		SSL_write(peer.ssl, "y", 1);
		SSL_shutdown(peer.ssl);
		peer_close(&peer);
	}
}

static void *run_origin(void *tls)
{
	allocations_spare_thread(true);
	while (!origin_ends) {
		struct pollfd waits = {.fd = plane.backend, .events = POLLIN};

		if (poll(&waits, 1, 10) == 1)
			answer(accept(plane.backend, NULL, NULL), tls != NULL);
	}
	return NULL;
}

/* True: it was let through to the origin and heard from it. */
static bool is_served(const struct pki_cert *cert)
{
	struct peer peer;
	bool served = false;
	char byte;

	if (!peer_connect_as(&peer, plane.port, cert))
		return false;
	served = SSL_read(peer.ssl, &byte, 1) == 1 && byte == 'y';
	peer_close(&peer);
	return served;
}

static void ask_clients_otherwise(Tlsplane__TlsOptions *options)
{
	ask_clients(options);
	client_auth.has_depth = 1;
	client_auth.depth = 5;
}

static void start(struct pki_cert **ret_client)
{
	plane_init(&plane, 1);
	origin_ca = pki_make(&(struct pki_spec){.name = "ca", .is_ca = true});
	origin_cert = pki_make(&(struct pki_spec){.name = "origin", .sans = "IP:127.0.0.1", .issuer = origin_ca});
	*ret_client = pki_make(&(struct pki_spec){.name = "client", .sans = "email:me@x.test", .issuer = origin_ca});
	client_ca = bodies_der(origin_ca);
	plane_begin(&plane);
	holding_put_options(&plane.holding, "modern", ask_clients);
}

static void finish(struct pki_cert *cert)
{
	plane_deinit(&plane);
	free(client_ca.data);
	pki_free(cert);
	pki_free(origin_cert);
	pki_free(origin_ca);
}

static void fail_each(void (*upstream)(Tlsplane__Upstream *upstream), bool tls)
{
	struct pki_cert *good, *stranger, *stranger_ca;
	bool failed = true, served = false;
	pthread_t thread;

	allocations_spare_thread(true);
	start(&good);
	stranger_ca = pki_make(&(struct pki_spec){.name = "other", .is_ca = true});
	stranger = pki_make(&(struct pki_spec){.name = "stranger", .issuer = stranger_ca});
	plane_put_upstream_tls(&plane, "t", origin_ca, NULL);
	plane_put_upstream(&plane, "u", &plane.backend_port, 1, upstream);
	plane_publish(&plane);
	origin_ends = false;
	pthread_create(&thread, NULL, run_origin, tls ? &plane : NULL);
	close(connect_to_port(plane.port)); /* the worker has its socket: what fails from here on is a connection's */
	plane_wait_for(&plane, connections_accepted, 1);
	for (size_t n = 1; failed; n++) {
		allocations_fail_at(n);
		served = is_served(good);
		failed = allocations_stop();
		allocations_fail_at(n);
		ck_assert(!is_served(stranger) && !is_served(NULL));
		allocations_stop();
	}
	ck_assert(served);
	for (int i = 0; i < 500 && plane_counters(&plane).connections_open > 0; i++)
		plane_run(&plane, 10);
	ck_assert_uint_eq(plane_counters(&plane).connections_open, 0);
	ck_assert(is_served(good));
	origin_ends = true;
	pthread_join(thread, NULL);
	pki_free(stranger);
	pki_free(stranger_ca);
	finish(good);
	allocations_spare_thread(false);
}

START_TEST(test_plain_upstream)
{
	fail_each(use_v2, false);
}
END_TEST

START_TEST(test_tls_upstream)
{
	fail_each(use_tls, true);
}
END_TEST

/* An open connection that can't be judged goes. */
START_TEST(test_tightened)
{
	struct pki_cert *good;
	struct peer peer;

	allocations_spare_thread(true);
	start(&good);
	plane_publish(&plane);
	ck_assert(peer_connect_as(&peer, plane.port, good));
	plane_wait_for(&plane, handshakes_ok, 1);
	plane_begin(&plane);
	holding_put_options(&plane.holding, "modern", ask_clients_otherwise);
	allocations_fail_at(1);
	plane_publish(&plane);
	plane_wait_for(&plane, closed_on_tighten, 1);
	ck_assert(allocations_stop());
	peer_close(&peer);
	finish(good);
	allocations_spare_thread(false);
}
END_TEST

UNIT_MAIN("proxy/memory", test_hello, test_judge, test_plain_upstream, test_tls_upstream, test_tightened)
