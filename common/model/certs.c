/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates at the JSON edge. What OpenSSL's security level 2 would refuse to load (keys and signatures below 112
 * bits) is refused here, and so is what would make the server slow; what only clients might dislike is a warning. Sizes
 * are judged before any arithmetic with a key (CVE-2023-6237). */
#include "model/certs.h"

#include "model/fields.h"
#include "model/name.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX_CA 8192 /* of keys that verify, not sign */
#define RSA_EXPONENT_MIN 65537
#define SECURITY_BITS_MIN 112

#define ADD(findings, severity, code, pointer, ...)                                                                    \
	findings_add((findings), FINDING_##severity, (code), (pointer), __VA_ARGS__)

void cert_list_deinit(struct cert_list *list)
{
	for (size_t i = 0; i < list->len; i++) {
		X509_free(list->items[i].cert);
		cert_info_deinit(&list->items[i].info);
	}
	free(list->items);
	*list = CERT_LIST_NULL;
}

static int list_add(struct cert_list *list, struct bytes der, struct error *err)
{
	struct cert_item *item = &list->items[list->len];
	int r = cert_parse(der, &item->cert, err);

	if (r < 0)
		return error_prefix(err, r, "certificate %zu", list->len + 1);
	list->len++;
	r = cert_info_read(item->cert, &item->info, err);
	return r < 0 ? error_prefix(err, r, "certificate %zu", list->len) : 0;
}

static int list_reserve(struct cert_list *list, size_t count, struct error *err)
{
	cert_list_deinit(list);
	list->items = calloc(count == 0 ? 1 : count, sizeof(*list->items));
	return list->items == NULL ? error_nomem(err) : 0;
}

/* Room was made for as many as are allowed. */
static void list_shrink(struct cert_list *list)
{
	struct cert_item *items = realloc(list->items, (list->len > 0 ? list->len : 1) * sizeof(*items));

	if (items != NULL)
		list->items = items;
}

static int on_pem(struct bytes der, void *context, struct error *err)
{
	return list_add(context, der, err);
}

int cert_list_load_pem(struct cert_list *list, const char *pem, size_t len, size_t max, struct error *err)
{
	int r = list_reserve(list, max, err);

	if (r == 0)
		r = cert_each_pem(pem, len, max, on_pem, list, err);
	if (r < 0)
		cert_list_deinit(list);
	else
		list_shrink(list);
	return r;
}

int cert_list_load_ders(struct cert_list *list, const ProtobufCBinaryData *ders, size_t count, struct error *err)
{
	int r = list_reserve(list, count, err);

	for (size_t i = 0; i < count && r == 0; i++)
		r = list_add(list, BYTES(ders[i].data, ders[i].len), err);
	if (r < 0)
		cert_list_deinit(list);
	return r;
}

static void ders_free(ProtobufCBinaryData *ders, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(ders[i].data);
	free(ders);
}

static int der_copy(X509 *cert, ProtobufCBinaryData *der, struct error *err)
{
	unsigned char *at;
	int len = i2d_X509(cert, NULL);

	if (len <= 0)
		return error_set(err, E_CRYPTO, "a certificate can't be encoded");
	der->data = malloc((size_t)len);
	if (der->data == NULL)
		return error_nomem(err);
	at = der->data;
	der->len = (size_t)i2d_X509(cert, &at);
	return 0;
}

int cert_list_copy_ders(const struct cert_list *list, ProtobufCBinaryData **ret, struct error *err)
{
	ProtobufCBinaryData *ders = calloc(list->len == 0 ? 1 : list->len, sizeof(*ders));
	int r = 0;

	if (ders == NULL)
		return error_nomem(err);
	for (size_t i = 0; i < list->len && r == 0; i++)
		r = der_copy(list->items[i].cert, &ders[i], err);
	if (r < 0) {
		ders_free(ders, list->len);
		return r;
	}
	*ret = ders;
	return 0;
}

static bool find_rsa(const struct cert_info *info, uint32_t bits_max, const char *pointer, struct findings *findings)
{
	if (info->key_bits < RSA_BITS_MIN) {
		ADD(findings, ERROR, "weak-key", pointer,
		    "an RSA key of %u bits is below the security level; use 2048 or more, or EC P-256", info->key_bits);
		return false;
	}
	if (info->key_bits > bits_max) {
		ADD(findings, ERROR, "key-too-large", pointer, "an RSA key of %u bits is above the limit of %u", info->key_bits,
		    bits_max);
		return false;
	}
	if (info->rsa_exponent < RSA_EXPONENT_MIN || info->rsa_exponent % 2 == 0 || info->rsa_exponent == UINT64_MAX) {
		ADD(findings, ERROR, "weak-key", pointer, "the RSA public exponent must be odd, at least 65537 and below 2^64");
		return false;
	}
	return true;
}

bool cert_find_key(const struct cert_info *info, uint32_t rsa_bits_max, const char *pointer, struct findings *findings)
{
	if (info->has_explicit_curve) {
		ADD(findings, ERROR, "unsupported-key", pointer,
		    "EC keys must name their curve; explicit parameters are refused");
		return false;
	}
	if (info->key_type == CERT_KEY_OTHER) {
		ADD(findings, ERROR, "unsupported-key", pointer,
		    "a key of type %s is not supported; use RSA, EC P-256, P-384, P-521 or Ed25519", info->key_name);
		return false;
	}
	return info->key_type != CERT_KEY_RSA || find_rsa(info, rsa_bits_max, pointer, findings);
}

static void find_validity(const struct cert_item *item, size_t number, const char *pointer,
                          const struct resource_limits *limits, struct findings *findings)
{
	if (item->info.not_after < (int64_t)limits->now)
		ADD(findings, WARNING, "expired", pointer, "certificate %zu (%.80s) has expired", number, item->info.subject);
	if (item->info.not_before > (int64_t)limits->now)
		ADD(findings, WARNING, "not-yet-valid", pointer, "certificate %zu (%.80s) is not valid yet", number,
		    item->info.subject);
}

/* As OpenSSL judges what it is asked to serve: the signature of a self-signed certificate proves nothing and may be
 * weak. */
static void find_signature(const struct cert_item *item, size_t number, const char *pointer, struct findings *findings)
{
	int bits = -1;

	if ((X509_get_extension_flags(item->cert) & EXFLAG_SS) != 0)
		return;
	if (X509_get_signature_info(item->cert, NULL, NULL, &bits, NULL) != 1 || bits < SECURITY_BITS_MIN)
		ADD(findings, ERROR, "weak-signature", pointer,
		    "certificate %zu is signed with %s, which is below the security level", number,
		    item->info.signature_algorithm);
}

static void find_leaf(const struct cert_item *leaf, const char *pointer, enum cert_use use,
                      const struct resource_limits *limits, struct findings *findings)
{
	(void)cert_find_key(&leaf->info, limits->rsa_bits_max, pointer, findings);
	if (leaf->info.san_has_nul)
		ADD(findings, ERROR, "name-has-nul", pointer, "a name in the certificate has an embedded NUL");
	if (use == CERT_USE_CLIENT && !leaf->info.may_connect)
		ADD(findings, WARNING, "not-for-clients", pointer,
		    "the extended key usage does not allow clientAuth; most servers will refuse it");
	if (use == CERT_USE_SERVER && leaf->info.must_staple)
		ADD(findings, WARNING, "must-staple", pointer,
		    "the certificate demands a stapled OCSP answer, which is never sent; clients that check it will refuse: issue it without");
	if (use == CERT_USE_SERVER && !leaf->info.may_serve)
		ADD(findings, WARNING, "not-for-servers", pointer,
		    "the extended key usage does not allow serverAuth; most clients will refuse it");
}

static bool list_has_before(const struct cert_list *list, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (memcmp(list->items[i].info.sha256, list->items[index].info.sha256, sizeof(list->items[i].info.sha256)) == 0)
			return true;
	return false;
}

/* Is there an issuer elsewhere in the list? Names are enough to tell disorder from absence. */
static bool list_has_issuer(const struct cert_list *list, size_t index)
{
	for (size_t i = 0; i < list->len; i++)
		if (i != index && X509_check_issued(list->items[i].cert, list->items[index].cert) == X509_V_OK)
			return true;
	return false;
}

static void find_links(const struct cert_list *list, const char *pointer, struct findings *findings)
{
	for (size_t i = 1; i < list->len; i++)
		if (list_has_before(list, i)) {
			ADD(findings, WARNING, "chain-duplicate", pointer, "certificate %zu stands in the chain twice", i + 1);
			return; /* the links would be complained of once more */
		}
	for (size_t i = 0; i + 1 < list->len; i++) {
		if (cert_is_issued_by(list->items[i].cert, list->items[i + 1].cert))
			continue;
		if (list_has_issuer(list, i))
			ADD(findings, WARNING, "chain-disordered", pointer,
			    "certificate %zu is not issued by the next one, but its issuer stands "
			    "elsewhere in the chain; the order is leaf first",
			    i + 1);
		else
			ADD(findings, WARNING, "chain-incomplete", pointer, "certificate %zu is not issued by the next one", i + 1);
	}
}

void cert_list_find_chain(const struct cert_list *list, const char *pointer, enum cert_use use,
                          const struct resource_limits *limits, struct findings *findings)
{
	size_t errors = findings->errors;

	if (list->len == 0)
		return;
	find_leaf(&list->items[0], pointer, use, limits, findings);
	for (size_t i = 0; i < list->len; i++) {
		if (i > 0)
			(void)cert_find_key(&list->items[i].info, RSA_BITS_MAX_CA, pointer, findings);
		find_signature(&list->items[i], i + 1, pointer, findings);
		find_validity(&list->items[i], i + 1, pointer, limits, findings);
	}
	if (findings->errors == errors)
		find_links(list, pointer, findings);
}

void cert_list_find_cas(const struct cert_list *list, const char *pointer, const struct resource_limits *limits,
                        struct findings *findings)
{
	for (size_t i = 0; i < list->len; i++) {
		const struct cert_item *item = &list->items[i];

		if (!item->info.is_ca)
			ADD(findings, ERROR, "not-a-ca", pointer, "certificate %zu (%.80s) is not a CA", i + 1, item->info.subject);
		(void)cert_find_key(&item->info, RSA_BITS_MAX_CA, pointer, findings);
		find_validity(item, i + 1, pointer, limits, findings);
	}
}

/* The DNS names of a certificate in normal form; what is none can't match and is left out. */
static size_t normal_names(const struct cert_info *info, char (*names)[NAME_MAX_LEN + 1])
{
	size_t count = 0;

	for (size_t i = 0; i < info->names_len; i++)
		if (info->names[i].type == CERT_NAME_DNS && name_normalise(info->names[i].text, true, names[count], NULL) == 0)
			count++;
	return count;
}

static bool names_cover(const char (*names)[NAME_MAX_LEN + 1], size_t count, const char *sni)
{
	for (size_t i = 0; i < count; i++)
		if (name_is_covered(sni, names[i]))
			return true;
	return false;
}

void cert_list_find_names(const struct cert_list *list, const char *pointer, const Tlsplane__Ssl *ssl,
                          struct findings *findings)
{
	char(*names)[NAME_MAX_LEN + 1], at[32];
	size_t count;

	if (list->len == 0)
		return;
	names = calloc(list->items[0].info.names_len + 1, sizeof(*names));
	if (names == NULL) {
		findings->failed = true;
		return;
	}
	count = normal_names(&list->items[0].info, names);
	for (size_t i = 0; i < ssl->n_snis; i++) {
		if (strcmp(ssl->snis[i], "*") == 0 || names_cover((const char(*)[NAME_MAX_LEN + 1]) names, count, ssl->snis[i]))
			continue;
		snprintf(at, sizeof(at), ssl->sni_scalar ? "/sni" : "/snis/%zu", i);
		ADD(findings, WARNING, "sni-not-covered", at, "no name of the certificate at %s covers %s", pointer,
		    ssl->snis[i]);
	}
	free(names);
}

static json_t *render_hash(const uint8_t hash[32])
{
	char text[65];

	for (size_t i = 0; i < 32; i++)
		snprintf(text + 2 * i, 3, "%02x", hash[i]);
	return json_string(text);
}

static json_t *render_names(struct field_output *out, const struct cert_info *info)
{
	static const char *const types[] = {
		[CERT_NAME_DNS] = "DNS", [CERT_NAME_IP] = "IP", [CERT_NAME_EMAIL] = "email", [CERT_NAME_URI] = "URI"};
	json_t *names = output_json(out, json_array());

	for (size_t i = 0; i < info->names_len && names != NULL; i++)
		output_append(out, names,
		              output_json(out, json_sprintf("%s:%s", types[info->names[i].type], info->names[i].text)));
	return names;
}

json_t *cert_item_render(const struct cert_item *item, size_t chain_length)
{
	struct field_output out = {.failed = false};
	const struct cert_info *info = &item->info;
	json_t *x509 = output_json(&out, json_object());

	output_set(&out, x509, "subject", output_text(&out, info->subject));
	output_set(&out, x509, "issuer", output_text(&out, info->issuer));
	output_set(&out, x509, "sans", render_names(&out, info));
	output_set(&out, x509, "not_before", output_time(&out, info->not_before));
	output_set(&out, x509, "not_after", output_time(&out, info->not_after));
	output_set(&out, x509, "serial", output_text(&out, info->serial));
	output_set(&out, x509, "key_type", output_text(&out, info->key_name));
	output_set(&out, x509, "key_size", output_json(&out, json_integer(info->key_bits)));
	output_set(&out, x509, "signature_algorithm", output_text(&out, info->signature_algorithm));
	output_set(&out, x509, "sha256", output_json(&out, render_hash(info->sha256)));
	output_set(&out, x509, "spki_sha256", output_json(&out, render_hash(info->spki_sha256)));
	if (chain_length > 0)
		output_set(&out, x509, "chain_length", output_json(&out, json_integer((json_int_t)chain_length)));
	if (out.failed) {
		json_decref(x509);
		return NULL;
	}
	return x509;
}
