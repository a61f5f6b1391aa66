/* SPDX-License-Identifier: Apache-2.0 */
/* Route, certificate and upstream of the answer. What objects say is taken from their own canonical documents
 * (resource_render_input), so that the answer and a GET of the object cannot differ; what is absent there is filled
 * with what the agent takes for it. */
#include "api/resolve.h"

#include "crypto/crypto.h"
#include "model/effective.h"
#include "model/suites.h"

#include <string.h>

const char *resolve_level_word(enum decide_level level)
{
	static const char *const words[] = {
	    [DECIDE_LEVEL_NONE] = "none",           [DECIDE_LEVEL_EXACT] = "exact", [DECIDE_LEVEL_ONE_LABEL] = "one_label",
	    [DECIDE_LEVEL_ANY_DEPTH] = "any_depth", [DECIDE_LEVEL_ANY] = "any",     [DECIDE_LEVEL_NO_NAME] = "no_name",
	    [DECIDE_LEVEL_DEFAULT] = "default"};

	return words[level];
}

const char *resolve_from_word(enum decide_from from)
{
	static const char *const words[] = {
	    [DECIDE_FROM_NONE] = "builtin",      [DECIDE_FROM_SSL] = "ssl",           [DECIDE_FROM_ROUTE] = "route",
	    [DECIDE_FROM_LISTENER] = "listener", [DECIDE_FROM_UPSTREAM] = "upstream", [DECIDE_FROM_DEFAULT] = "default"};

	return words[from];
}

json_t *resolve_document_of(const struct view_object *object)
{
	struct error err = ERROR_NULL;

	return object != NULL && object->body != NULL ? resource_render_input(&object->row.state, &err) : json_object();
}

static const char *word_of(json_t *document, const char *key, const char *absent)
{
	const char *word = json_string_value(json_object_get(document, key));

	return word != NULL ? word : absent;
}

/* Route ----------------------------------------------------------------------------------------------------------- */

static const char *route_reason(enum decide_level level)
{
	static const char *const reasons[] = {[DECIDE_LEVEL_NONE] = "no route for this name: what the listener says holds",
	                                      [DECIDE_LEVEL_EXACT] = "names the server name exactly",
	                                      [DECIDE_LEVEL_ONE_LABEL] = "a wildcard for one label",
	                                      [DECIDE_LEVEL_ANY_DEPTH] = "the longest wildcard for any depth",
	                                      [DECIDE_LEVEL_ANY] = "takes any name",
	                                      [DECIDE_LEVEL_NO_NAME] = "takes clients without a server name"};

	return reasons[level];
}

/* null: the route lets everybody in. */
static json_t *render_allow_clients(const struct resolve_handshake *handshake, json_t *route)
{
	json_t *ranges = json_object_get(route, "allow_clients");

	if (json_array_size(ranges) == 0)
		return json_null();
	return json_pack("{s:O, s:b, s:s}", "ranges", ranges, "judged", handshake->has_client, "reason",
	                 !handshake->has_client                              ? "not judged: no client_ip was given"
	                 : handshake->decision.cause == DECIDE_CAUSE_ADDRESS ? "the client is in none of the ranges"
	                                                                     : "the client is in one of the ranges");
}

json_t *resolve_render_route(const struct resolve_handshake *handshake, struct resolve_contest *contest)
{
	const struct decide_route *route = &handshake->decision.route;
	const char *level = resolve_level_word(handshake->decision.route_level);
	const char *reason = route_reason(handshake->decision.route_level);
	json_t *document, *answer, *losers = TAKE_PTR(contest->losers);

	if (route->id == NULL)
		return json_pack("{s:n, s:s, s:s, s:o, s:I}", "id", "level", level, "reason", reason, "losers", losers,
		                 "more_losers", (json_int_t)contest->more);
	document = resolve_document_of(route->handle);
	if (document == NULL) {
		json_decref(losers);
		return NULL;
	}
	answer =
	    json_pack("{s:s, s:s, s:s, s:s, s:s, s:O?, s:o, s:o, s:I}", "id", route->id, "level", level, "pattern",
	              contest->key, "reason", reason, "mode", word_of(document, "mode", "terminate"), "listeners",
	              json_object_get(document, "listeners"), "allow_clients", render_allow_clients(handshake, document),
	              "losers", losers, "more_losers", (json_int_t)contest->more);
	json_decref(document);
	return answer;
}

/* Before the ClientHello ------------------------------------------------------------------------------------------- */

json_t *resolve_render_limits(const struct decide_listener *listener)
{
	const Tlsplane__Listener *body = listener->body;
	json_t *document = resolve_document_of(listener->handle), *answer;

	if (document == NULL)
		return NULL;
	answer = json_pack("{s:I, s:O?, s:O?, s:O?}", "max_connections",
	                   (json_int_t)effective_max_connections(body), "max_handshakes",
	                   json_object_get(document, "max_handshakes"), "handshakes_per_second",
	                   json_object_get(document, "handshakes_per_second"), "accept_proxy_protocol",
	                   json_object_get(document, "accept_proxy_protocol"));
	json_decref(document);
	return answer;
}

/* Certificate ----------------------------------------------------------------------------------------------------- */

static const char *certificate_reason(enum decide_level level, const char *id)
{
	static const char *const reasons[] = {[DECIDE_LEVEL_EXACT] = "lists the server name exactly",
	                                      [DECIDE_LEVEL_ONE_LABEL] = "lists the wildcard for one label",
	                                      [DECIDE_LEVEL_ANY] = "lists \"*\"",
	                                      [DECIDE_LEVEL_DEFAULT] =
	                                          "nothing lists the name: default_ssl of the options"};

	if (id == NULL)
		return "nothing lists the name, and the options name no default_ssl: the agent's generated certificate";
	return reasons[level];
}

static json_t *render_pair(const Tlsplane__Pair *pair)
{
	static const char *const key_types[] = {[TLSPLANE__KEY_TYPE__KEY_RSA] = "RSA",
	                                        [TLSPLANE__KEY_TYPE__KEY_EC_P256] = "EC P-256",
	                                        [TLSPLANE__KEY_TYPE__KEY_EC_P384] = "EC P-384",
	                                        [TLSPLANE__KEY_TYPE__KEY_EC_P521] = "EC P-521",
	                                        [TLSPLANE__KEY_TYPE__KEY_ED25519] = "Ed25519"};
	unsigned type = (unsigned)pair->key_type;
	char leaf[2 * SHA256_LEN + 1] = "", spki[2 * SHA256_LEN + 1] = "";
	uint8_t digest[SHA256_LEN];
	struct error err = ERROR_NULL;

	if (pair->n_chain == 0 || crypto_sha256(BYTES(pair->chain[0].data, pair->chain[0].len), digest, &err) < 0)
		return NULL;
	crypto_hex(digest, SHA256_LEN, leaf);
	if (pair->spki_sha256.len == SHA256_LEN)
		crypto_hex(pair->spki_sha256.data, SHA256_LEN, spki);
	return json_pack("{s:s, s:s, s:s?, s:o}", "sha256", leaf, "spki_sha256", spki, "key_type",
	                 type < ARRAY_LEN(key_types) ? key_types[type] : NULL, "not_after",
	                 pair->has_not_after ? json_integer((json_int_t)pair->not_after) : json_null());
}

static json_t *render_pairs(const Tlsplane__Ssl *ssl)
{
	json_t *pairs = json_array();

	for (size_t i = 0; pairs != NULL && ssl != NULL && i < ssl->n_pairs; i++) {
		if (json_array_append_new(pairs, render_pair(ssl->pairs[i])) < 0) {
			json_decref(pairs);
			return NULL;
		}
	}
	return pairs;
}

/* The first end of all leafs; absent in what an early release wrote. */
static json_t *render_not_after(const Tlsplane__Ssl *ssl)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; ssl != NULL && i < ssl->n_pairs; i++) {
		if (ssl->pairs[i]->has_not_after && ssl->pairs[i]->not_after < first)
			first = ssl->pairs[i]->not_after;
	}
	return first != UINT64_MAX ? json_integer((json_int_t)first) : json_null();
}

json_t *resolve_render_certificate(const struct resolve_handshake *handshake, struct resolve_contest *contest)
{
	const struct decision *decision = &handshake->decision;
	const struct view_object *object = decision->ssl.handle;
	const Tlsplane__Ssl *ssl = object != NULL ? (const Tlsplane__Ssl *)object->body : NULL;
	const char *id = decision->ssl.id;
	json_t *losers = TAKE_PTR(contest->losers);

	if (id == NULL && decision->outcome != DECIDE_TERMINATE && decision->cause == DECIDE_CAUSE_NAME)
		return json_pack("{s:n, s:s, s:s, s:o, s:I}", "id", "level", "none", "reason", decision->why.text, "losers",
		                 losers, "more_losers", (json_int_t)contest->more);
	return json_pack("{s:s?, s:s, s:s*, s:s, s:o, s:o, s:o, s:I}", "id", id, "level",
	                 resolve_level_word(decision->ssl_level), "name", contest->key[0] != 0 ? contest->key : NULL,
	                 "reason", certificate_reason(decision->ssl_level, id), "pairs", render_pairs(ssl), "not_after",
	                 render_not_after(ssl), "losers", losers, "more_losers", (json_int_t)contest->more);
}

/* Upstream -------------------------------------------------------------------------------------------------------- */

/* Which name: NULL where the node's host is taken, or the client gave none. */
static const char *name_by(const struct resolve_handshake *handshake, Tlsplane__NamePolicy policy, const char *fixed)
{
	if (policy == TLSPLANE__NAME_POLICY__NAME_FIXED)
		return fixed;
	return policy == TLSPLANE__NAME_POLICY__NAME_INBOUND && handshake->name[0] != 0 ? handshake->name : NULL;
}

static const char *policy_word(Tlsplane__NamePolicy policy)
{
	static const char *const words[] = {[TLSPLANE__NAME_POLICY__NAME_HOST] = "host",
	                                    [TLSPLANE__NAME_POLICY__NAME_INBOUND] = "inbound",
	                                    [TLSPLANE__NAME_POLICY__NAME_FIXED] = "name"};

	return words[policy];
}

static json_t *render_sni(const struct resolve_handshake *handshake, const Tlsplane__UpstreamTls *tls)
{
	return json_pack("{s:s, s:s?}", "policy", policy_word(tls->sni_policy), "name",
	                 name_by(handshake, tls->sni_policy, tls->server_name));
}

/* null: no name is looked at. Without a policy it is the one that was sent. */
static json_t *render_verified_name(const struct resolve_handshake *handshake, const Tlsplane__UpstreamTls *tls)
{
	if (tls->verify == TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_DISABLED || tls->n_allow > 0 ||
	    tls->properties == TLSPLANE__UPSTREAM_PROPERTIES__UPSTREAM_PROPERTIES_SIGNATURE)
		return json_null();
	if (tls->has_verify_name_policy)
		return json_pack("{s:s, s:s?}", "policy", policy_word(tls->verify_name_policy), "name",
		                 name_by(handshake, tls->verify_name_policy, tls->verify_name));
	return json_pack("{s:s, s:s?}", "policy", "sni", "name", name_by(handshake, tls->sni_policy, tls->server_name));
}

static int put(json_t *document, const char *key, json_t *part)
{
	return json_object_set_new(document, key, part) == 0 ? 0 : E_NOMEM;
}

static int put_parameters(json_t *document, const Tlsplane__UpstreamTls *tls)
{
	uint32_t min = effective_origin_min_version(tls), max = effective_origin_max_version(tls);
	int r = put(document, "min_version", json_string(version_name(min)));

	r |= put(document, "max_version", json_string(version_name(max)));
	r |= put(document, "cipher_suites", resolve_render_suites(tls->cipher_suites, tls->n_cipher_suites, min, max));
	r |= put(document, "curve_preferences", resolve_render_groups(tls->curve_preferences, tls->n_curve_preferences));
	return r;
}

/* Fills in what the object leaves out; the certificates of `ca` are counted, not repeated. */
static int fill_upstream_tls(const struct resolve_handshake *handshake, json_t *tls)
{
	static const Tlsplane__UpstreamTls builtin = TLSPLANE__UPSTREAM_TLS__INIT;
	const struct decision *decision = &handshake->decision;
	const Tlsplane__UpstreamTls *body = decision->upstream_tls.body != NULL ? decision->upstream_tls.body : &builtin;
	int r = put(tls, "id", decision->upstream_tls.id != NULL ? json_string(decision->upstream_tls.id) : json_null());

	r |= put(tls, "from", json_string(resolve_from_word(decision->upstream_tls_from)));
	r |= put(tls, "reason", json_string(resolve_upstream_tls_reason(decision->upstream_tls_from)));
	r |= put(tls, "losers", resolve_upstream_tls_overruled(decision));
	r |= put(tls, "sni", render_sni(handshake, body));
	r |= put(tls, "verified_name", render_verified_name(handshake, body));
	r |= put(tls, "verify", json_string(word_of(tls, "verify", "ENFORCED")));
	r |= put(tls, "properties", json_string(word_of(tls, "properties", "ALL")));
	r |= put_parameters(tls, body);
	r |= put(tls, "ca_certificates", json_integer((json_int_t)body->n_ca));
	r |= put(tls, "system_ca", json_boolean(effective_origin_system_ca(body)));
	r |= put(tls, "depth", json_integer(effective_origin_depth(body)));
	r |= put(tls, "stale_crls", json_string(word_of(tls, "stale_crls", "refuse")));
	r |= put(tls, "session_reuse", json_boolean(effective_origin_session_reuse(body)));
	r |= put(tls, "handshake_timeout", json_real(effective_origin_handshake_timeout_ms(body) / 1000.0));
	json_object_del(tls, "ca");
	json_object_del(tls, "desc");
	json_object_del(tls, "labels");
	json_object_del(tls, "selector");
	json_object_del(tls, "status");
	return r;
}

/* null: plain TCP. */
static json_t *render_upstream_tls(const struct resolve_handshake *handshake)
{
	json_t *tls;

	if (!handshake->decision.upstream_speaks_tls || handshake->decision.outcome != DECIDE_TERMINATE)
		return json_null();
	tls = resolve_document_of(handshake->decision.upstream_tls.handle);
	if (tls != NULL && fill_upstream_tls(handshake, tls) < 0) {
		json_decref(tls);
		return NULL;
	}
	return tls;
}

json_t *resolve_render_upstream(const struct resolve_handshake *handshake)
{
	const struct decide_upstream *upstream = &handshake->decision.upstream;
	json_t *document = resolve_document_of(upstream->handle), *answer;
	const Tlsplane__Upstream *body = upstream->body;
	const char *sent[] = {"off", "v1", "v2"};
	uint32_t version = body->has_send_proxy_protocol ? body->send_proxy_protocol : 0;

	if (document == NULL)
		return NULL;
	answer = json_pack("{s:s, s:s, s:s, s:o, s:O?, s:f, s:I, s:f, s:s, s:o}", "id", upstream->id, "from",
	                   resolve_from_word(handshake->decision.upstream_from), "reason",
	                   resolve_upstream_reason(&handshake->decision), "losers",
	                   resolve_upstream_overruled(&handshake->decision), "nodes",
	                   json_object_get(document, "nodes"), "connect_timeout",
	                   effective_connect_timeout_ms(body) / 1000.0, "max_fails",
	                   (json_int_t)effective_max_fails(body), "fail_timeout",
	                   effective_fail_timeout_ms(body) / 1000.0, "send_proxy_protocol",
	                   version < ARRAY_LEN(sent) ? sent[version] : "off", "tls", render_upstream_tls(handshake));
	json_decref(document);
	return answer;
}
