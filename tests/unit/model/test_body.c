/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding against hostile bytes, and the rules that API and agent share. */
#include "model/body.h"

#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/kind.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define DECODE(type, text) decode(&tlsplane__##type##__descriptor, (text), sizeof(text) - 1)

static struct error decode_err;

static int decode(const ProtobufCMessageDescriptor *type, const char *bytes, size_t len)
{
	ProtobufCMessage *message = NULL;
	int r;

	decode_err = ERROR_NULL;
	r = body_decode(type, BYTES(bytes, len), &message, &decode_err);
	ck_assert((r == 0) == (message != NULL));
	body_free(message);
	return r;
}

START_TEST(what_is_no_message)
{
	ck_assert_int_eq(DECODE(ack, "\x08\x01\x10\x02"), 0);
	ck_assert_int_eq(DECODE(ack, ""), E_SYNTAX); /* required fields */
	ck_assert_int_eq(DECODE(ack, "\x08\x01"), E_SYNTAX);
	ck_assert_int_eq(DECODE(ack, "\x08\x01\x10"), E_SYNTAX); /* cut short */
	ck_assert_int_eq(DECODE(ack, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), E_SYNTAX);
	ck_assert_int_eq(DECODE(ack, "\x08\x01\x10\x02\x10\x03"), E_SYNTAX); /* a single field twice */
	ck_assert_int_eq(DECODE(ack, "\x08\x81\x00\x10\x02"), E_SYNTAX);     /* 1, written too long */
	ck_assert_int_eq(decode(&tlsplane__welcome__descriptor, NULL, 0), E_SYNTAX);
	ck_assert_int_eq(DECODE(resync, "\x0a\x7f"
	                                "a"),
	                 E_SYNTAX); /* length beyond the end */
	ck_assert_int_eq(DECODE(resync, "\x0a\x03"
	                                "a\0b"),
	                 E_SYNTAX); /* NUL in a string */
	ck_assert_int_eq(DECODE(resync, "\x0a\x01"
	                                "a"),
	                 0);
	ck_assert_int_eq(DECODE(resync, ""), 0);
}
END_TEST

START_TEST(unknown_fields_at_every_level)
{
	ck_assert_int_eq(DECODE(ack, "\x08\x01\x10\x02\x18\x07"), E_INVALID);
	ck_assert_ptr_nonnull(strstr(decode_err.text, "3"));
	/* field 1000 and 999 */
	ck_assert_int_eq(DECODE(ack, "\x08\x01\x10\x02\xc0\x3e\x07"), 0);
	ck_assert_int_eq(DECODE(ack, "\x08\x01\x10\x02\xb8\x3e\x07"), E_INVALID);
	/* Ssl { client { 15: 1 } } */
	ck_assert_int_eq(DECODE(ssl, "\x22\x02\x78\x01"), E_INVALID);
	ck_assert_str_eq(decode_err.text, "/client: unknown field 15");
	ck_assert_int_eq(DECODE(ssl, "\x22\x03\xc0\x3e\x01"), 0);
	/* UpdateObjects { put { ..., 9: 1 } } */
	ck_assert_int_eq(DECODE(update_objects, "\x12\x0f\x08\x01\x12\x01"
	                                        "a"
	                                        "\x1a\x00\x20\x01\x2a\x00\x32\x00\x48\x01"),
	                 E_INVALID);
	ck_assert_str_eq(decode_err.text, "/put: unknown field 9");
	ck_assert_int_eq(DECODE(update_objects, "\x12\x0d\x08\x01\x12\x01"
	                                        "a"
	                                        "\x1a\x00\x20\x01\x2a\x00\x32\x00"),
	                 0);
}
END_TEST

START_TEST(unknown_enum_values_at_every_level)
{
	/* Ssl { client { verify: N } } */
	ck_assert_int_eq(DECODE(ssl, "\x22\x02\x08\x04"), 0);
	ck_assert_int_eq(DECODE(ssl, "\x22\x02\x08\x05"), E_INVALID);
	ck_assert_str_eq(decode_err.text, "/client/verify: unknown value 5");
	/* Secret { keys { key_type: 9, data: "" } } */
	ck_assert_int_eq(DECODE(secret, "\x0a\x04\x08\x05\x12\x00"), 0);
	ck_assert_int_eq(DECODE(secret, "\x0a\x04\x08\x09\x12\x00"), E_INVALID);
	ck_assert_str_eq(decode_err.text, "/keys/key_type: unknown value 9");
	ck_assert_int_eq(DECODE(secret, "\x0a\x04\x08\x00\x12\x00"), E_INVALID);
	/* Refused { code: 99, text: "" } */
	ck_assert_int_eq(DECODE(refused, "\x08\x63\x12\x00"), E_INVALID);
}
END_TEST

START_TEST(secrets_are_freed_whole)
{
	ProtobufCMessage *message = NULL;
	struct error err = ERROR_NULL;

	ck_assert_int_eq(body_decode(&tlsplane__secret__descriptor,
	                             BYTES("\x0a\x07\x08\x05\x12\x03"
	                                   "key\xc2\x3e\x01x",
	                                   13),
	                             &message, &err),
	                 0);
	body_free_secret(message);
	body_free_secret(NULL);
	body_free(NULL);
}
END_TEST

START_TEST(encoding_is_deterministic)
{
	Tlsplane__Ack ack = TLSPLANE__ACK__INIT;
	CLEANUP(buf_deinit) struct buf one = BUF_NULL;
	struct error err = ERROR_NULL;

	ack.epoch = 1;
	ack.revision = 300;
	ck_assert_int_eq(body_encode(&ack.base, &one, &err), 0);
	ck_assert_uint_eq(one.len, 5);
	ck_assert_mem_eq(one.data, "\x08\x01\x10\xac\x02", 5);
	ck_assert_int_eq(body_encode(&ack.base, &one, &err), 0); /* appends */
	ck_assert_uint_eq(one.len, 10);
	ck_assert_mem_eq(one.data, one.data + 5, 5);
}
END_TEST

/* The rules -----------------------------------------------------------------------------------------------------------
 */

static uint8_t hash[32], der[] = {0x30, 0x00};

struct ssl_body {
	Tlsplane__Ssl ssl;
	Tlsplane__Pair pairs[4], *pair_list[4];
	ProtobufCBinaryData chain[11];
	Tlsplane__ClientAuth client;
	char *snis[2];
	uint32_t versions[4];
};

static void good_ssl(struct ssl_body *body)
{
	memset(body, 0, sizeof(*body));
	tlsplane__ssl__init(&body->ssl);
	tlsplane__client_auth__init(&body->client);
	for (size_t i = 0; i < ARRAY_LEN(body->chain); i++)
		body->chain[i] = (ProtobufCBinaryData){sizeof(der), der};
	for (size_t i = 0; i < ARRAY_LEN(body->pairs); i++) {
		tlsplane__pair__init(&body->pairs[i]);
		body->pairs[i].key_type = TLSPLANE__KEY_TYPE__KEY_EC_P256;
		body->pairs[i].chain = body->chain;
		body->pairs[i].n_chain = 1;
		body->pairs[i].spki_sha256 = (ProtobufCBinaryData){sizeof(hash), hash};
		body->pair_list[i] = &body->pairs[i];
	}
	body->snis[0] = (char *)"a.test";
	body->snis[1] = (char *)"*.a.test";
	body->ssl.snis = body->snis;
	body->ssl.n_snis = 2;
	body->ssl.pairs = body->pair_list;
	body->ssl.n_pairs = 1;
	body->ssl.ssl_protocols = body->versions;
}

static void expect(unsigned kind, const ProtobufCMessage *body, const char *pointer)
{
	struct error err = ERROR_NULL;
	char at[256] = "";
	int r = body_check(kind, body, at, &err);

	ck_assert_msg(r == (pointer != NULL ? E_INVALID : 0), "%s: %s", at, err.text);
	if (pointer != NULL)
		ck_assert_str_eq(at, pointer);
}

START_TEST(ssl_rules)
{
	struct ssl_body body;

	good_ssl(&body);
	expect(KIND_SSL, &body.ssl.base, NULL);
	body.ssl.n_snis = 0;
	expect(KIND_SSL, &body.ssl.base, "/snis");
	good_ssl(&body);
	body.snis[1] = (char *)"A.test";
	expect(KIND_SSL, &body.ssl.base, "/snis/1");
	body.snis[1] = (char *)"";
	expect(KIND_SSL, &body.ssl.base, "/snis/1");
	good_ssl(&body);
	body.ssl.sni_scalar = body.ssl.has_sni_scalar = 1;
	expect(KIND_SSL, &body.ssl.base, "/sni");
	good_ssl(&body);
	body.ssl.n_pairs = 0;
	expect(KIND_SSL, &body.ssl.base, "/cert");
	body.ssl.n_pairs = 2;
	expect(KIND_SSL, &body.ssl.base, "/certs/0");
	body.pairs[1].key_type = TLSPLANE__KEY_TYPE__KEY_EC_P521;
	expect(KIND_SSL, &body.ssl.base, "/certs/0");
	body.pairs[1].key_type = TLSPLANE__KEY_TYPE__KEY_RSA;
	expect(KIND_SSL, &body.ssl.base, NULL);
	body.ssl.n_pairs = 4;
	expect(KIND_SSL, &body.ssl.base, "/certs");
	good_ssl(&body);
	body.pairs[0].n_chain = 0;
	expect(KIND_SSL, &body.ssl.base, "/cert");
	body.pairs[0].n_chain = 11;
	expect(KIND_SSL, &body.ssl.base, "/cert");
	body.pairs[0].n_chain = 10;
	expect(KIND_SSL, &body.ssl.base, NULL);
	body.chain[3].len = 0;
	expect(KIND_SSL, &body.ssl.base, "/cert");
	good_ssl(&body);
	body.pairs[0].spki_sha256.len = 31;
	expect(KIND_SSL, &body.ssl.base, "/cert");
	good_ssl(&body);
	body.ssl.client = &body.client;
	expect(KIND_SSL, &body.ssl.base, "/client/ca");
	body.client.ca_bundle = (char *)"b";
	expect(KIND_SSL, &body.ssl.base, NULL);
	body.client.has_depth = 1;
	body.client.depth = 101;
	expect(KIND_SSL, &body.ssl.base, "/client/depth");
	body.client.depth = 100;
	body.client.ca = body.chain;
	body.client.n_ca = 1;
	expect(KIND_SSL, &body.ssl.base, "/client/ca");
	good_ssl(&body);
	body.ssl.n_ssl_protocols = 2;
	body.versions[0] = 0x0303;
	body.versions[1] = 0x0304;
	expect(KIND_SSL, &body.ssl.base, NULL);
	body.versions[0] = 0x0302;
	expect(KIND_SSL, &body.ssl.base, "/ssl_protocols");
	body.versions[0] = 0x0305;
	expect(KIND_SSL, &body.ssl.base, "/ssl_protocols");
	good_ssl(&body);
	body.ssl.tls_options = (char *)"a/b";
	expect(KIND_SSL, &body.ssl.base, "/tls_options");
}
END_TEST

START_TEST(tls_options_rules)
{
	Tlsplane__TlsOptions options = TLSPLANE__TLS_OPTIONS__INIT;
	uint32_t suites[] = {0x1301, 0xC02F}, groups[] = {29, 23};
	char *protocols[] = {(char *)"h2", (char *)""};

	expect(KIND_TLS_OPTIONS, &options.base, "/min_version");
	options.has_min_version = options.has_max_version = 1;
	options.min_version = 0x0303;
	options.max_version = 0x0304;
	expect(KIND_TLS_OPTIONS, &options.base, NULL);
	options.cipher_suites = suites;
	options.n_cipher_suites = 2;
	options.curve_preferences = groups;
	options.n_curve_preferences = 2;
	expect(KIND_TLS_OPTIONS, &options.base, NULL);
	suites[1] = 0x0005; /* lacking */
	expect(KIND_TLS_OPTIONS, &options.base, "/cipher_suites/1");
	suites[1] = 0xffff;
	expect(KIND_TLS_OPTIONS, &options.base, "/cipher_suites/1");
	suites[1] = 0x1302;
	expect(KIND_TLS_OPTIONS, &options.base, "/cipher_suites");
	suites[1] = 0xC02F;
	groups[1] = 4588;
	expect(KIND_TLS_OPTIONS, &options.base, "/curve_preferences/1");
	groups[1] = 0xffffffff;
	expect(KIND_TLS_OPTIONS, &options.base, "/curve_preferences/1");
	groups[1] = 29;
	expect(KIND_TLS_OPTIONS, &options.base, "/curve_preferences/1");
	groups[1] = 23;
	options.max_version = 0x0302;
	expect(KIND_TLS_OPTIONS, &options.base, "/min_version");
	options.max_version = 0x0305;
	expect(KIND_TLS_OPTIONS, &options.base, "/max_version");
	options.max_version = 0x0304;
	options.alpn_protocols = protocols;
	options.n_alpn_protocols = 2;
	expect(KIND_TLS_OPTIONS, &options.base, "/alpn_protocols/1");
	options.n_alpn_protocols = 1;
	options.has_handshake_timeout_ms = 1;
	expect(KIND_TLS_OPTIONS, &options.base, "/handshake_timeout");
	options.handshake_timeout_ms = 100;
	expect(KIND_TLS_OPTIONS, &options.base, NULL);
	options.default_ssl = (char *)"";
	expect(KIND_TLS_OPTIONS, &options.base, "/default_ssl");
}
END_TEST

START_TEST(listener_rules)
{
	Tlsplane__Listener listener = TLSPLANE__LISTENER__INIT;

	listener.host = (char *)"::1";
	listener.port = 443;
	listener.protocol = (char *)"tcp";
	listener.upstream = (char *)"u";
	expect(KIND_LISTENER, &listener.base, NULL);
	listener.host = (char *)"";
	expect(KIND_LISTENER, &listener.base, "/bind");
	listener.host = (char *)"a.test";
	expect(KIND_LISTENER, &listener.base, "/bind");
	listener.host = (char *)"0::1";
	expect(KIND_LISTENER, &listener.base, "/bind");
	listener.host = (char *)"0.0.0.0";
	listener.port = 0;
	expect(KIND_LISTENER, &listener.base, "/bind");
	listener.port = 65536;
	expect(KIND_LISTENER, &listener.base, "/bind");
	listener.port = 65535;
	listener.protocol = (char *)"http";
	expect(KIND_LISTENER, &listener.base, "/protocol");
	listener.protocol = (char *)"tcp";
	listener.upstream = (char *)"";
	expect(KIND_LISTENER, &listener.base, "/upstream");
	listener.upstream = (char *)"u";
	listener.has_max_connections = 1;
	expect(KIND_LISTENER, &listener.base, "/max_connections");
	listener.max_connections = 1;
	listener.tls_options = (char *)"-";
	expect(KIND_LISTENER, &listener.base, "/tls_options");
}
END_TEST

START_TEST(upstream_rules)
{
	Tlsplane__Upstream upstream = TLSPLANE__UPSTREAM__INIT;
	Tlsplane__Node nodes[65], *list[65];

	for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
		tlsplane__node__init(&nodes[i]);
		nodes[i].host = (char *)"b.test";
		nodes[i].port = (uint32_t)i + 1;
		list[i] = &nodes[i];
	}
	upstream.nodes = list;
	expect(KIND_UPSTREAM, &upstream.base, "/nodes");
	upstream.n_nodes = 64;
	expect(KIND_UPSTREAM, &upstream.base, "/nodes"); /* all of weight 0 */
	nodes[63].weight = 1000;
	expect(KIND_UPSTREAM, &upstream.base, NULL);
	nodes[63].weight = 1001;
	expect(KIND_UPSTREAM, &upstream.base, "/nodes");
	nodes[63].weight = 1;
	nodes[63].port = 63;
	expect(KIND_UPSTREAM, &upstream.base, "/nodes");
	nodes[63].port = 64;
	nodes[63].host = (char *)"B.test";
	expect(KIND_UPSTREAM, &upstream.base, "/nodes");
	nodes[63].host = (char *)"::1";
	expect(KIND_UPSTREAM, &upstream.base, NULL);
	upstream.has_connect_timeout_ms = 1;
	expect(KIND_UPSTREAM, &upstream.base, "/connect_timeout");
	upstream.connect_timeout_ms = 300001;
	expect(KIND_UPSTREAM, &upstream.base, "/connect_timeout");
	upstream.connect_timeout_ms = 300000;
	expect(KIND_UPSTREAM, &upstream.base, NULL);
	upstream.n_nodes = 65;
	expect(KIND_UPSTREAM, &upstream.base, "/nodes");
}
END_TEST

START_TEST(other_rules)
{
	Tlsplane__CaBundle bundle = TLSPLANE__CA_BUNDLE__INIT;
	Tlsplane__Agent agent = TLSPLANE__AGENT__INIT;
	Tlsplane__AgentKey key = TLSPLANE__AGENT_KEY__INIT, *keys[] = {&key};
	Tlsplane__JoinToken token = TLSPLANE__JOIN_TOKEN__INIT;
	ProtobufCBinaryData cert = {sizeof(der), der};

	expect(KIND_CA_BUNDLE, &bundle.base, "/certs");
	bundle.certs = &cert;
	bundle.n_certs = 1;
	expect(KIND_CA_BUNDLE, &bundle.base, NULL);
	cert.len = 0;
	expect(KIND_CA_BUNDLE, &bundle.base, "/certs");
	expect(KIND_AGENT, &agent.base, "/keys");
	agent.keys = keys;
	agent.n_keys = 1;
	expect(KIND_AGENT, &agent.base, "/keys");
	key.spki_sha256 = key.certificate_sha256 = (ProtobufCBinaryData){32, hash};
	expect(KIND_AGENT, &agent.base, NULL);
	token.secret_sha256.len = 3;
	expect(KIND_JOIN_TOKEN, &token.base, "/secret");
	token.secret_sha256 = (ProtobufCBinaryData){32, hash};
	expect(KIND_JOIN_TOKEN, &token.base, NULL);
	expect(99, &token.base, "");
}
END_TEST

UNIT_MAIN("model/body", what_is_no_message, unknown_fields_at_every_level, unknown_enum_values_at_every_level,
          secrets_are_freed_whole, encoding_is_deterministic, ssl_rules, tls_options_rules, listener_rules,
          upstream_rules, other_rules)
