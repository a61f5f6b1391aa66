/* SPDX-License-Identifier: Apache-2.0 */
/* The pairs of an SSL object: chains and keys read from PEM, matched, and put into body and secret. Reading fills
 * field_input's lists and keys by position; ssl_finish_pairs makes the rest of them when all were good. */
#include "model/ssl_pairs.h"

#include "base/secret.h"
#include "crypto/key.h"
#include "model/body.h"

#include <assert.h>
#include <string.h>

#define PEM_MAX 65536 /* of one field */
#define CHAIN_MAX 10

static_assert((int)CERT_KEY_RSA == (int)TLSPLANE__KEY_TYPE__KEY_RSA &&
                  (int)CERT_KEY_EC_P256 == (int)TLSPLANE__KEY_TYPE__KEY_EC_P256 &&
                  (int)CERT_KEY_EC_P384 == (int)TLSPLANE__KEY_TYPE__KEY_EC_P384 &&
                  (int)CERT_KEY_EC_P521 == (int)TLSPLANE__KEY_TYPE__KEY_EC_P521 &&
                  (int)CERT_KEY_ED25519 == (int)TLSPLANE__KEY_TYPE__KEY_ED25519,
              "key types have the same numbers in certificates and in bodies");

void ssl_read_cert(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	in->pairs_len = 1;
	(void)field_read_pem(in, value, PEM_MAX, CHAIN_MAX, &in->lists[0]);
}

json_t *ssl_write_cert(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__Ssl *ssl = source;

	return ssl->n_pairs == 0 ? NULL : output_pem(out, ssl->pairs[0]->chain, ssl->pairs[0]->n_chain);
}

void ssl_read_certs(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	if (!field_is_array(in, value, 0, CERT_LISTS_PAIRS - 1))
		return;
	in->pairs_len = 1 + json_array_size(value);
	for (size_t i = 0; i < json_array_size(value); i++) {
		size_t mark = field_enter_index(in, i);

		(void)field_read_pem(in, json_array_get(value, i), PEM_MAX, CHAIN_MAX, &in->lists[i + 1]);
		field_leave(in, mark);
	}
}

json_t *ssl_write_certs(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__Ssl *ssl = source;
	json_t *certs = ssl->n_pairs < 2 ? NULL : output_json(out, json_array());

	for (size_t i = 1; i < ssl->n_pairs && certs != NULL; i++)
		output_append(out, certs, output_pem(out, ssl->pairs[i]->chain, ssl->pairs[i]->n_chain));
	return certs;
}

/* The leaf may be used for arithmetic: what is wrong with its key is said with the certificate. */
static bool leaf_is_sound(const struct field_input *in, const struct cert_list *list)
{
	CLEANUP(findings_deinit) struct findings ignored = FINDINGS_NULL;

	return list->len > 0 && cert_find_key(&list->items[0].info, in->limits->rsa_bits_max, "", &ignored);
}

static void match_key(struct field_input *in, size_t pair, enum cert_key_type type, const struct secret *raw)
{
	const struct cert_list *list = &in->lists[pair];
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;
	struct error reason = ERROR_NULL;
	int r;

	if (!leaf_is_sound(in, list))
		return;
	r = key_load(type, BYTES(raw->data, raw->len), list->items[0].cert, &key, &reason);
	if (r == E_NOMEM)
		field_fail(in, error_nomem(in->err));
	else if (r < 0)
		field_error(in, "key-mismatch", "%s", reason.text);
}

static void read_private_key(struct field_input *in, json_t *value, size_t pair)
{
	const char *text = field_text(in, value);
	struct error reason = ERROR_NULL;
	enum cert_key_type type;
	int r;

	if (text == NULL)
		return;
	if (json_string_length(value) > PEM_MAX) {
		field_error(in, "too-large", "must be at most %d bytes of PEM", PEM_MAX);
		return;
	}
	r = key_parse_pem(text, json_string_length(value), &type, &in->keys[pair], &reason);
	if (r == E_NOMEM)
		field_fail(in, error_nomem(in->err));
	else if (r < 0)
		field_error(in, r == E_INVALID ? "unsupported-key" : "invalid-key", "%s", reason.text);
	else
		match_key(in, pair, type, in->keys[pair]);
}

void ssl_read_key(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	read_private_key(in, value, 0);
}

static bool key_is_left_out(json_t *value)
{
	return json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0);
}

void ssl_read_keys(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	size_t want = in->pairs_len > 0 ? in->pairs_len - 1 : 0;

	if (!field_is_array(in, value, 0, CERT_LISTS_PAIRS - 1))
		return;
	if (json_array_size(value) != want) {
		field_error(in, "mismatched-keys",
		            "must have one entry per entry of \"certs\" (%zu), has %zu; null keeps the stored key", want,
		            json_array_size(value));
		return;
	}
	for (size_t i = 0; i < want; i++) {
		size_t mark = field_enter_index(in, i);

		if (!key_is_left_out(json_array_get(value, i)))
			read_private_key(in, json_array_get(value, i), i + 1);
		field_leave(in, mark);
	}
}

static Tlsplane__Pair *pair_new(struct field_input *in, const struct cert_list *list)
{
	const struct cert_info *leaf = &list->items[0].info;
	Tlsplane__Pair *pair = field_alloc(in, 1, sizeof(*pair));

	if (pair == NULL)
		return NULL;
	tlsplane__pair__init(pair);
	pair->key_type = (Tlsplane__KeyType)leaf->key_type;
	pair->not_after = leaf->not_after > 0 ? (uint64_t)leaf->not_after : 0;
	pair->has_not_after = true;
	field_copy_ders(in, list, &pair->n_chain, &pair->chain);
	pair->spki_sha256.data = field_alloc(in, 1, sizeof(leaf->spki_sha256));
	if (pair->spki_sha256.data != NULL) {
		memcpy(pair->spki_sha256.data, leaf->spki_sha256, sizeof(leaf->spki_sha256));
		pair->spki_sha256.len = sizeof(leaf->spki_sha256);
	}
	return pair;
}

static void make_pairs(struct field_input *in, Tlsplane__Ssl *ssl)
{
	struct resource *resource = in->resource;

	ssl->pairs = field_alloc(in, in->pairs_len, sizeof(*ssl->pairs));
	resource->pairs = field_alloc(in, in->pairs_len, sizeof(*resource->pairs));
	for (size_t i = 0; i < in->pairs_len && in->code == 0; i++) {
		ssl->pairs[i] = pair_new(in, &in->lists[i]);
		if (ssl->pairs[i] == NULL)
			return;
		ssl->n_pairs++;
		memcpy(resource->pairs[i].spki_sha256, in->lists[i].items[0].info.spki_sha256, 32);
		resource->pairs[i].has_key = in->keys[i] != NULL;
		body_pair_pointer(i, resource->pairs[i].pointer);
		resource->pairs_len++;
	}
}

/* Encodes the keys, an empty one for each pair that came without. */
static void make_secret(struct field_input *in)
{
	Tlsplane__PrivateKey keys[CERT_LISTS_PAIRS], *list[CERT_LISTS_PAIRS];
	Tlsplane__Secret secret = TLSPLANE__SECRET__INIT;
	CLEANUP(buf_deinit) struct buf encoded = {.sensitive = true};
	int r;

	for (size_t i = 0; i < in->pairs_len; i++) {
		keys[i] = (Tlsplane__PrivateKey)TLSPLANE__PRIVATE_KEY__INIT;
		keys[i].key_type = (Tlsplane__KeyType)in->lists[i].items[0].info.key_type;
		if (in->keys[i] != NULL)
			keys[i].data = (ProtobufCBinaryData){in->keys[i]->len, in->keys[i]->data};
		list[i] = &keys[i];
	}
	secret.keys = list;
	secret.n_keys = in->pairs_len;
	r = body_encode(&secret.base, &encoded, in->err);
	if (r < 0) {
		field_fail(in, r);
		return;
	}
	in->resource->secret = secret_new_copy(encoded.data, encoded.len);
	if (in->resource->secret == NULL)
		field_fail(in, error_nomem(in->err));
}

void ssl_finish_pairs(struct field_input *in, Tlsplane__Ssl *ssl)
{
	for (size_t i = 0; i < in->pairs_len; i++)
		if (in->lists[i].len == 0 || in->lists[i].items[0].info.key_type == CERT_KEY_OTHER)
			return; /* and there is a finding that says so */
	make_pairs(in, ssl);
	if (in->code == 0)
		make_secret(in);
}
