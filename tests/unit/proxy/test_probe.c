/* SPDX-License-Identifier: Apache-2.0 */
/* Probes: a real handshake that nobody counts, past what turns clients away; and passes, by which they are known. */
#include "origins.h"
#include "proxy/passes.h"
#include "unit.h"

#include <arpa/inet.h>
#include <openssl/x509.h>
#include <string.h>

static struct plane plane;
static struct proxy_probed probed;
static unsigned answers;

static void take(const struct proxy_probed *result, void *context)
{
	probed = *result;
	answers++;
}

static void probe(const char *sni, enum proxy_probe_key key)
{
	unsigned before = answers;

	ck_assert_int_eq(proxy_probe(plane.proxy, "l", sni, key, take, NULL, NULL), 0);
	ck_assert_uint_eq(answers, before); /* never at once */
	for (int i = 0; i < 500 && answers == before; i++)
		plane_run(&plane, 10);
	ck_assert_uint_eq(answers, before + 1);
}

static void take_headers_and_limit(Tlsplane__Listener *listener)
{
	static uint8_t bytes[4] = {127};
	static Tlsplane__IpRange range, *ranges[] = {&range};

	tlsplane__ip_range__init(&range);
	range.address = (ProtobufCBinaryData){4, bytes};
	range.prefix = 8;
	listener->accept_proxy_protocol = ranges;
	listener->n_accept_proxy_protocol = 1;
	listener->has_max_connections = listener->has_handshakes_per_second = true;
	listener->max_connections = 1;
	listener->handshakes_per_second = 1;
}

static void start(void (*change)(Tlsplane__Listener *listener))
{
	plane_init(&plane, 2);
	plane_begin(&plane);
	if (change != NULL)
		plane_put_listener(&plane, change);
	plane_publish(&plane);
}

static void expect_uncounted(void)
{
	struct proxy_counters counters, none = {0};
	struct proxy_listener_counters of_listener, none_of_listener = {0};

	plane_run(&plane, 50);
	counters = plane_counters(&plane);
	ck_assert_int_eq(memcmp(&counters, &none, sizeof(none)), 0);
	ck_assert(proxy_listener_read(plane.proxy, "l", &of_listener));
	ck_assert_int_eq(memcmp(&of_listener, &none_of_listener, sizeof(none_of_listener)), 0);
}

START_TEST(test_sees_the_leaf)
{
	start(NULL);
	probe("a.test", PROXY_PROBE_ECDSA);
	ck_assert_msg(probed.has_leaf, "%s", probed.reason);
	probe("a.test", PROXY_PROBE_RSA); /* there is no such pair: not one signature in common */
	ck_assert(!probed.has_leaf);
	ck_assert_str_ne(probed.reason, "");
	expect_uncounted();
	ck_assert_int_eq(proxy_probe(plane.proxy, "other", "", PROXY_PROBE_RSA, take, NULL, NULL), E_NOT_FOUND);
	plane_deinit(&plane);
}
END_TEST

/* Where a client would have to send a header, and where the third in a second would be turned away. */
START_TEST(test_past_headers_and_limits)
{
	start(take_headers_and_limit);
	for (int i = 0; i < 5; i++) {
		probe("a.test", PROXY_PROBE_ECDSA);
		ck_assert_msg(probed.has_leaf, "%s", probed.reason);
	}
	expect_uncounted();
	plane_deinit(&plane);
}
END_TEST

/* All answered when the proxy closes under them. */
START_TEST(test_close)
{
	unsigned before = answers;

	start(NULL);
	for (int i = 0; i < PROXY_PROBES_MAX; i++)
		ck_assert_int_eq(proxy_probe(plane.proxy, "l", "a.test", PROXY_PROBE_ECDSA, take, NULL, NULL), 0);
	plane_deinit(&plane);
	ck_assert_uint_eq(answers, before + PROXY_PROBES_MAX);
	ck_assert(!probed.has_leaf);
}
END_TEST

static union endpoint at(const char *host, uint16_t port)
{
	union endpoint address = {.v6 = {0}};

	if (inet_pton(AF_INET, host, &address.v4.sin_addr) == 1) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons(port);
	} else {
		ck_assert_int_eq(inet_pton(AF_INET6, host, &address.v6.sin6_addr), 1);
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons(port);
	}
	return address;
}

static bool takes(struct passes *passes, const char *host, uint16_t port, uint64_t now)
{
	const union endpoint address = at(host, port);

	return passes_take(passes, &address, now);
}

START_TEST(test_passes)
{
	struct passes *passes = passes_new();
	union endpoint address = at("127.0.0.1", 1000);

	ck_assert(!takes(passes, "127.0.0.1", 1000, 0));
	ck_assert(passes_give(passes, &address, 10));
	ck_assert(!takes(passes, "127.0.0.1", 1001, 5));
	ck_assert(!takes(passes, "127.0.0.2", 1000, 5));
	ck_assert(!takes(passes, "::1", 1000, 5));
	ck_assert(takes(passes, "127.0.0.1", 1000, 5));
	ck_assert(!takes(passes, "127.0.0.1", 1000, 5)); /* once */
	ck_assert(passes_give(passes, &address, 10));
	ck_assert(!takes(passes, "127.0.0.1", 1000, 10)); /* too late */
	address = at("::1", 7);
	ck_assert(passes_give(passes, &address, 10));
	passes_revoke(passes, &address);
	ck_assert(!takes(passes, "::1", 7, 5));
	for (uint16_t i = 0; i < PASSES_MAX; i++) {
		address = at("::1", i);
		ck_assert(passes_give(passes, &address, 10));
	}
	address = at("::1", 99);
	ck_assert(!passes_give(passes, &address, 10));
	ck_assert(takes(passes, "::1", 3, 5));
	ck_assert(passes_give(passes, &address, 10));
	passes_free(passes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("probe");
	TCase *tcase = tcase_create("probe");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_sees_the_leaf);
	tcase_add_test(tcase, test_past_headers_and_limits);
	tcase_add_test(tcase, test_close);
	tcase_add_test(tcase, test_passes);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
