/* SPDX-License-Identifier: Apache-2.0 */
/* Agents are upgraded after their control plane. What was said with the first release's words is encoded as that release did, byte for
 * byte or with ignorable fields besides: else every agent that is still of that release would refuse each renewed certificate. */
#include "parse.h"

#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/body.h"
#include "pki.h"

#define IGNORABLE_FROM 1000 /* channel.proto */

/* Bodies as the first release wrote them. */
START_TEST(bodies_are_the_same_bytes)
{
	static const struct {
		enum kind kind;
		const char *text, *hex;
	} bodies[] = {
		{KIND_TLS_OPTIONS,
	     "{\"client_auth\": {\"verify\": \"require\", \"ca_bundle\": \"cab\", \"depth\": 2}, \"cipher_suites\": "
	     "[\"TLS_AES_128_GCM_SHA256\"], \"handshake_timeout\": 3.5, \"alpn_protocols\": [\"h2\", \"http/1.1\"]}",
	     "0884061084061a0281262a0268322a08687474702f312e314a0908041a03636162200250ac1b"},
		{KIND_TLS_OPTIONS, "{\"client_auth\": {\"verify\": \"none\"}}", "0884061084064a020800"},
		{KIND_TLS_OPTIONS, "{\"min_version\": \"TLSv1.2\", \"max_version\": \"TLSv1.3\"}", "088306108406"},
		{KIND_LISTENER, "{\"bind\": \"127.0.0.1:12218\", \"upstream\": \"web\"}",
	     "0a093132372e302e302e3110ba5f1a037463702203776562"},
		{KIND_LISTENER, "{\"bind\": \"127.0.0.1:12024\", \"upstream\": \"web\", \"tls_options\": \"strict\", \"max_connections\": 55}",
	     "0a093132372e302e302e3110f85d1a0374637022037765622a067374726963743037"},
		{KIND_UPSTREAM, "{\"nodes\": {\"127.0.0.1:12885\": 1}, \"connect_timeout\": 1.5}",
	     "0a100a093132372e302e302e3110d564180110dc0b"},
	};

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct outcome outcome = parse_text(bodies[i].kind, "id", bodies[i].text);
		char hex[256] = "";

		ck_assert_int_eq(outcome.code, 0);
		ck_assert_uint_lt(outcome.resource->body_len, sizeof(hex) / 2);
		for (size_t k = 0; k < outcome.resource->body_len; k++)
			snprintf(hex + 2 * k, 3, "%02x", outcome.resource->body[k]);
		ck_assert_str_eq(hex, bodies[i].hex);
		outcome_deinit(&outcome);
	}
}
END_TEST

/* The highest field number that the first release knows. */
static unsigned highest_of(const ProtobufCMessageDescriptor *type)
{
	static const struct {
		const ProtobufCMessageDescriptor *type;
		unsigned highest;
	} released[] = {
		{&tlsplane__ssl__descriptor, 7},
		{&tlsplane__pair__descriptor, 3},
		{&tlsplane__client_auth__descriptor, 4},
	};

	for (size_t i = 0; i < ARRAY_LEN(released); i++)
		if (released[i].type == type)
			return released[i].highest;
	ck_abort_msg("%s: not in the first release", type->name);
	return 0;
}

static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const char *base = (const char *)message;

	switch (field->label) {
	case PROTOBUF_C_LABEL_REPEATED:
		return *(const size_t *)(const void *)(base + field->quantifier_offset) > 0;
	case PROTOBUF_C_LABEL_OPTIONAL:
		if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE)
			return *(const void *const *)(const void *)(base + field->offset) != NULL;
		return *(const protobuf_c_boolean *)(const void *)(base + field->quantifier_offset);
	default:
		return true;
	}
}

static void expect_known(const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;

	for (unsigned i = 0; i < type->n_fields; i++)
		if (is_set(message, &type->fields[i]))
			ck_assert_msg(type->fields[i].id <= highest_of(type) || type->fields[i].id >= IGNORABLE_FROM, "%s.%s", type->name,
			              type->fields[i].name);
}

START_TEST(ssl_objects_are_known)
{
	struct pki_cert *root = pki_make(&(struct pki_spec){.name = "CA", .is_ca = true});
	struct pki_cert *leaf = pki_make(&(struct pki_spec){.name = "a.test", .issuer = root});
	json_t *document = json_pack("{s:s, s:s, s:s, s:s, s:i, s:[s], s:{s:s, s:i}}", "sni", "a.test", "cert", leaf->pem, "key",
	                             leaf->key_pem, "tls_options", "o", "priority", 3, "ssl_protocols", "TLSv1.3", "client", "ca",
	                             root->pem, "depth", 2);
	struct outcome outcome = parse_json(KIND_SSL, "id", document);
	ProtobufCMessage *body = NULL;
	const Tlsplane__Ssl *ssl;

	ck_assert_int_eq(outcome.code, 0);
	ck_assert_int_eq(body_decode(&tlsplane__ssl__descriptor, BYTES(outcome.resource->body, outcome.resource->body_len), &body,
	                             &outcome.err),
	                 0);
	ssl = (const Tlsplane__Ssl *)body;
	expect_known(&ssl->base);
	expect_known(&ssl->pairs[0]->base);
	expect_known(&ssl->client->base);
	body_free(body);
	outcome_deinit(&outcome);
	json_decref(document);
	pki_free(leaf);
	pki_free(root);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {bodies_are_the_same_bytes, ssl_objects_are_known};

	return unit_run("model/released", tests, ARRAY_LEN(tests));
}
