/* SPDX-License-Identifier: Apache-2.0 */
/* The first bytes of a client, as an agent with SSL objects, a wildcard, a passthrough and a reject route meets them: the walk over records
 * finds the same end however they come in pieces (the first byte says how), and OpenSSL with our callback decides or refuses. */
#include "holding.h"
#include "proxy/capture.h"
#include "proxy/hello.h"

#include "crypto/crypto.h"

#include <check.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uv_loop_t loop;
static struct holding holding;
static struct hello_context context;
static SSL_CTX *front;

static void put_route(const char *id, const char *name, Tlsplane__RouteMode mode)
{
	Tlsplane__Route route = TLSPLANE__ROUTE__INIT;
	char *names[] = {(char *)(uintptr_t)name};

	route.n_snis = 1;
	route.snis = names;
	route.has_mode = 1;
	route.mode = mode;
	if (mode == TLSPLANE__ROUTE_MODE__ROUTE_PASSTHROUGH)
		route.upstream = (char *)(uintptr_t) "u";
	holding_put(&holding, KIND_ROUTE, id, &route);
}

/* A test as far as Check goes: what makes the objects asserts with it. */
START_TEST(put_objects)
{
	struct pki_cert *cert = pki_make(&(struct pki_spec){.name = "seed", .is_ca = false, .sans = "DNS:a.test"});
	const uint16_t port = 9;

	holding_begin(&holding, NULL);
	holding_put_options(&holding, "default", NULL);
	holding_put_upstream(&holding, "u", &port, 1);
	holding_put_listener(&holding, "l", "127.0.0.1", 8443, "u", NULL, 0);
	holding_put_ssl(&holding, "a", &(struct ssl_spec){.snis = {"a.test", "*.wild.test"}, .pairs = {cert}});
	put_route("raw", "raw.test", TLSPLANE__ROUTE_MODE__ROUTE_PASSTHROUGH);
	put_route("no", "*.no.test", TLSPLANE__ROUTE_MODE__ROUTE_REJECT);
	pki_free(cert);
	roots_publish(context.roots, holding_finish(&holding), NULL, 0);
}
END_TEST

START_TEST(make_caches)
{
	holding_init(&holding, &loop);
	context.sites = holding.sites;
	context.trusts = holding.trusts;
}
END_TEST

static bool is_set_up(void)
{
	TCase *steps = tcase_create("world");
	Suite *suite = suite_create("world");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(steps, make_caches);
	tcase_add_test(steps, put_objects);
	suite_add_tcase(suite, steps);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static uv_async_t news;

	if (crypto_init(NULL) < 0 || uv_loop_init(&loop) < 0 || uv_async_init(&loop, &news, NULL) < 0 ||
	    failures_new(&news, &context.failures, NULL) < 0 || front_new(&front, NULL) < 0 || roots_new(1, &context.roots, NULL) < 0 ||
	    site_new_self_signed(&context.fallback, NULL) < 0 || !is_set_up())
		abort();
	return 0;
}

/* Where the walk is after all of it; *ret: whether it may go on. piece 0: at once. */
static struct hello_walk walk_all(struct bytes data, size_t piece, bool *ret)
{
	struct hello_walk walk = {0};

	*ret = true;
	while (data.len > 0 && *ret && !walk.whole && !walk.over) {
		size_t len = piece > 0 && piece < data.len ? piece : data.len;

		*ret = hello_walk(&walk, BYTES(data.data, len));
		data = BYTES(data.data + len, data.len - len);
	}
	return walk;
}

static void check_walk(struct bytes data, size_t piece, struct hello_walk *ret, bool *ret_fits)
{
	struct hello_walk parts;
	bool parts_fit;

	*ret = walk_all(data, 0, ret_fits);
	parts = walk_all(data, piece, &parts_fit);
	if (parts.whole != ret->whole)
		abort();
	/* Behind a whole one the reader of pieces has not looked. */
	if (!parts.whole && (parts_fit != *ret_fits || parts.over != ret->over))
		abort();
}

static void shake(struct bytes data)
{
	static const struct ip client = {{127, 0, 0, 1}, 4};
	BIO *in = BIO_new_mem_buf(data.data, (int)data.len), *out = BIO_new(BIO_s_mem());
	SSL *ssl = SSL_new(front);
	struct hello hello;
	int r;

	if (in == NULL || out == NULL || ssl == NULL)
		abort();
	BIO_set_mem_eof_return(in, -1);
	SSL_set_bio(ssl, in, out);
	hello_init(&hello, &context, "127.0.0.1:8443", &client);
	if (hello_hook_set(ssl, &hello.hook) < 0 || seat_set(&hello.seat, ssl) < 0)
		abort();
	r = SSL_accept(ssl);
	if (r == 1)
		abort(); /* without the client's Finished */
	if (hello.decided && (hello.cause != HELLO_CAUSE_NONE || hello.upstream == NULL) && SSL_get_error(ssl, r) != SSL_ERROR_SSL)
		abort();
	if (hello.passthrough && (SSL_get_error(ssl, r) != SSL_ERROR_WANT_CLIENT_HELLO_CB || BIO_pending(out) > 0))
		abort();
	SSL_free(ssl);
	hello_deinit(&hello);
	ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hello_walk walk;
	bool fits;

	if (size < 2 || size > CAPTURE_BYTES_MAX)
		return 0;
	check_walk(BYTES(data + 1, size - 1), (size_t)data[0] + 1, &walk, &fits);
	if (fits && (walk.whole || walk.over))
		shake(BYTES(data + 1, size - 1));
	return 0;
}
