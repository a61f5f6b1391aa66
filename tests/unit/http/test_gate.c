/* SPDX-License-Identifier: Apache-2.0 */
/* What passes the gate, whole and in every split, and what is refused with which status. */
#include "http/gate.h"

#include "http/body.h"
#include "http/host.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "GET / HTTP/1.1\r\nHost: a\r\n"
#define PUT "PUT /x HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED PUT "Transfer-Encoding: chunked\r\n\r\n"

/* Everything at once (piece 0), or in pieces of that size. */
static char *pass(const char *text, size_t len, size_t piece, struct gate *gate)
{
	struct buf out = BUF_NULL;

	for (size_t at = 0; at < len; at += piece > 0 ? piece : len) {
		size_t left = len - at;

		gate_feed(gate, BYTES(text + at, piece > 0 && piece < left ? piece : left), &out);
	}
	return buf_take(&out, NULL);
}

/* The status of the refusal at the end of out; 0: none. */
static int refused(const char *out)
{
	const char *field = strstr(out, GATE_FIELD ": ");

	return field != NULL ? gate_refusal_of(field + strlen(GATE_FIELD ": "))->status : 0;
}

static const struct {
	const char *in, *out; /* out NULL: the same */
} sound[] = {
	{HEAD "\r\n", NULL},
	{"\r\n\r\n" HEAD "\r\n", HEAD "\r\n"},
	{HEAD "\r\n" HEAD "X: y\r\n\r\n", NULL},
	{"GET / HTTP/1.0\r\n\r\n", NULL},
	{PUT "Content-Length: 3\r\n\r\nabc" HEAD "\r\n", NULL},
	{PUT "content-length:   0 \r\n\r\n" HEAD "\r\n", NULL},
	{PUT "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx", NULL},
	{CHUNKED "0\r\n\r\n" HEAD "\r\n", NULL},
	{CHUNKED "0;x=y\r\nA: b\r\n\r\n" HEAD "\r\n", CHUNKED "0\r\n\r\n" HEAD "\r\n"},
	{HEAD "X: \xe4\t\r\n\r\n", NULL},
	{"BREW * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", NULL},
};

START_TEST(lets_pass)
{
	for (size_t piece = 0; piece < 7; piece++) {
		struct gate gate = {0};
		char *out = pass(sound[_i].in, strlen(sound[_i].in), piece, &gate);

		ck_assert_str_eq(out, sound[_i].out != NULL ? sound[_i].out : sound[_i].in);
		ck_assert(!gate_is_within_head(&gate));
		free(out);
		gate_deinit(&gate);
	}
}
END_TEST

static const struct {
	const char *in;
	int status;
} wrong[] = {
	{"GET\r\n\r\n", 400},
	{"GET /\r\n\r\n", 400},
	{"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
	{"GET / x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"GET / HTTP/1.1\nHost: a\n\n", 400},
	{"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400},
	{"\x16\x03\x01\x02\x01", 400},
	{" GET / HTTP/1.1\r\n\r\n", 400},
	{"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
	{"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
	{"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
	{"ABCDEFGHIJKLMNOP / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
	{"GET / HTTP/1.1\r\n\r\n", 400},
	{HEAD "Host: b\r\n\r\n", 400},
	{"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
	{"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
	{"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
	{HEAD "X : y\r\n\r\n", 400},
	{HEAD " folded\r\n\r\n", 400},
	{HEAD "X: y\r\n folded\r\n\r\n", 400},
	{HEAD "noname\r\n\r\n", 400},
	{HEAD ": y\r\n\r\n", 400},
	{HEAD "X: a\rb\r\n\r\n", 400},
	{HEAD "X: a\x01\r\n\r\n", 400},
	{HEAD GATE_FIELD ": 9\r\n\r\n", 400},
	{PUT "Content-Length: -1\r\n\r\n", 400},
	{PUT "Content-Length: +1\r\n\r\n", 400},
	{PUT "Content-Length: 1, 1\r\n\r\n", 400},
	{PUT "Content-Length:\r\n\r\n", 400},
	{PUT "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
	{PUT "Content-Length: 99999999999999999999\r\n\r\n", 413},
	{PUT "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{PUT "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
	{PUT "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
	{PUT "Transfer-Encoding: identity\r\n\r\n", 501},
	{"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
	{PUT "Expect: gold\r\n\r\n", 417},
	{CHUNKED "zz\r\n", 400},
	{CHUNKED "\r\n", 400},
	{CHUNKED "-1\r\n", 400},
	{CHUNKED "0x1\r\n", 400},
	{CHUNKED "1\nx\r\n", 400},
	{CHUNKED "1\r\nxy\r\n", 400},
	{CHUNKED "1\r\nx\n", 400},
	{CHUNKED "ffffffffffffffff\r\n", 413},
	{CHUNKED "0\r\nA: \x01\r\n\r\n", 400},
};

START_TEST(refuses)
{
	for (size_t piece = 0; piece < 5; piece++) {
		struct gate gate = {0};
		char *out = pass(wrong[_i].in, strlen(wrong[_i].in), piece, &gate);
		struct buf more = BUF_NULL;

		ck_assert_msg(refused(out) == wrong[_i].status, "%s: %s", wrong[_i].in, out);
		gate_feed(&gate, BYTES(HEAD "\r\n", strlen(HEAD "\r\n")), &more);
		ck_assert_uint_eq(more.len, 0); /* nothing follows a refusal */
		free(out);
		gate_deinit(&gate);
	}
}
END_TEST

/* Within chunks the refusal is a trailer, so that the request under way gets it. */
START_TEST(refuses_within_chunks)
{
	static const char in[] = CHUNKED "3\r\nabc\r\nzz\r\n";
	struct gate gate = {0};
	char *out = pass(in, sizeof(in) - 1, 0, &gate);

	ck_assert_int_eq(strncmp(out, CHUNKED "3\r\nabc\r\n0\r\n" GATE_FIELD ": ", strlen(CHUNKED) + 13 + strlen(GATE_FIELD)), 0);
	ck_assert_ptr_null(strstr(out, "GET / "));
	free(out);
	gate_deinit(&gate);
}
END_TEST

START_TEST(bounds_heads)
{
	static char text[2 * GATE_HEAD_MAX];
	struct gate gate = {0};
	char *out;
	size_t len = strlen(HEAD);

	memcpy(text, HEAD "X: ", len + 3);
	memset(text + len + 3, 'a', sizeof(text) - len - 3);
	memcpy(text + GATE_HEAD_MAX - 4, "\r\n\r\n", 4);
	out = pass(text, GATE_HEAD_MAX, 1000, &gate);
	ck_assert_uint_eq(strlen(out), GATE_HEAD_MAX);
	free(out);
	text[GATE_HEAD_MAX - 1] = 'a';
	text[GATE_HEAD_MAX - 2] = 'a';
	out = pass(text, sizeof(text), 1000, &gate);
	ck_assert_int_eq(refused(out), 431);
	free(out);
	gate = (struct gate){0};
	memset(text, '/', sizeof(text));
	memcpy(text, "GET /", 5);
	out = pass(text, sizeof(text), 1000, &gate);
	ck_assert_int_eq(refused(out), 414);
	free(out);
	gate_deinit(&gate);
}
END_TEST

START_TEST(bounds_fields)
{
	struct buf in = BUF_NULL;
	struct gate gate = {0};
	char *out;

	buf_put_str(&in, HEAD);
	for (int i = 0; i < 99; i++)
		buf_put_str(&in, "a: b\r\n");
	buf_put_str(&in, "\r\n");
	out = pass((const char *)in.data, in.len, 0, &gate);
	ck_assert_int_eq(refused(out), 0);
	free(out);
	in.len -= 2;
	buf_put_str(&in, "a: b\r\n\r\n");
	out = pass((const char *)in.data, in.len, 0, &gate);
	ck_assert_int_eq(refused(out), 431);
	free(out);
	buf_deinit(&in);
	gate_deinit(&gate);
}
END_TEST

START_TEST(expires_heads)
{
	struct gate gate = {0};
	struct buf out = BUF_NULL;

	gate_expire(&gate, &out);
	ck_assert_uint_eq(out.len, 0); /* nothing has begun */
	gate_feed(&gate, BYTES("GET /", 5), &out);
	ck_assert(gate_is_within_head(&gate));
	gate_expire(&gate, &out);
	ck_assert_int_eq(refused(buf_cstr(&out)), 408);
	ck_assert(!gate_is_within_head(&gate));
	buf_deinit(&out);
	gate_deinit(&gate);
}
END_TEST

START_TEST(knows_hosts)
{
	static const char *const names[] = {"admin.test", "other.test", NULL};
	static const char *const known[] = {"127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:80", "10.1.2.3:1", "localhost",
	                                    "LocalHost:99", "localhost.", "admin.test", "ADMIN.test:443", "other.test."};
	static const char *const unknown[] = {"", "evil.test", "localhost.evil.test", "admin.test.evil.test", "127.0.0.1.evil.test",
	                                      "xadmin.test", "[::1", "[x]", "::1", "127.1", ":80", "admin.test..", "[127.0.0.1]"};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		ck_assert_msg(host_is_known(known[i], names), "%s", known[i]);
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		ck_assert_msg(!host_is_known(unknown[i], names), "%s", unknown[i]);
}
END_TEST

START_TEST(bodies_grow_in_place)
{
	static char piece[100000];
	struct body body = BODY_NULL;
	const uint8_t *place;

	memset(piece, 'x', sizeof(piece));
	ck_assert(body_put(&body, piece, 10, 4 << 20));
	ck_assert_ptr_null(body.large);
	ck_assert(body_put(&body, piece, sizeof(piece), 4 << 20));
	place = body_bytes(&body).data;
	for (int i = 0; i < 30; i++)
		ck_assert(body_put(&body, piece, sizeof(piece), 4 << 20));
	ck_assert_ptr_eq(body_bytes(&body).data, place);
	ck_assert_uint_eq(body_bytes(&body).len, 31 * sizeof(piece) + 10);
	body_drop(&body, 1 << 20);
	ck_assert_int_eq(place[0], 0); /* given back and wiped */
	ck_assert_int_eq(place[1 << 20], 'x');
	body_drop(&body, 1 << 19); /* less than before: nothing */
	body_drop(&body, body.len);
	ck_assert_int_eq(place[body.len - 1], 0);
	body_deinit(&body);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http/gate");
	TCase *tcase = tcase_create("gate");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, lets_pass, 0, (int)ARRAY_LEN(sound));
	tcase_add_loop_test(tcase, refuses, 0, (int)ARRAY_LEN(wrong));
	tcase_add_test(tcase, refuses_within_chunks);
	tcase_add_test(tcase, bounds_heads);
	tcase_add_test(tcase, bounds_fields);
	tcase_add_test(tcase, expires_heads);
	tcase_add_test(tcase, knows_hosts);
	tcase_add_test(tcase, bodies_grow_in_place);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
