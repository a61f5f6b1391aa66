/* SPDX-License-Identifier: Apache-2.0 */
/* What a body must be for this build to represent it: the one validator behind the API's 422 and the agent's NACK. It
 * looks at nothing but the body; certificates are opaque here. Pointers are those of the object's JSON document. */
#include "model/body.h"

#include "channel.pb-c.h"
#include "model/address.h"
#include "model/body_tls.h"
#include "model/kind.h"
#include "model/name.h"

#include <stdio.h>
#include <string.h>

#define SNIS_MAX 1000
#define PAIRS_MAX 3 /* OpenSSL has one slot each for RSA, EC and Ed25519 */
#define CHAIN_MAX 10
#define NODES_MAX 64
#define BUNDLE_MAX 1000
#define DEPTH_MAX 100

#define ADD_ERROR(findings, code, pointer, ...) findings_add((findings), FINDING_ERROR, (code), (pointer), __VA_ARGS__)

void body_pair_pointer(size_t index, char pointer[32])
{
	if (index == 0)
		snprintf(pointer, 32, "/cert");
	else
		snprintf(pointer, 32, "/certs/%zu", index - 1);
}

static void find_count(struct findings *findings, const char *pointer, size_t count, size_t min, size_t max)
{
	if (count < min || count > max)
		ADD_ERROR(findings, "out-of-range", pointer, "must have %zu to %zu entries, has %zu", min, max, count);
}

static void find_number(struct findings *findings, const char *pointer, uint32_t value, uint32_t min, uint32_t max)
{
	if (value < min || value > max)
		ADD_ERROR(findings, "out-of-range", pointer, "must be %u to %u, is %u", min, max, value);
}

static void find_size(struct findings *findings, const char *pointer, const ProtobufCBinaryData *data, size_t size)
{
	if (data->len != size)
		ADD_ERROR(findings, "invalid-value", pointer, "must be %zu bytes, is %zu", size, data->len);
}

static void find_id(struct findings *findings, const char *pointer, const char *id)
{
	if (id != NULL && !kind_is_id(id, strlen(id)))
		ADD_ERROR(findings, "invalid-value", pointer,
		          "not an id: 1 to 64 of letters, digits, '_', '.', '-', not beginning with "
		          "'.' or '-'");
}

static void find_ders(struct findings *findings, const char *pointer, const ProtobufCBinaryData *ders, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ders[i].len == 0)
			ADD_ERROR(findings, "invalid-certificate", pointer, "certificate %zu is empty", i + 1);
}

void body_find_client_auth(const Tlsplane__ClientAuth *client, const char *pointer, bool require,
                           struct findings *findings)
{
	char at[64];
	bool trusts = client->n_ca > 0 || client->ca_bundle != NULL;

	snprintf(at, sizeof(at), "%s/ca", pointer);
	if (require && !trusts)
		ADD_ERROR(findings, "missing-field", at,
		          "a client certificate is required, so \"ca\" or \"ca_bundle\" must say who "
		          "issues them; system CAs never verify clients");
	if (!require && trusts)
		findings_add(findings, FINDING_WARNING, "ca-unused", at,
		             "clients are not asked for a certificate: verify is \"none\"");
	if (client->n_ca > 0 && client->ca_bundle != NULL)
		ADD_ERROR(findings, "conflicting-fields", at, "\"ca\" and \"ca_bundle\" exclude each other");
	find_ders(findings, at, client->ca, client->n_ca);
	if (client->n_ca > 0)
		find_count(findings, at, client->n_ca, 1, BUNDLE_MAX);
	snprintf(at, sizeof(at), "%s/ca_bundle", pointer);
	find_id(findings, at, client->ca_bundle);
	snprintf(at, sizeof(at), "%s/depth", pointer);
	if (client->has_depth)
		find_number(findings, at, client->depth, 0, DEPTH_MAX);
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
		ADD_ERROR(findings, "missing-field", "/cert", "a certificate is required");
	else
		find_count(findings, "/certs", ssl->n_pairs - 1, 0, PAIRS_MAX - 1);
	for (size_t i = 0; i < ssl->n_pairs; i++) {
		const Tlsplane__Pair *pair = ssl->pairs[i];
		unsigned slot = 1u << key_slot(pair->key_type);

		body_pair_pointer(i, pointer);
		if ((taken & slot) != 0)
			ADD_ERROR(findings, "duplicate-key-type", pointer,
			          "a second certificate of the same key family; a server has one each of "
			          "RSA, EC and Ed25519");
		taken |= slot;
		find_count(findings, pointer, pair->n_chain, 1, CHAIN_MAX);
		find_ders(findings, pointer, pair->chain, pair->n_chain);
		find_size(findings, pointer, &pair->spki_sha256, 32);
	}
}

static void find_snis(const Tlsplane__Ssl *ssl, struct findings *findings)
{
	char pointer[32], name[NAME_MAX_LEN + 1];

	find_count(findings, ssl->sni_scalar ? "/sni" : "/snis", ssl->n_snis, 1, ssl->sni_scalar ? 1 : SNIS_MAX);
	for (size_t i = 0; i < ssl->n_snis; i++) {
		snprintf(pointer, sizeof(pointer), ssl->sni_scalar ? "/sni" : "/snis/%zu", i);
		if (name_normalise(ssl->snis[i], true, name, NULL) < 0 || strcmp(name, ssl->snis[i]) != 0)
			ADD_ERROR(findings, "invalid-value", pointer, "not a name in its normal form");
	}
}

static void find_ssl(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__Ssl *ssl = (const Tlsplane__Ssl *)body;

	find_snis(ssl, findings);
	find_pairs(ssl, findings);
	if (ssl->client != NULL)
		body_find_client_auth(ssl->client, "/client", true, findings);
	for (size_t i = 0; i < ssl->n_ssl_protocols; i++) {
		uint32_t version = ssl->ssl_protocols[i];

		if (version < 0x0301 || version > 0x0304)
			ADD_ERROR(findings, "invalid-value", "/ssl_protocols", "unknown version 0x%04x", version);
		else if (i > 0 && version != ssl->ssl_protocols[i - 1] + 1)
			ADD_ERROR(findings, "invalid-value", "/ssl_protocols",
			          "must be a range without gaps: name the versions between as well");
	}
	find_id(findings, "/tls_options", ssl->tls_options);
}

static void find_listener(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__Listener *listener = (const Tlsplane__Listener *)body;

	if (!address_is_ip(listener->host) || !address_is_normal(listener->host))
		ADD_ERROR(findings, "invalid-value", "/bind", "the host must be an IP address in its normal form");
	find_number(findings, "/bind", listener->port, 1, 65535);
	if (strcmp(listener->protocol, "tcp") != 0)
		ADD_ERROR(findings, "invalid-value", "/protocol", "must be \"tcp\"");
	find_id(findings, "/upstream", listener->upstream);
	find_id(findings, "/tls_options", listener->tls_options);
	if (listener->has_max_connections)
		find_number(findings, "/max_connections", listener->max_connections, 1, 1000000);
}

static bool node_is_again(const Tlsplane__Upstream *upstream, size_t index)
{
	const Tlsplane__Node *node = upstream->nodes[index];

	for (size_t i = 0; i < index; i++)
		if (upstream->nodes[i]->port == node->port && strcmp(upstream->nodes[i]->host, node->host) == 0)
			return true;
	return false;
}

static void find_node(const Tlsplane__Upstream *upstream, size_t index, struct findings *findings)
{
	const Tlsplane__Node *node = upstream->nodes[index];

	if (!address_is_normal(node->host))
		ADD_ERROR(findings, "invalid-value", "/nodes",
		          "the host of node %zu is neither a name nor an IP address in normal form", index + 1);
	if (node->port < 1 || node->port > 65535)
		ADD_ERROR(findings, "out-of-range", "/nodes", "the port of node %zu must be 1 to 65535, is %u", index + 1,
		          node->port);
	if (node->weight > 1000)
		ADD_ERROR(findings, "out-of-range", "/nodes", "the weight of node %zu must be 0 to 1000, is %u", index + 1,
		          node->weight);
	if (node_is_again(upstream, index))
		ADD_ERROR(findings, "duplicate", "/nodes", "node %zu names a host and port that stand before it", index + 1);
}

static void find_upstream(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__Upstream *upstream = (const Tlsplane__Upstream *)body;
	bool takes = false;

	find_count(findings, "/nodes", upstream->n_nodes, 1, NODES_MAX);
	for (size_t i = 0; i < upstream->n_nodes && i < NODES_MAX; i++) {
		find_node(upstream, i, findings);
		takes = takes || upstream->nodes[i]->weight > 0;
	}
	if (upstream->n_nodes > 0 && !takes)
		ADD_ERROR(findings, "out-of-range", "/nodes", "at least one node must have a weight above 0");
	if (upstream->has_connect_timeout_ms)
		find_number(findings, "/connect_timeout", upstream->connect_timeout_ms, 1, 300000);
}

static void find_ca_bundle(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__CaBundle *bundle = (const Tlsplane__CaBundle *)body;

	find_count(findings, "/certs", bundle->n_certs, 1, BUNDLE_MAX);
	find_ders(findings, "/certs", bundle->certs, bundle->n_certs);
}

static void find_agent(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__Agent *agent = (const Tlsplane__Agent *)body;

	find_count(findings, "/keys", agent->n_keys, 1, 2);
	for (size_t i = 0; i < agent->n_keys; i++) {
		find_size(findings, "/keys", &agent->keys[i]->spki_sha256, 32);
		find_size(findings, "/keys", &agent->keys[i]->certificate_sha256, 32);
	}
}

static void find_join_token(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__JoinToken *token = (const Tlsplane__JoinToken *)body;

	find_size(findings, "/secret", &token->secret_sha256, 32);
	find_id(findings, "/agent_id", token->agent_id);
	find_id(findings, "/used_by", token->used_by);
	if (token->has_used_spki_sha256)
		find_size(findings, "/used_by", &token->used_spki_sha256, 32);
}

void body_find(unsigned kind, const ProtobufCMessage *body, struct findings *findings)
{
	static const struct {
		enum kind kind;
		void (*find)(const ProtobufCMessage *body, struct findings *findings);
	} table[] = {
		{KIND_SSL, find_ssl},
		{KIND_TLS_OPTIONS, body_find_tls_options},
		{KIND_LISTENER, find_listener},
		{KIND_UPSTREAM, find_upstream},
		{KIND_CA_BUNDLE, find_ca_bundle},
		{KIND_AGENT, find_agent},
		{KIND_JOIN_TOKEN, find_join_token},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (table[i].kind == kind) {
			table[i].find(body, findings);
			return;
		}
	}
	ADD_ERROR(findings, "unknown-kind", "", "unknown kind %u", kind);
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
