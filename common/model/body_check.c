/* SPDX-License-Identifier: Apache-2.0 */
/* What a body must be for this build to represent it: the one validator behind the API's 422 and the agent's NACK. It
 * looks at nothing but the body; certificates are opaque here. Pointers are those of the object's JSON document. */
#include "model/body.h"

#include "channel.pb-c.h"
#include "model/body_tls.h"
#include "model/kind.h"
#include "model/name.h"

#include <stdio.h>
#include <string.h>

#define SNIS_MAX 1000
#define PAIRS_MAX 3 /* OpenSSL has one slot each for RSA, EC and Ed25519 */
#define CHAIN_MAX 10
#define BUNDLE_MAX 1000
#define CRLS_MAX 1000
#define BUNDLE_SIZE_MAX (1536 * 1024) /* an object fits a frame of the channel */

void body_pair_pointer(size_t index, char pointer[32])
{
	if (index == 0)
		snprintf(pointer, 32, "/cert");
	else
		snprintf(pointer, 32, "/certs/%zu", index - 1);
}

void body_find_count(struct findings *findings, const char *pointer, size_t count, size_t min, size_t max)
{
	if (count < min || count > max)
		BODY_ERROR(findings, "out-of-range", pointer, "must have %zu to %zu entries, has %zu", min, max, count);
}

void body_find_number(struct findings *findings, const char *pointer, uint32_t value, uint32_t min, uint32_t max)
{
	if (value < min || value > max)
		BODY_ERROR(findings, "out-of-range", pointer, "must be %u to %u, is %u", min, max, value);
}

void body_find_size(struct findings *findings, const char *pointer, const ProtobufCBinaryData *data, size_t size)
{
	if (data->len != size)
		BODY_ERROR(findings, "invalid-value", pointer, "must be %zu bytes, is %zu", size, data->len);
}

void body_find_id(struct findings *findings, const char *pointer, const char *id)
{
	if (id != NULL && !kind_is_id(id, strlen(id)))
		BODY_ERROR(findings, "invalid-value", pointer,
		          "not an id: 1 to 64 of letters, digits, '_', '.', '-', not beginning with "
		          "'.' or '-'");
}

void body_find_ders(struct findings *findings, const char *pointer, const ProtobufCBinaryData *ders, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ders[i].len == 0)
			BODY_ERROR(findings, "invalid-certificate", pointer, "certificate %zu is empty", i + 1);
}

/* One of OpenSSL's certificate slots on an SSL. */
static unsigned key_slot(Tlsplane__KeyType type)
{
	if (type == TLSPLANE__KEY_TYPE__KEY_RSA)
		return 0;
	return type == TLSPLANE__KEY_TYPE__KEY_ED25519 ? 2 : 1;
}

static void find_pairs(const Tlsplane__Ssl *ssl, struct findings *findings)
{
	unsigned taken = 0;
	char pointer[32];

	if (ssl->n_pairs == 0)
		BODY_ERROR(findings, "missing-field", "/cert", "a certificate is required");
	else
		body_find_count(findings, "/certs", ssl->n_pairs - 1, 0, PAIRS_MAX - 1);
	for (size_t i = 0; i < ssl->n_pairs; i++) {
		const Tlsplane__Pair *pair = ssl->pairs[i];
		unsigned slot = 1u << key_slot(pair->key_type);

		body_pair_pointer(i, pointer);
		if ((taken & slot) != 0)
			BODY_ERROR(findings, "duplicate-key-type", pointer,
			          "a second certificate of the same key family; a server has one each of "
			          "RSA, EC and Ed25519");
		taken |= slot;
		body_find_count(findings, pointer, pair->n_chain, 1, CHAIN_MAX);
		body_find_ders(findings, pointer, pair->chain, pair->n_chain);
		body_find_size(findings, pointer, &pair->spki_sha256, 32);
	}
}

static void find_snis(const Tlsplane__Ssl *ssl, struct findings *findings)
{
	char pointer[32], name[NAME_MAX_LEN + 1];

	body_find_count(findings, ssl->sni_scalar ? "/sni" : "/snis", ssl->n_snis, 1, ssl->sni_scalar ? 1 : SNIS_MAX);
	for (size_t i = 0; i < ssl->n_snis; i++) {
		snprintf(pointer, sizeof(pointer), ssl->sni_scalar ? "/sni" : "/snis/%zu", i);
		if (name_normalise(ssl->snis[i], true, name, NULL) < 0 || strcmp(name, ssl->snis[i]) != 0)
			BODY_ERROR(findings, "invalid-value", pointer, "not a name in its normal form");
	}
}

/* Of type client: shown to origins, never served. */
static void find_ssl_client_type(const Tlsplane__Ssl *ssl, struct findings *findings)
{
	const struct {
		bool present;
		const char *pointer;
	} unused[] = {
		{ssl->n_snis > 0, ssl->sni_scalar ? "/sni" : "/snis"},
		{ssl->client != NULL, "/client"},
		{ssl->n_ssl_protocols > 0, "/ssl_protocols"},
		{ssl->tls_options != NULL, "/tls_options"},
		{ssl->has_priority, "/priority"},
		{ssl->n_pairs > 1, "/certs"},
	};

	for (size_t i = 0; i < ARRAY_LEN(unused); i++)
		if (unused[i].present)
			BODY_ERROR(findings, "conflicting-fields", unused[i].pointer,
			           "means nothing in an object of type \"client\", which is one pair of cert and key and is never served");
	find_pairs(ssl, findings);
}

static void find_ssl(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__Ssl *ssl = (const Tlsplane__Ssl *)body;

	if (ssl->client_type) {
		find_ssl_client_type(ssl, findings);
		return;
	}
	find_snis(ssl, findings);
	find_pairs(ssl, findings);
	if (ssl->client != NULL)
		body_find_client_auth(ssl->client, "/client", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE, ssl->tls_options != NULL,
		                      findings);
	for (size_t i = 0; i < ssl->n_ssl_protocols; i++) {
		uint32_t version = ssl->ssl_protocols[i];

		if (version < 0x0301 || version > 0x0304)
			BODY_ERROR(findings, "invalid-value", "/ssl_protocols", "unknown version 0x%04x", version);
		else if (i > 0 && version != ssl->ssl_protocols[i - 1] + 1)
			BODY_ERROR(findings, "invalid-value", "/ssl_protocols",
			          "must be a range without gaps: name the versions between as well");
	}
	body_find_id(findings, "/tls_options", ssl->tls_options);
}

static size_t ders_size(const ProtobufCBinaryData *ders, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += ders[i].len;
	return size;
}

static void find_ca_bundle(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__CaBundle *bundle = (const Tlsplane__CaBundle *)body;

	body_find_count(findings, "/certs", bundle->n_certs, 1, BUNDLE_MAX);
	body_find_ders(findings, "/certs", bundle->certs, bundle->n_certs);
	body_find_count(findings, "/crls", bundle->n_crls, 0, CRLS_MAX);
	for (size_t i = 0; i < bundle->n_crls; i++)
		if (bundle->crls[i].len == 0)
			BODY_ERROR(findings, "invalid-crl", "/crls", "CRL %zu is empty", i + 1);
	if (ders_size(bundle->certs, bundle->n_certs) + ders_size(bundle->crls, bundle->n_crls) > BUNDLE_SIZE_MAX)
		BODY_ERROR(findings, "too-large", bundle->n_crls > 0 ? "/crls" : "/certs",
		           "certificates and CRLs must be at most %d bytes of DER together", BUNDLE_SIZE_MAX);
}

static void find_agent(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__Agent *agent = (const Tlsplane__Agent *)body;

	body_find_count(findings, "/keys", agent->n_keys, 1, 2);
	for (size_t i = 0; i < agent->n_keys; i++) {
		body_find_size(findings, "/keys", &agent->keys[i]->spki_sha256, 32);
		body_find_size(findings, "/keys", &agent->keys[i]->certificate_sha256, 32);
	}
}

static void find_join_token(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__JoinToken *token = (const Tlsplane__JoinToken *)body;

	body_find_size(findings, "/secret", &token->secret_sha256, 32);
	body_find_id(findings, "/agent_id", token->agent_id);
	body_find_id(findings, "/used_by", token->used_by);
	if (token->has_used_spki_sha256)
		body_find_size(findings, "/used_by", &token->used_spki_sha256, 32);
}

void body_find(unsigned kind, const ProtobufCMessage *body, struct findings *findings)
{
	static const struct {
		enum kind kind;
		void (*find)(const ProtobufCMessage *body, struct findings *findings);
	} table[] = {
		{KIND_SSL, find_ssl},
		{KIND_TLS_OPTIONS, body_find_tls_options},
		{KIND_LISTENER, body_find_listener},
		{KIND_UPSTREAM, body_find_upstream},
		{KIND_CA_BUNDLE, find_ca_bundle},
		{KIND_ROUTE, body_find_route},
		{KIND_UPSTREAM_TLS, body_find_upstream_tls},
		{KIND_AGENT, find_agent},
		{KIND_JOIN_TOKEN, find_join_token},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (table[i].kind == kind) {
			table[i].find(body, findings);
			return;
		}
	}
	BODY_ERROR(findings, "unknown-kind", "", "unknown kind %u", kind);
}

int body_check(unsigned kind, const ProtobufCMessage *body, char pointer[256], struct error *err)
{
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;

	body_find(kind, body, &findings);
	if (findings.failed)
		return error_nomem(err);
	for (size_t i = 0; i < findings.count; i++) {
		if (findings.items[i].severity != FINDING_ERROR)
			continue;
		snprintf(pointer, 256, "%s", findings.items[i].pointer);
		return error_set(err, E_INVALID, "%s", findings.items[i].detail);
	}
	return 0;
}
