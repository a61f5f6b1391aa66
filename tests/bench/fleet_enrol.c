/* SPDX-License-Identifier: Apache-2.0 */
/* Enrols a fleet into the store of a control plane that is not running: each agent with a join token and a key of its own, by the same
 * transactions as over the channel, without the channel's bound on enrolments a second (ten thousand would take 200 s).
 *
 *   fleet_enrol DATA_DIR COUNT FILE
 *
 * FILE gets the CA and the agents, as fleet.h says. */
#include "base/hash.h"
#include "change/change.h"
#include "crypto/authority.h"
#include "crypto/crypto.h"
#include "fleet.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 128

static struct {
	uv_loop_t loop;
	struct store *store;
	struct change_engine *changes;
	FILE *out;
	long count, begun, done;
} fleet;

struct enrolment {
	EVP_PKEY *key;
};

static struct error err;

static void must(int code, const char *what)
{
	if (code < 0) {
		fprintf(stderr, "fleet_enrol: %s: %s\n", what, err.text);
		exit(1);
	}
}

static void begin_next(void);

static void on_enrolled(const struct change_enrolled *result, void *context)
{
	CLEANUP(buf_deinit) struct buf certificate = BUF_NULL;
	struct enrolment *enrolment = context;
	struct secret *key = NULL;

	err = result->error;
	must(result->code, "enrol");
	must(key_encode(enrolment->key, &key, &err), "encode the key");
	must(authority_encode_cert(result->certificate, &certificate, &err), "encode the certificate");
	fleet_write(fleet.out, BYTES(key->data, key->len));
	fleet_write(fleet.out, BYTES(certificate.data, certificate.len));
	secret_free(key);
	EVP_PKEY_free(enrolment->key);
	free(enrolment);
	fleet.done++;
	begin_next();
}

/* "tlsplane1.ID.SECRET.CA", base64url. */
static void read_token(const char *text, struct change_enrol *ret)
{
	const char *id = strchr(text, '.') + 1, *secret = strchr(id, '.') + 1;
	char base64[45] = "";
	uint8_t bytes[33];

	snprintf(ret->token_id, sizeof(ret->token_id), "%.*s", (int)(secret - id - 1), id);
	memcpy(base64, secret, 43);
	base64[43] = '=';
	for (char *at = base64; *at != 0; at++)
		*at = *at == '-' ? '+' : *at == '_' ? '/' : *at;
	if (EVP_DecodeBlock(bytes, (unsigned char *)base64, 44) != 33 ||
	    EVP_Digest(bytes, 32, ret->token_secret_sha256, NULL, EVP_sha256(), NULL) != 1)
		must(error_set(&err, E_INVALID, "%s", text), "join token");
}

static void on_token(const struct change_result *result, void *context)
{
	struct enrolment *enrolment = context;
	struct change_enrol enrol = {.source = "bench"};

	err = result->error;
	must(result->code, "make a join token");
	read_token(json_string_value(json_object_get(result->answer, "token")), &enrol);
	must(key_generate(&enrolment->key, &err), "make a key");
	must(key_spki_sha256(enrolment->key, enrol.spki_sha256, &err), "hash the key");
	EVP_PKEY_up_ref(enrolment->key);
	enrol.key = enrolment->key;
	change_enrol(fleet.changes, &enrol, on_enrolled, enrolment);
}

static void begin_next(void)
{
	struct change_request *request;
	struct enrolment *enrolment;

	if (fleet.begun == fleet.count)
		return;
	request = change_request_new(1);
	enrolment = calloc(1, sizeof(*enrolment));
	must(request == NULL || enrolment == NULL ? error_nomem(&err) : 0, "request");
	fleet.begun++;
	request->items[0].op = CHANGE_CREATE;
	request->items[0].kind = KIND_JOIN_TOKEN;
	request->items[0].document = json_pack("{s:i, s:{s:s}}", "ttl", 600, "labels", "fleet", "bench");
	snprintf(request->actor, sizeof(request->actor), "bench");
	change_submit(fleet.changes, request, on_token, enrolment);
}

static void on_closed(void *owner)
{
}

int main(int argc, char **argv)
{
	struct change_config config = {.loop = &fleet.loop, .limits = {.rsa_bits_max = 4096}};
	CLEANUP(buf_deinit) struct buf der = BUF_NULL;
	X509 *ca;
	EVP_PKEY *ca_key;

	fleet.count = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
	must(fleet.count <= 0 ? error_set(&err, E_INVALID, "DATA_DIR COUNT FILE") : 0, "usage");
	fleet.out = fopen(argv[3], "w");
	must(fleet.out == NULL ? error_set(&err, E_IO, "%s", argv[3]) : 0, "open");
	must(crypto_init(&err), "OpenSSL");
	uv_loop_init(&fleet.loop);
	must(store_open(&(struct store_config){.dir = argv[1]}, &fleet.store, &err), "open the store");
	must(store_load_ca(fleet.store, &ca, &ca_key, &err), "load the CA");
	must(authority_encode_cert(ca, &der, &err), "encode the CA");
	fleet_write(fleet.out, BYTES(der.data, der.len));
	config.store = fleet.store;
	must(change_engine_start(&config, &fleet.changes, &err), "start");
	for (int i = 0; i < AT_ONCE && i < fleet.count; i++)
		begin_next();
	while (fleet.done < fleet.count)
		uv_run(&fleet.loop, UV_RUN_ONCE);
	change_engine_close(fleet.changes, on_closed);
	uv_run(&fleet.loop, UV_RUN_DEFAULT);
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	store_close(fleet.store);
	return fclose(fleet.out) == 0 ? 0 : 1;
}
