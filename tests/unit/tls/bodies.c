/* SPDX-License-Identifier: Apache-2.0 */
#include "bodies.h"

#include "crypto/cert.h"
#include "crypto/key.h"
#include "model/body.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

ProtobufCBinaryData bodies_der(const struct pki_cert *cert)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert->cert, &der);
	ProtobufCBinaryData data;

	ck_assert_int_gt(len, 0);
	data.len = (size_t)len;
	data.data = malloc(data.len);
	ck_assert_ptr_nonnull(data.data);
	memcpy(data.data, der, data.len);
	OPENSSL_free(der);
	return data;
}

void bodies_encode(const void *message, struct buf *body)
{
	struct error err = ERROR_NULL;

	ck_assert_msg(body_encode(message, body, &err) == 0, "%s", err.text);
}

/* Messages that point into each other; everything in them is freed by pair_deinit. */
struct pair {
	Tlsplane__Pair pair;
	Tlsplane__PrivateKey key;
	ProtobufCBinaryData chain[2];
	struct secret *raw;
};

static void pair_init(struct pair *made, const struct pki_cert *cert, const struct pki_cert *intermediate)
{
	enum cert_key_type type;
	struct error err = ERROR_NULL;

	tlsplane__pair__init(&made->pair);
	tlsplane__private_key__init(&made->key);
	ck_assert_msg(key_parse_pem(cert->key_pem, strlen(cert->key_pem), &type, &made->raw, &err) == 0, "%s", err.text);
	made->chain[0] = bodies_der(cert);
	made->pair.n_chain = 1;
	if (intermediate != NULL)
		made->chain[made->pair.n_chain++] = bodies_der(intermediate);
	made->pair.chain = made->chain;
	made->pair.key_type = (Tlsplane__KeyType)type;
	made->pair.spki_sha256.data = malloc(32);
	made->pair.spki_sha256.len = 32;
	ck_assert_int_eq(cert_spki_sha256(cert->cert, made->pair.spki_sha256.data, &err), 0);
	made->key.key_type = (Tlsplane__KeyType)type;
	made->key.data.data = made->raw->data;
	made->key.data.len = made->raw->len;
}

static void pair_deinit(struct pair *made)
{
	for (size_t i = 0; i < made->pair.n_chain; i++)
		free(made->chain[i].data);
	free(made->pair.spki_sha256.data);
	secret_free(made->raw);
}

void bodies_make_ssl(const struct ssl_spec *spec, struct buf *body, struct buf *secret)
{
	Tlsplane__Ssl ssl = TLSPLANE__SSL__INIT;
	Tlsplane__Secret keys = TLSPLANE__SECRET__INIT;
	Tlsplane__ClientAuth client = TLSPLANE__CLIENT_AUTH__INIT;
	ProtobufCBinaryData ca = {0};
	struct pair pairs[2] = {0};
	Tlsplane__Pair *pair_list[2];
	Tlsplane__PrivateKey *key_list[2];

	ssl.snis = (char **)(uintptr_t)spec->snis;
	while (ssl.n_snis < 4 && spec->snis[ssl.n_snis] != NULL)
		ssl.n_snis++;
	for (; ssl.n_pairs < 2 && spec->pairs[ssl.n_pairs] != NULL; ssl.n_pairs++) {
		pair_init(&pairs[ssl.n_pairs], spec->pairs[ssl.n_pairs], spec->intermediate);
		pair_list[ssl.n_pairs] = &pairs[ssl.n_pairs].pair;
		key_list[ssl.n_pairs] = &pairs[ssl.n_pairs].key;
	}
	ssl.pairs = pair_list;
	keys.keys = key_list;
	keys.n_keys = ssl.n_pairs;
	if (spec->client_ca != NULL) {
		ca = bodies_der(spec->client_ca);
		client.ca = &ca;
		client.n_ca = 1;
	}
	client.ca_bundle = (char *)(uintptr_t)spec->client_bundle;
	client.has_depth = spec->client_depth > 0;
	client.depth = spec->client_depth;
	if (spec->client_ca != NULL || spec->client_bundle != NULL)
		ssl.client = &client;
	ssl.ssl_protocols = (uint32_t *)(uintptr_t)spec->protocols;
	while (ssl.n_ssl_protocols < 4 && spec->protocols[ssl.n_ssl_protocols] != 0)
		ssl.n_ssl_protocols++;
	ssl.tls_options = (char *)(uintptr_t)spec->tls_options;
	bodies_encode(&ssl, body);
	bodies_encode(&keys, secret);
	for (size_t i = 0; i < ssl.n_pairs; i++)
		pair_deinit(&pairs[i]);
	free(ca.data);
}
