/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of upstream TLS objects. A field that the chosen verification never looks at is an error when leaving it out
 * in silence would be laxer than what was written (names, allow), and a warning where it does no harm (anchors). */
#include "model/address.h"
#include "model/body_tls.h"
#include "model/effective.h"
#include "model/name.h"
#include "model/rule_fields.h"

#include <string.h>

#define CAS_MAX 1000
#define DEPTH_MAX 100

static bool is_verify(const Tlsplane__UpstreamTls *tls, Tlsplane__UpstreamVerify verify)
{
	return tls->verify == verify;
}

static bool looks_at_chain(const Tlsplane__UpstreamTls *tls)
{
	return !is_verify(tls, TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_DISABLED) &&
	       tls->properties != TLSPLANE__UPSTREAM_PROPERTIES__UPSTREAM_PROPERTIES_NAME;
}

static bool looks_at_name(const Tlsplane__UpstreamTls *tls)
{
	return !is_verify(tls, TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_DISABLED) &&
	       tls->properties != TLSPLANE__UPSTREAM_PROPERTIES__UPSTREAM_PROPERTIES_SIGNATURE;
}

static void find_missing_trust(const Tlsplane__UpstreamTls *tls, struct findings *findings)
{
	bool enforced = is_verify(tls, TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_ENFORCED);

	if (tls->n_ca > 0 || tls->ca_bundle != NULL || !tls->has_system_ca || tls->system_ca || !looks_at_chain(tls))
		return;
	findings_add(findings, enforced ? FINDING_ERROR : FINDING_WARNING, "no-trust", "/system_ca",
	             "nothing is trusted, so no origin could verify: give \"ca\" or \"ca_bundle\", or leave system_ca out; to trust keys "
	             "instead of issuers, set \"pins\" and properties \"NAME\"");
}

static void find_anchors(const Tlsplane__UpstreamTls *tls, struct findings *findings)
{
	const char *at = tls->n_ca > 0 ? "/ca" : tls->ca_bundle != NULL ? "/ca_bundle" : "/system_ca";

	if (tls->n_ca > 0 && tls->ca_bundle != NULL)
		BODY_ERROR(findings, "conflicting-fields", "/ca", "\"ca\" and \"ca_bundle\" exclude each other");
	body_find_ders(findings, "/ca", tls->ca, tls->n_ca);
	body_find_count(findings, "/ca", tls->n_ca, 0, CAS_MAX);
	body_find_id(findings, "/ca_bundle", tls->ca_bundle);
	find_missing_trust(tls, findings);
	if ((tls->n_ca > 0 || tls->ca_bundle != NULL || (tls->has_system_ca && tls->system_ca)) && !looks_at_chain(tls))
		findings_add(findings, FINDING_WARNING, "ca-unused", at,
		             "who issued the certificate is not looked at: %s",
		             is_verify(tls, TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_DISABLED) ? "verify is \"DISABLED\""
		                                                                                : "properties is \"NAME\"");
	if (tls->has_depth)
		body_find_number(findings, "/depth", tls->depth, 0, DEPTH_MAX);
}

static bool is_host_name(const char *text)
{
	char name[NAME_MAX_LEN + 1];

	return name_normalise(text, false, name, NULL) == 0 && strcmp(name, text) == 0;
}

static void find_sni(const Tlsplane__UpstreamTls *tls, struct findings *findings)
{
	bool fixed = tls->sni_policy == TLSPLANE__NAME_POLICY__NAME_FIXED;

	if (fixed && tls->server_name == NULL)
		BODY_ERROR(findings, "missing-field", "/server_name", "is required with sni_policy \"name\"");
	if (!fixed && tls->server_name != NULL)
		BODY_ERROR(findings, "conflicting-fields", "/server_name",
		           "is sent with sni_policy \"name\" alone; this object has another");
	if (tls->server_name != NULL && !is_host_name(tls->server_name))
		BODY_ERROR(findings, "invalid-value", "/server_name", "not a server name in its normal form");
}

static void find_verified_name(const Tlsplane__UpstreamTls *tls, struct findings *findings)
{
	bool fixed = tls->has_verify_name_policy && tls->verify_name_policy == TLSPLANE__NAME_POLICY__NAME_FIXED;

	if (fixed && tls->verify_name == NULL)
		BODY_ERROR(findings, "missing-field", "/verify_name", "is required with verify_name_policy \"name\"");
	if (!fixed && tls->verify_name != NULL)
		BODY_ERROR(findings, "conflicting-fields", "/verify_name",
		           "is looked at with verify_name_policy \"name\" alone; this object has another");
	if (tls->verify_name != NULL && !address_is_normal(tls->verify_name))
		BODY_ERROR(findings, "invalid-value", "/verify_name", "neither a name nor an IP address in normal form");
	if (tls->has_verify_name_policy && tls->n_allow > 0)
		BODY_ERROR(findings, "conflicting-fields", "/allow",
		           "stands in place of the name to verify: leave verify_name and verify_name_policy out, or write that name as "
		           "a rule");
}

/* DISABLED is often meant for an hour: what the object says besides stays, without effect. A pin alone must go, since
 * whoever pins relies on it. */
static void find_disabled(const Tlsplane__UpstreamTls *tls, struct findings *findings)
{
	const struct {
		bool given;
		const char *pointer;
	} unused[] = {{tls->has_properties, "/properties"},
	              {tls->has_allow_stale_crls, "/stale_crls"},
	              {tls->n_allow > 0, "/allow"},
	              {tls->verify_name != NULL, "/verify_name"},
	              {tls->verify_name == NULL && tls->has_verify_name_policy, "/verify_name_policy"}};

	findings_add(findings, FINDING_WARNING, "origin-not-verified", "/verify",
	             "whoever answers at the node's address is believed: verify is \"DISABLED\"");
	for (size_t i = 0; i < ARRAY_LEN(unused); i++)
		if (unused[i].given)
			findings_add(findings, FINDING_WARNING, "no-effect", unused[i].pointer, "has no effect: verify is \"DISABLED\"");
	if (tls->n_pins > 0)
		BODY_ERROR(findings, "conflicting-fields", "/pins", "verify is \"DISABLED\": take the pins out, or verify");
}

/* What would make a reader believe in a check that is not made. */
static void find_unverified(const Tlsplane__UpstreamTls *tls, struct findings *findings)
{
	static const char why[] = "has no effect: properties is \"SIGNATURE\"";

	if (!looks_at_name(tls) && tls->n_allow > 0)
		BODY_ERROR(findings, "conflicting-fields", "/allow", "%s", why);
	if (!looks_at_name(tls) && tls->verify_name != NULL)
		BODY_ERROR(findings, "conflicting-fields", "/verify_name", "%s", why);
	else if (!looks_at_name(tls) && tls->has_verify_name_policy)
		BODY_ERROR(findings, "conflicting-fields", "/verify_name_policy", "%s", why);
	if (looks_at_name(tls) && !looks_at_chain(tls) && tls->n_pins == 0)
		findings_add(findings, FINDING_WARNING, "origin-not-verified", "/properties",
		             "anybody can write the name into a certificate: with properties \"NAME\" set \"pins\" too");
}

static void find_negotiated(const Tlsplane__UpstreamTls *tls, struct findings *findings)
{
	const struct body_crypto crypto = {
		.min_version_unset = 0x0303,
		.min_version = effective_origin_min_version(tls),
		.max_version = effective_origin_max_version(tls),
		.cipher_suites = tls->cipher_suites,
		.n_cipher_suites = tls->n_cipher_suites,
		.curve_preferences = tls->curve_preferences,
		.n_curve_preferences = tls->n_curve_preferences,
		.alpn_protocols = tls->alpn_protocols,
		.n_alpn_protocols = tls->n_alpn_protocols,
	};

	body_find_crypto(&crypto, findings);
	if (tls->has_handshake_timeout_ms)
		body_find_number(findings, "/handshake_timeout", tls->handshake_timeout_ms, 100, 300000);
}

void body_find_upstream_tls(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__UpstreamTls *tls = (const Tlsplane__UpstreamTls *)body;

	body_find_id(findings, "/client_ssl", tls->client_ssl);
	find_anchors(tls, findings);
	find_sni(tls, findings);
	find_verified_name(tls, findings);
	body_find_rules(findings, "/allow", tls->allow, tls->n_allow);
	body_find_sha256s(findings, "/pins", tls->pins, tls->n_pins, PINS_MAX);
	if (is_verify(tls, TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_DISABLED))
		find_disabled(tls, findings);
	else
		find_unverified(tls, findings);
	find_negotiated(tls, findings);
}
