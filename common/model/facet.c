/* SPDX-License-Identifier: Apache-2.0 */
/* Facets: taken from an object, encoded, and read again. Writer and reader stand side by side. */
#include "model/facet.h"

#include "crypto/crypto.h"
#include "model/body.h"

#include <assert.h>
#include <openssl/x509.h>
#include <string.h>

#define NUMBER_LEN 8

/* Hashes ---------------------------------------------------------------------------------------------------------- */

/* 63 bits: what SQLite keeps as a number that is not negative. */
uint64_t facet_of_digest(const uint8_t sha256[32])
{
	uint64_t number = 0;

	for (size_t i = 0; i < NUMBER_LEN; i++)
		number = number << 8 | sha256[i];
	return number >> 1;
}

static bool hash_words(const char *a, const char *b, uint64_t *ret)
{
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;
	uint8_t digest[SHA256_LEN];

	buf_put_str(&text, a);
	if (b != NULL) {
		buf_put_u8(&text, 0);
		buf_put_str(&text, b);
	}
	if (text.failed || crypto_sha256(BYTES(text.data, text.len), digest, NULL) != 0)
		return false;
	*ret = facet_of_digest(digest);
	return true;
}

uint64_t facet_hash(const char *a, const char *b)
{
	uint64_t number = 0;

	return hash_words(a, b, &number) ? number : 0;
}

uint64_t facet_key_type(enum cert_key_type type, uint32_t bits)
{
	return (uint64_t)type << 32 | (type == CERT_KEY_RSA ? bits : 0);
}

void facet_reverse(const char *name, char *out)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		out[i] = name[len - 1 - i];
	out[len] = '\0';
}

/* Encoding -------------------------------------------------------------------------------------------------------- */

static void put_number(struct buf *out, enum facet_name name, uint64_t number)
{
	buf_put_u8(out, (uint8_t)name);
	buf_put_u8(out, 0);
	buf_put_u8(out, NUMBER_LEN);
	buf_put_u64(out, number);
}

static void put_hash(struct buf *out, enum facet_name name, const char *a, const char *b)
{
	uint64_t number = 0;

	if (hash_words(a, b, &number))
		put_number(out, name, number);
	else
		out->failed = true;
}

static void put_text(struct buf *out, enum facet_name name, const char *text)
{
	size_t len = strlen(text);

	assert(len <= UINT16_MAX);
	buf_put_u8(out, (uint8_t)name);
	buf_put_u8(out, (uint8_t)(len >> 8));
	buf_put_u8(out, (uint8_t)len);
	buf_put(out, text, len);
}

bool facet_next(struct bytes *rest, struct facet *ret)
{
	const uint8_t *at = rest->data;
	size_t len;

	if (rest->len < 3)
		return false;
	len = (size_t)at[1] << 8 | at[2];
	if (rest->len - 3 < len)
		return false;
	*ret = (struct facet){.name = (enum facet_name)at[0], .is_text = at[0] == FACET_SNI, .text = BYTES(at + 3, len)};
	if (!ret->is_text && len != NUMBER_LEN)
		return false;
	for (size_t i = 0; i < NUMBER_LEN && !ret->is_text; i++)
		ret->number = ret->number << 8 | at[3 + i];
	*rest = BYTES(at + 3 + len, rest->len - 3 - len);
	return true;
}

/* Taking ---------------------------------------------------------------------------------------------------------- */

/* E_SYNTAX: they are no JSON, or so says Jansson when its lexer has no memory. */
static int put_labels(const char *labels, struct buf *out, struct error *err)
{
	json_t *object = NULL, *value;
	const char *key;
	int code = labels != NULL ? resource_load_json(BYTES(labels, strlen(labels)), &object, err) : 0;

	if (code != 0)
		return code;
	json_object_foreach(object, key, value) {
		put_hash(out, FACET_LABEL, key, NULL);
		put_hash(out, FACET_LABEL, key, json_string_value(value) != NULL ? json_string_value(value) : "");
	}
	json_decref(object);
	return 0;
}

/* Of the leaf's issuer; as people know a CA. */
static void put_common_name(X509 *leaf, struct buf *out)
{
	const X509_NAME *name = X509_get_issuer_name(leaf);
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	unsigned char *text = NULL;
	int len = at >= 0 ? ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at))) : -1;

	if (len > 0)
		put_hash(out, FACET_ISSUER, (const char *)text, NULL); /* OpenSSL ends it with a zero */
	OPENSSL_free(text);
}

static void put_leaf(const struct cert_item *leaf, struct buf *out)
{
	const struct cert_info *info = &leaf->info;

	put_hash(out, FACET_ISSUER, info->issuer, NULL);
	put_common_name(leaf->cert, out);
	put_number(out, FACET_FINGERPRINT, facet_of_digest(info->sha256));
	put_number(out, FACET_FINGERPRINT, facet_of_digest(info->spki_sha256));
	put_number(out, FACET_KEY_TYPE, facet_key_type(info->key_type, info->key_bits));
}

static void put_ssl(const Tlsplane__Ssl *ssl, const struct cert_list *lists, struct buf *out)
{
	int64_t expiry = INT64_MAX;

	put_number(out, FACET_TYPE, ssl->client_type ? 1 : 0);
	for (size_t i = 0; i < ssl->n_snis; i++) {
		char reversed[512];

		if (strlen(ssl->snis[i]) >= sizeof(reversed))
			continue;
		facet_reverse(ssl->snis[i], reversed);
		put_text(out, FACET_SNI, reversed);
	}
	for (size_t i = 0; i < ssl->n_pairs; i++) {
		if (lists[i].len == 0)
			continue;
		put_leaf(&lists[i].items[0], out);
		if (lists[i].items[0].info.not_after < expiry)
			expiry = lists[i].items[0].info.not_after;
	}
	if (expiry != INT64_MAX)
		put_number(out, FACET_EXPIRY, expiry > 0 ? (uint64_t)expiry : 0);
}

static int put_all(const char *labels, const Tlsplane__Ssl *ssl, const struct cert_list *lists, struct buf *out, struct error *err)
{
	int code = put_labels(labels, out, err);

	if (code == 0 && ssl != NULL)
		put_ssl(ssl, lists, out);
	return code == 0 && out->failed ? error_nomem(err) : code;
}

int facets_of_parts(const char *labels, const Tlsplane__Ssl *ssl, const struct cert_list *lists, struct buf *out,
                    struct error *err)
{
	int code = put_all(labels, ssl, lists, out, err);

	return code != 0 ? error_nomem(err) : 0; /* the text is our own, of a moment ago */
}

/* Of each pair the leaf alone. What can't be parsed is left empty: such an object is not found by its certificate. */
static int load_leaves(const Tlsplane__Ssl *ssl, struct cert_list lists[CERT_LISTS_PAIRS], struct error *err)
{
	for (size_t i = 0; i < ssl->n_pairs; i++) {
		int code = ssl->pairs[i]->n_chain > 0 ? cert_list_load_ders(&lists[i], ssl->pairs[i]->chain, 1, err) : 0;

		if (code == E_NOMEM)
			return code;
	}
	return 0;
}

int facets_of_state(const struct resource_state *state, struct buf *out, struct error *err)
{
	struct cert_list lists[CERT_LISTS_PAIRS] = {CERT_LIST_NULL};
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	const Tlsplane__Ssl *ssl = NULL;
	int code = 0;

	if (state->object.kind == KIND_SSL)
		code = body_decode(&tlsplane__ssl__descriptor, state->object.body, &body, err);
	ssl = (const Tlsplane__Ssl *)body;
	if (ssl != NULL && ssl->n_pairs > CERT_LISTS_PAIRS)
		ssl = NULL;
	if (code != E_NOMEM)
		code = ssl != NULL ? load_leaves(ssl, lists, err) : 0;
	if (code == 0)
		code = put_all(state->labels, ssl, lists, out, err);
	if (code != 0 && code != E_NOMEM)
		code = error_set(err, E_CORRUPT, "stored labels are no JSON");
	for (size_t i = 0; i < CERT_LISTS_PAIRS; i++)
		cert_list_deinit(&lists[i]);
	return code;
}
