/* SPDX-License-Identifier: Apache-2.0 */
#include "status/connections.h"

#include "unit.h"

#include <jansson.h>
#include <string.h>

static json_t *written(const struct proxy_conn_info *info)
{
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;
	json_error_t error;
	json_t *item;

	connections_write_item(info, &out);
	ck_assert(!out.failed);
	item = json_loadb((const char *)out.data, out.len, JSON_REJECT_DUPLICATES, &error);
	ck_assert_msg(json_is_object(item), "%s: %.*s", error.text, (int)out.len, (const char *)out.data);
	return item;
}

static const char *text_of(const json_t *item, const char *key)
{
	ck_assert_msg(json_is_string(json_object_get(item, key)), "%s", key);
	return json_string_value(json_object_get(item, key));
}

START_TEST(full)
{
	struct proxy_conn_info info = {.id = 7,
	                               .peer = "192.0.2.1:5000",
	                               .via = "10.0.0.1:4000",
	                               .state = "relay",
	                               .listener = "[::]:443",
	                               .sni = "a.example",
	                               .route = "r",
	                               .ssl = "s",
	                               .upstream = "u",
	                               .node = "origin.example:443",
	                               .since_ms = 12034,
	                               .version = 0x0304,
	                               .suite = 0x1301,
	                               .group = 29,
	                               .alpn = "h2",
	                               .resumed = true,
	                               .has_certificate = true,
	                               .verified = true,
	                               .subject = "CN=\"x\"\n\xff",
	                               .identity = "me@example",
	                               .upstream_version = 0x0303,
	                               .upstream_suite = 0xc02b,
	                               .bytes_in = 1,
	                               .bytes_out = UINT64_C(9007199254740993)};
	json_t *item, *client, *upstream;

	memset(info.certificate_sha256, 0xab, 32);
	info.spki_sha256[31] = 0x0f;
	item = written(&info);
	client = json_object_get(item, "client");
	upstream = json_object_get(item, "upstream_tls");
	ck_assert_int_eq(json_integer_value(json_object_get(item, "id")), 7);
	ck_assert_str_eq(text_of(item, "peer"), "192.0.2.1:5000");
	ck_assert_str_eq(text_of(item, "tls_version"), "1.3");
	ck_assert_str_eq(text_of(item, "cipher_suite"), "TLS_AES_128_GCM_SHA256");
	ck_assert_str_eq(text_of(item, "group"), "x25519");
	ck_assert_double_eq_tol(json_real_value(json_object_get(item, "age")), 12.034, 1e-9);
	ck_assert(json_is_true(json_object_get(item, "resumed")));
	ck_assert_str_eq(text_of(client, "subject"), "CN=\"x\"\n\xef\xbf\xbd");
	ck_assert_str_eq(text_of(client, "identity"), "me@example");
	ck_assert(json_is_true(json_object_get(client, "verified")));
	ck_assert_uint_eq(strlen(text_of(client, "certificate_sha256")), 64);
	ck_assert_int_eq(strncmp(text_of(client, "certificate_sha256"), "abab", 4), 0);
	ck_assert_str_eq(text_of(client, "spki_sha256") + 60, "000f");
	ck_assert_str_eq(text_of(upstream, "version"), "1.2");
	ck_assert_str_eq(text_of(upstream, "cipher_suite"), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
	ck_assert(json_is_false(json_object_get(upstream, "resumed")));
	ck_assert_int_eq(json_integer_value(json_object_get(item, "bytes_out")), 9007199254740993);
	json_decref(item);
}
END_TEST

/* Nothing known yet: every key is there, with null. */
START_TEST(bare)
{
	static const char *const nulls[] = {"via",         "sni",          "route", "ssl",  "upstream", "node",
	                                    "tls_version", "cipher_suite", "group", "alpn", "client",   "upstream_tls"};
	const struct proxy_conn_info info = {.id = 1, .peer = "p", .state = "handshake", .listener = "l"};
	json_t *item = written(&info);

	for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
		ck_assert_msg(json_is_null(json_object_get(item, nulls[i])), "%s", nulls[i]);
	ck_assert_uint_eq(json_object_size(item), 20);
	json_decref(item);
}
END_TEST

START_TEST(unknown_code_points)
{
	const struct proxy_conn_info info = {
	    .id = 1, .peer = "p", .state = "relay", .version = 0x0305, .suite = 0xeeee, .group = 0x9999};
	json_t *item = written(&info);

	ck_assert_str_eq(text_of(item, "tls_version"), "0x0305");
	ck_assert_str_eq(text_of(item, "cipher_suite"), "0xeeee");
	ck_assert_str_eq(text_of(item, "group"), "0x9999");
	json_decref(item);
}
END_TEST

START_TEST(limits)
{
	static const char *const bad[] = {"", "-1", "+1", "1x", " 1", "10001", "99999999999999999999", "0x10"};
	struct error err = ERROR_NULL;
	size_t limit = 5;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(connections_parse_limit(bad[i], &limit, &err) == E_INVALID, "%s", bad[i]);
		ck_assert_int_eq(strncmp(err.text, "limit: ", 7), 0);
		ck_assert_uint_eq(limit, 5);
	}
	ck_assert_int_eq(connections_parse_limit(NULL, &limit, &err), 0);
	ck_assert_uint_eq(limit, CONNECTIONS_LIMIT_DEFAULT);
	ck_assert_int_eq(connections_parse_limit("0", &limit, &err), 0);
	ck_assert_uint_eq(limit, 0);
	ck_assert_int_eq(connections_parse_limit("10000", &limit, &err), 0);
	ck_assert_uint_eq(limit, CONNECTIONS_LIMIT_MAX);
}
END_TEST

UNIT_MAIN("status/connections", full, bare, unknown_code_points, limits)
