/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"
#include "snapshot/ssl_scan.h"

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
		struct ssl_scan scan;
		char all[64] = "";

		sample_put_ssl(&(struct sample_ssl){names, priorities[i], "options", "bundle", "salt"}, &body);
		ck_assert_int_eq(ssl_scan(BYTES(body.data, body.len), collect, all, &scan), 0);
		ck_assert_str_eq(all, "a.test *.b.test * ");
		ck_assert_int_eq(scan.priority, priorities[i]);
		ck_assert_mem_eq(scan.tls_options.data, "options", 7);
		ck_assert_uint_eq(scan.ca_bundle.len, 6);
		ck_assert_int_eq(ssl_scan(BYTES(body.data, body.len), stop, NULL, NULL), 7);
	}
}
END_TEST

START_TEST(absent_fields_are_absent)
{
	struct ssl_scan scan;

	ck_assert_int_eq(ssl_scan(BYTES_NULL, NULL, NULL, &scan), 0);
	ck_assert_int_eq(scan.priority, 0);
	ck_assert_ptr_null(scan.tls_options.data);
	ck_assert_ptr_null(scan.ca_bundle.data);
}
END_TEST

/* Any prefix and any single changed byte: an answer, no read beyond the end (sanitizers look). */
START_TEST(broken_bytes_are_survived)
{
	const char *const names[] = {"a.test", "b.test", NULL};
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct ssl_scan scan;

	sample_put_ssl(&(struct sample_ssl){names, 5, "options", "bundle", NULL}, &body);
	for (size_t len = 0; len < body.len; len++) {
		uint8_t *copy = malloc(len > 0 ? len : 1);
		int r;

		memcpy(copy, body.data, len);
		r = ssl_scan(BYTES(copy, len), NULL, NULL, &scan);
		ck_assert(r == 0 || r == E_SYNTAX);
		for (size_t at = 0; at < len; at++) {
			copy[at] ^= 0xff;
			r = ssl_scan(BYTES(copy, len), NULL, NULL, &scan);
			ck_assert(r == 0 || r == E_SYNTAX);
			copy[at] ^= 0xff;
		}
		free(copy);
	}
	ck_assert_int_eq(ssl_scan(BYTES("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11), NULL, NULL, &scan), E_SYNTAX);
	ck_assert_int_eq(ssl_scan(BYTES("\x38\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 13), NULL, NULL, &scan),
	                 E_SYNTAX);
	ck_assert_int_eq(ssl_scan(BYTES("\x0b", 1), NULL, NULL, &scan), E_SYNTAX);
}
END_TEST

UNIT_MAIN("snapshot/ssl_scan", reads_what_the_encoder_writes, absent_fields_are_absent, broken_bytes_are_survived)
