/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let in: PROXY headers from those who send them, limits per listener and per name, rules that tighten under open connections; and
 * the list of those who are in. */
#include "origins.h"
#include "proxy/counters.h"
#include "unit.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct plane plane;

static void set_range(Tlsplane__IpRange *range, uint8_t first)
{
	static uint8_t bytes[4];

	tlsplane__ip_range__init(range);
	bytes[0] = first;
	range->address = (ProtobufCBinaryData){4, bytes};
	range->prefix = 8;
}

static void take_headers(Tlsplane__Listener *listener)
{
	static Tlsplane__IpRange range, *ranges[] = {&range};

	set_range(&range, 127);
	listener->accept_proxy_protocol = ranges;
	listener->n_accept_proxy_protocol = 1;
}

static void take_headers_of_others(Tlsplane__Listener *listener)
{
	take_headers(listener);
	set_range(listener->accept_proxy_protocol[0], 10);
}

static void start(void (*change)(Tlsplane__Listener *listener))
{
	plane_init(&plane, 1);
	plane_begin(&plane);
	if (change != NULL)
		plane_put_listener(&plane, change);
	plane_publish(&plane);
}

/* A client behind somebody who says `before` first. */
static bool connect_behind(struct peer *peer, const char *before, size_t len, size_t part)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	*peer = (struct peer){connect_to_port(plane.port), SSL_new(ctx)};
	SSL_CTX_free(ctx);
	for (size_t at = 0; at < len; at += part) {
		ck_assert_int_gt(send(peer->fd, before + at, part < len - at ? part : len - at, MSG_NOSIGNAL), 0);
		if (part < len)
			usleep(500);
	}
	SSL_set_tlsext_host_name(peer->ssl, "a.test");
	SSL_set_fd(peer->ssl, peer->fd);
	if (SSL_connect(peer->ssl) == 1)
		return true;
	peer_close(peer);
	return false;
}

struct listed {
	unsigned calls;
	bool failed;
	size_t count;
	uint64_t total;
	struct proxy_conn_info infos[4];
};

static void on_list(const struct proxy_conn_list *list, void *context)
{
	struct listed *listed = context;

	listed->calls++;
	listed->failed = list == NULL;
	if (list == NULL)
		return;
	listed->count = list->count;
	listed->total = list->total;
	for (size_t i = 0; i < list->count && i < 4; i++)
		listed->infos[i] = list->items[i];
}

static struct listed list_now(size_t limit)
{
	struct listed listed = {0};

	ck_assert_int_eq(proxy_list_connections(plane.proxy, limit, on_list, &listed, NULL), 0);
	for (int i = 0; i < 500 && listed.calls == 0; i++)
		plane_run(&plane, 5);
	ck_assert_uint_eq(listed.calls, 1);
	ck_assert(!listed.failed);
	return listed;
}

START_TEST(test_header_in)
{
	static const char v2[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\x05\xc6\x33\x64\x02\x10\0\x01\xbb";
	static const struct {
		const char *header;
		size_t len, part;
		const char *peer;
	} rows[] = {
	    {"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", 45, 100, "192.0.2.1:56324"},
	    {"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", 45, 1, "192.0.2.1:56324"},
	    {v2, 28, 100, "192.0.2.5:4096"},
	    {v2, 28, 3, "192.0.2.5:4096"},
	    {"PROXY UNKNOWN\r\n", 15, 100, "127.0.0.1:"},
	};

	start(take_headers);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct listed listed;
		struct peer peer;

		ck_assert_msg(connect_behind(&peer, rows[i].header, rows[i].len, rows[i].part), "row %zu", i);
		listed = list_now(10);
		ck_assert_uint_ge(listed.count, 1);
		ck_assert_int_eq(strncmp(listed.infos[0].peer, rows[i].peer, strlen(rows[i].peer)), 0);
		ck_assert_int_eq(strncmp(listed.infos[0].via, "127.0.0.1:", 10), 0);
		peer_close(&peer);
	}
	plane_deinit(&plane);
}
END_TEST

START_TEST(test_header_refused)
{
	struct peer peer;
	int fd;

	start(take_headers);
	ck_assert(!peer_connect(&peer, plane.port)); /* TLS at once, from one who must say who it is for */
	plane_wait_for(&plane, failures_proxy_header, 1);
	fd = connect_to_port(plane.port);
	fd_write(fd, "PROXY TCP4 192.0.2.1 198.51.1");
	shutdown(fd, SHUT_WR);
	plane_wait_for(&plane, failures_proxy_header, 2);
	close(fd);
	plane_begin(&plane);
	plane_put_listener(&plane, take_headers_of_others);
	plane_publish(&plane);
	ck_assert(peer_connect(&peer, plane.port));
	peer_close(&peer);
	ck_assert(!connect_behind(&peer, "PROXY UNKNOWN\r\n", 15, 100)); /* from others it is no TLS */
	plane_wait_for(&plane, failures_protocol, 1);
	plane_deinit(&plane);
}
END_TEST

static void be_quick(Tlsplane__TlsOptions *options)
{
	options->has_handshake_timeout_ms = 1;
	options->handshake_timeout_ms = 300;
}

/* The deadline counts from accept; the header buys no time. */
START_TEST(test_header_stalled)
{
	int fd;

	start(take_headers);
	plane_begin(&plane);
	holding_put_options(&plane.holding, "modern", be_quick);
	plane_publish(&plane);
	fd = connect_to_port(plane.port);
	fd_write(fd, "PROXY");
	ck_assert_str_ne(fd_read_end(fd), "silence");
	close(fd);
	plane_wait_for(&plane, handshakes_timed_out, 1);
	plane_deinit(&plane);
}
END_TEST

static void two_handshakes(Tlsplane__Listener *listener)
{
	listener->has_max_handshakes = 1;
	listener->max_handshakes = 2;
}

START_TEST(test_handshakes_of_listener)
{
	struct proxy_listener_counters counters;
	struct peer peer;
	int stalled[2];

	start(two_handshakes);
	for (int i = 0; i < 2; i++) {
		stalled[i] = connect_to_port(plane.port);
		fd_write(stalled[i], "\x16\x03\x01");
	}
	plane_run(&plane, 50);
	ck_assert(!peer_connect(&peer, plane.port));
	ck_assert_uint_eq(plane_counters(&plane).limit_handshakes, 1);
	ck_assert_uint_eq(plane_counters(&plane).connections_refused, 1);
	ck_assert_uint_eq(plane_counters(&plane).handshakes_failed, 0); /* not a byte was read */
	close(stalled[0]);
	plane_wait_for(&plane, handshakes_failed, 1);
	ck_assert(peer_connect(&peer, plane.port));
	plane_wait_for(&plane, handshakes_ok, 1);
	ck_assert(proxy_listener_read(plane.proxy, "l", &counters));
	ck_assert_uint_eq(counters.accepted, 4);
	ck_assert_uint_eq(counters.refused, 1);
	ck_assert_uint_eq(counters.handshakes_ok, 1);
	ck_assert_uint_eq(counters.handshakes_failed, 1);
	peer_close(&peer);
	close(stalled[1]);
	plane_deinit(&plane);
}
END_TEST

static void one_a_second(Tlsplane__Listener *listener)
{
	listener->has_handshakes_per_second = 1;
	listener->handshakes_per_second = 1;
}

START_TEST(test_rate_of_listener)
{
	struct peer peer;

	start(one_a_second);
	ck_assert(peer_connect(&peer, plane.port));
	peer_close(&peer);
	ck_assert(!peer_connect(&peer, plane.port));
	ck_assert_uint_eq(plane_counters(&plane).limit_handshake_rate, 1);
	usleep(1100000);
	ck_assert(peer_connect(&peer, plane.port));
	peer_close(&peer);
	plane_deinit(&plane);
}
END_TEST

static void limit_names(Tlsplane__TlsOptions *options)
{
	options->has_handshakes_per_second = 1;
	options->handshakes_per_second = 2;
}

START_TEST(test_rate_of_name)
{
	struct peer peer;

	start(NULL);
	plane_begin(&plane);
	holding_put_options(&plane.holding, "modern", limit_names);
	plane_publish(&plane);
	for (int i = 0; i < 2; i++) {
		ck_assert(peer_connect(&peer, plane.port));
		peer_close(&peer);
	}
	ck_assert(!peer_connect(&peer, plane.port));
	plane_wait_for(&plane, limit_name_rate, 1);
	plane_wait_for(&plane, failures_limit, 1);
	plane_deinit(&plane);
}
END_TEST

/* Many open connections, some of which are for a name that is rejected from now on. */
START_TEST(test_tightened)
{
	struct peer peers[40];
	int backends[40];

	start(NULL);
	for (int i = 0; i < 40; i++) {
		ck_assert(peer_connect(&peers[i], plane.port));
		backends[i] = accept_on(plane.backend);
	}
	plane_begin(&plane);
	plane_put_route(&plane, "other", "other.test", TLSPLANE__ROUTE_MODE__ROUTE_REJECT, NULL);
	plane_publish(&plane);
	plane_run(&plane, 100);
	ck_assert_uint_eq(plane_counters(&plane).connections_open, 40);
	plane_begin(&plane);
	plane_put_route(&plane, "r", "a.test", TLSPLANE__ROUTE_MODE__ROUTE_REJECT, NULL);
	plane_publish(&plane);
	for (int i = 0; i < 40; i++) {
		ck_assert_str_eq(peer_read_end(&peers[i]), "error"); /* not an end */
		ck_assert_str_eq(fd_read_end(backends[i]), "error");
		peer_close(&peers[i]);
		close(backends[i]);
	}
	ck_assert_uint_eq(plane_counters(&plane).closed_on_tighten, 40);
	plane_deinit(&plane);
}
END_TEST

static struct {
	ProtobufCBinaryData ca, denied;
	uint32_t depth;
} rules;

static void ask_by_rules(Tlsplane__TlsOptions *options)
{
	static Tlsplane__ClientAuth auth;

	tlsplane__client_auth__init(&auth);
	auth.has_verify = auth.has_depth = 1;
	auth.verify = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE;
	auth.depth = rules.depth;
	auth.ca = &rules.ca;
	auth.n_ca = 1;
	auth.deny_serials = &rules.denied;
	auth.n_deny_serials = rules.denied.len > 0;
	options->client_auth = &auth;
}

static void publish_rules(uint32_t depth)
{
	rules.depth = depth;
	plane_begin(&plane);
	holding_put_options(&plane.holding, "modern", ask_by_rules);
	plane_publish(&plane);
}

static void deny(const struct pki_cert *cert)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert->cert);

	rules.denied = (ProtobufCBinaryData){(size_t)ASN1_STRING_length(serial), (uint8_t *)(uintptr_t)ASN1_STRING_get0_data(serial)};
}

/* Rules that tighten faster than a pass over all takes: the connection that stands last in it is judged all the same. */
START_TEST(test_tightened_again_and_again)
{
	struct pki_cert *ca = pki_make(&(struct pki_spec){.name = "clients", .is_ca = true});
	struct pki_cert *denied = pki_make(&(struct pki_spec){.name = "denied", .issuer = ca, .usage = "clientAuth"});
	struct pki_cert *good = pki_make(&(struct pki_spec){.name = "good", .issuer = ca, .usage = "clientAuth"});
	struct peer peers[120];
	int backends[120];
	uint64_t begun;

	rules.ca.len = (size_t)i2d_X509(ca->cert, &rules.ca.data);
	start(NULL);
	publish_rules(1);
	for (int i = 0; i < 120; i++) {
		ck_assert(peer_connect_as(&peers[i], plane.port, i == 0 ? denied : good));
		backends[i] = accept_on(plane.backend);
	}
	deny(denied);
	begun = uv_hrtime();
	/* Bounded by time: how many the worker sees depends on what else the machine does. */
	for (uint32_t i = 0; plane_counters(&plane).closed_on_tighten == 0 && uv_hrtime() - begun < UINT64_C(20000000000); i++)
		publish_rules(2 + i % 6);
	ck_assert_uint_eq(plane_counters(&plane).closed_on_tighten, 1);
	ck_assert_str_eq(peer_read_end(&peers[0]), "error");
	for (int i = 0; i < 120; i++) {
		peer_close(&peers[i]);
		close(backends[i]);
	}
	plane_deinit(&plane);
	OPENSSL_free(rules.ca.data);
	pki_free(good);
	pki_free(denied);
	pki_free(ca);
}
END_TEST

START_TEST(test_list)
{
	struct listed listed;
	struct peer peers[2];
	int backend, stalled;

	start(NULL);
	ck_assert(peer_connect(&peers[0], plane.port));
	backend = accept_on(plane.backend);
	peer_write(&peers[0], "hello");
	fd_expect(backend, "hello");
	usleep(20000);
	stalled = connect_to_port(plane.port);
	plane_run(&plane, 50);
	listed = list_now(10);
	ck_assert_uint_eq(listed.total, 2);
	ck_assert_uint_eq(listed.count, 2);
	ck_assert_str_eq(listed.infos[0].state, "waiting");
	ck_assert_uint_eq(listed.infos[0].version, 0);
	ck_assert_str_eq(listed.infos[1].state, "relay");
	ck_assert_str_eq(listed.infos[1].sni, "a.test");
	ck_assert_str_eq(listed.infos[1].ssl, "a");
	ck_assert_str_eq(listed.infos[1].upstream, "u");
	ck_assert_int_eq(strncmp(listed.infos[1].node, "127.0.0.1:", 10), 0);
	ck_assert_uint_eq(listed.infos[1].version, 0x0304);
	ck_assert_uint_eq(listed.infos[1].suite >> 8, 0x13);
	ck_assert_uint_eq(listed.infos[1].group, 29);
	ck_assert_uint_eq(listed.infos[1].bytes_in, 5);
	ck_assert(!listed.infos[1].has_certificate);
	ck_assert_uint_ne(listed.infos[0].id, listed.infos[1].id);
	ck_assert_uint_eq(list_now(1).count, 1);
	ck_assert_uint_eq(list_now(0).count, 0);
	close(stalled);
	peer_close(&peers[0]);
	close(backend);
	plane_deinit(&plane);
}
END_TEST

static void on_closed(void *owner)
{
	((struct plane *)owner)->closed = true;
}

/* Asked, and closed before the workers have looked. */
START_TEST(test_list_while_closing)
{
	struct listed listed[3] = {{0}};

	start(NULL);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(proxy_list_connections(plane.proxy, 5, on_list, &listed[i], NULL), 0);
	proxy_close(plane.proxy, 0, on_closed);
	ck_assert_int_eq(proxy_list_connections(plane.proxy, 5, on_list, &listed[0], NULL), E_CLOSED);
	plane.proxy = NULL;
	plane_deinit(&plane);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(listed[i].calls, 1);
}
END_TEST

struct sums {
	uint64_t rows, count;
	uint16_t version;
};

static void on_agreed(const struct proxy_agreed *agreed, void *context)
{
	struct sums *sums = context;

	sums->rows++;
	sums->count += agreed->count;
	sums->version = agreed->version;
}

START_TEST(test_agreed)
{
	struct sums sums = {0};
	struct peer peer;

	start(NULL);
	for (int i = 0; i < 3; i++) {
		ck_assert(peer_connect(&peer, plane.port));
		peer_close(&peer);
	}
	plane_wait_for(&plane, handshakes_ok, 3);
	proxy_each_agreed(plane.proxy, on_agreed, &sums);
	ck_assert_uint_eq(sums.rows, 1);
	ck_assert_uint_eq(sums.count, 3);
	ck_assert_uint_eq(sums.version, 0x0304);
	plane_deinit(&plane);
}
END_TEST

/* More combinations than rows: counted as others, nothing is lost. */
START_TEST(test_agreed_table)
{
	static struct agreed table;
	struct sums sums = {0};

	for (uint16_t i = 0; i < PROXY_AGREED_MAX + 50; i++)
		agreed_count(&table, &(struct proxy_agreed){.version = 0x0303, .suite = i, .group = 29}, 1);
	agreed_each(&table, on_agreed, &sums);
	ck_assert_uint_eq(sums.rows, PROXY_AGREED_MAX + 1);
	ck_assert_uint_eq(sums.count, PROXY_AGREED_MAX + 50);
}
END_TEST

UNIT_MAIN("proxy/admission", test_header_in, test_header_refused, test_header_stalled, test_handshakes_of_listener,
          test_rate_of_listener, test_rate_of_name, test_tightened, test_tightened_again_and_again, test_list,
          test_list_while_closing, test_agreed, test_agreed_table)
