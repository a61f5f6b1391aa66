/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"
#include "snapshot/scan.h"

static int collect(struct bytes name, void *context)
{
	strncat(context, (const char *)name.data, name.len);
	strcat(context, " ");
	return 0;
}

static int stop(struct bytes name, void *context)
{
	return 7;
}

START_TEST(reads_what_the_encoder_writes)
{
	static const int32_t priorities[] = {0, 1, -1, 1000000, INT32_MAX, INT32_MIN};
	const char *const names[] = {"a.test", "*.b.test", "*", NULL};

	for (size_t i = 0; i < ARRAY_LEN(priorities); i++) {
		CLEANUP(buf_deinit) struct buf body = BUF_NULL;
		struct scan_ssl scan;
		char all[64] = "";
		int32_t priority;

		sample_put_ssl(&(struct sample_ssl){names, priorities[i], "options", "bundle", "salt", 1800000000}, &body);
		ck_assert_int_eq(scan_names(BYTES(body.data, body.len), collect, all), 0);
		ck_assert_int_eq(scan_ssl(BYTES(body.data, body.len), &scan), 0);
		ck_assert_str_eq(all, "a.test *.b.test * ");
		ck_assert_int_eq(scan.priority, priorities[i]);
		ck_assert_mem_eq(scan.tls_options.data, "options", 7);
		ck_assert_uint_eq(scan.ca_bundle.len, 6);
		ck_assert_uint_eq(scan.not_after, 1800000000);
		ck_assert(!scan.client_type);
		ck_assert_int_eq(scan_names(BYTES(body.data, body.len), stop, NULL), 7);
		buf_reset(&body);
		sample_put_route(&(struct sample_route){.snis = names, .tls_options = "o", .priority = priorities[i]}, &body);
		all[0] = '\0';
		ck_assert_int_eq(scan_names(BYTES(body.data, body.len), collect, all), 0);
		ck_assert_str_eq(all, "a.test *.b.test * ");
		ck_assert_int_eq(scan_route(BYTES(body.data, body.len), &priority), 0);
		ck_assert_int_eq(priority, priorities[i]);
	}
}
END_TEST

/* Of the certificates the earliest end counts. */
START_TEST(reads_types_and_ends)
{
	static const uint8_t three_pairs[] = {0x1a, 0x04, 0xc0, 0x3e, 0x88, 0x01, 0x1a, 0x03, 0xc0, 0x3e,
	                                      0x07, 0x1a, 0x03, 0xc0, 0x3e, 0x09, 0x40, 0x01};
	struct scan_ssl scan;

	ck_assert_int_eq(scan_ssl(BYTES(three_pairs, sizeof(three_pairs)), &scan), 0);
	ck_assert_uint_eq(scan.not_after, 7);
	ck_assert(scan.client_type);
	ck_assert_int_eq(scan_ssl(BYTES("\x22\x00", 2), &scan), 0); /* `client`, with nothing in it */
	ck_assert_ptr_nonnull(scan.client.data);
}
END_TEST

START_TEST(words_are_all_but_pairs)
{
	const char *const one[] = {"a.test", NULL}, *const two[] = {"a.test", "b.test", NULL};
	const struct sample_ssl specs[] = {
	    {.names = one},
	    {.names = two},
	    {.names = one, .priority = 1},
	    {.names = one, .tls_options = "o"},
	    {.names = one, .ca_bundle = "b"},
	    {.names = one, .ca_bundle = "b", .depth = 2},
	};
	struct buf bodies[ARRAY_LEN(specs)] = {0}, renewed = BUF_NULL;

	for (size_t i = 0; i < ARRAY_LEN(specs); i++)
		sample_put_ssl(&specs[i], &bodies[i]);
	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		struct sample_ssl again = specs[i];

		for (size_t j = 0; j < ARRAY_LEN(specs); j++)
			ck_assert_int_eq(
			    scan_ssl_has_same_words(BYTES(bodies[i].data, bodies[i].len), BYTES(bodies[j].data, bodies[j].len)),
			    i == j);
		again.salt = "renewed";
		again.not_after = 5;
		buf_reset(&renewed);
		sample_put_ssl(&again, &renewed);
		ck_assert(scan_ssl_has_same_words(BYTES(bodies[i].data, bodies[i].len), BYTES(renewed.data, renewed.len)));
		ck_assert(!scan_ssl_has_same_words(BYTES(bodies[i].data, bodies[i].len), BYTES(renewed.data, renewed.len - 1)));
	}
	buf_deinit(&renewed);
	for (size_t i = 0; i < ARRAY_LEN(specs); i++)
		buf_deinit(&bodies[i]);
}
END_TEST

START_TEST(absent_fields_are_absent)
{
	struct scan_ssl scan;

	ck_assert_int_eq(scan_ssl(BYTES_NULL, &scan), 0);
	ck_assert_int_eq(scan.priority, 0);
	ck_assert_ptr_null(scan.tls_options.data);
	ck_assert_ptr_null(scan.ca_bundle.data);
	ck_assert_ptr_null(scan.client.data);
	ck_assert_uint_eq(scan.not_after, 0);
}
END_TEST

static int ignore(struct bytes name, void *context)
{
	return 0;
}

static bool is_answered(struct bytes body)
{
	struct scan_ssl scan;
	int32_t priority;
	int ssl = scan_ssl(body, &scan), route = scan_route(body, &priority), names = scan_names(body, ignore, NULL);

	(void)scan_ssl_has_same_words(body, body);
	return (ssl == 0 || ssl == E_SYNTAX) && (route == 0 || route == E_SYNTAX) && (names == 0 || names == E_SYNTAX);
}

/* Any prefix and any single changed byte: an answer, no read beyond the end (sanitizers look). */
START_TEST(broken_bytes_are_survived)
{
	const char *const names[] = {"a.test", "b.test", NULL};
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct scan_ssl scan;

	sample_put_ssl(&(struct sample_ssl){names, 5, "options", "bundle", NULL}, &body);
	for (size_t len = 0; len < body.len; len++) {
		uint8_t *copy = malloc(len > 0 ? len : 1);

		memcpy(copy, body.data, len);
		ck_assert(is_answered(BYTES(copy, len)));
		for (size_t at = 0; at < len; at++) {
			copy[at] ^= 0xff;
			ck_assert(is_answered(BYTES(copy, len)));
			copy[at] ^= 0xff;
		}
		free(copy);
	}
	ck_assert_int_eq(scan_ssl(BYTES("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11), &scan), E_SYNTAX);
	ck_assert_int_eq(scan_ssl(BYTES("\x38\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 13), &scan), E_SYNTAX);
	ck_assert_int_eq(scan_ssl(BYTES("\x0b", 1), &scan), E_SYNTAX);
}
END_TEST

UNIT_MAIN("snapshot/scan", reads_what_the_encoder_writes, reads_types_and_ends, words_are_all_but_pairs,
          absent_fields_are_absent, broken_bytes_are_survived)
