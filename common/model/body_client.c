/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of client authentication, in SSL objects and TLS options: a condition on certificates must stand with a mode in which it is
 * judged, so that nobody takes for a lock what never closes. */
#include "model/body_tls.h"
#include "model/client_mode.h"
#include "model/resource.h"
#include "model/rule_fields.h"

#include <stdio.h>

#define CAS_MAX 1000
#define DEPTH_MAX 100

static bool mode_verifies(Tlsplane__ClientVerify verify)
{
	return (client_mode_bits(verify) & CLIENT_VERIFIED) != 0;
}

/* In which modes is a condition judged? */
static void find_conditions(const Tlsplane__ClientAuth *client, const char *pointer, Tlsplane__ClientVerify verify,
                            struct findings *findings)
{
	bool asks = verify != TLSPLANE__CLIENT_VERIFY__VERIFY_NONE;
	const struct {
		const char *name;
		bool present, judged;
		const char *modes;
	} conditions[] = {
		{"allow", client->n_allow > 0, mode_verifies(verify), "\"verify_if_given\" and \"require\""},
		{"map_identity", client->map_identity, mode_verifies(verify), "\"verify_if_given\" and \"require\""},
		{"pins", client->n_pins > 0, (client_mode_bits(verify) & (CLIENT_DEMANDED | CLIENT_VERIFIED)) != 0,
	     "\"require_any\", \"verify_if_given\" and \"require\""},
		{"deny_serials", client->n_deny_serials > 0, asks, "all modes but \"none\""},
		{"deny_spki", client->n_deny_spkis > 0, asks, "all modes but \"none\""},
	};
	char at[64];

	for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
		if (!conditions[i].present || conditions[i].judged)
			continue;
		snprintf(at, sizeof(at), "%s/%s", pointer, conditions[i].name);
		BODY_ERROR(findings, "conflicting-fields", at, "is judged in %s alone: set \"verify\" to one of them",
		           conditions[i].modes);
	}
}

static void find_anchors(const Tlsplane__ClientAuth *client, const char *pointer, Tlsplane__ClientVerify verify,
                         bool elsewhere, struct findings *findings)
{
	bool trusts = client->n_ca > 0 || client->ca_bundle != NULL;
	char at[64];

	snprintf(at, sizeof(at), "%s/%s", pointer, client->ca_bundle != NULL && client->n_ca == 0 ? "ca_bundle" : "ca");
	if (mode_verifies(verify) && !trusts && !elsewhere)
		BODY_ERROR(findings, "missing-field", at,
		           "client certificates are verified, so \"ca\" or \"ca_bundle\" must say who issues them; system CAs never "
		           "verify clients");
	if (!mode_verifies(verify) && trusts && !elsewhere)
		findings_add(findings, FINDING_WARNING, "ca-unused", at, "%s",
		             verify == TLSPLANE__CLIENT_VERIFY__VERIFY_NONE
		                 ? "clients are not asked for a certificate: verify is \"none\""
		                 : "client certificates are not verified in this mode; whoever has one may pass");
	if (client->n_ca > 0 && client->ca_bundle != NULL)
		BODY_ERROR(findings, "conflicting-fields", at, "\"ca\" and \"ca_bundle\" exclude each other");
	body_find_ders(findings, at, client->ca, client->n_ca);
	body_find_count(findings, at, client->n_ca, 0, CAS_MAX);
	snprintf(at, sizeof(at), "%s/ca_bundle", pointer);
	body_find_id(findings, at, client->ca_bundle);
}

void body_find_client_auth(const Tlsplane__ClientAuth *client, const char *pointer, Tlsplane__ClientVerify absent,
                           bool elsewhere, struct findings *findings)
{
	Tlsplane__ClientVerify verify = client->has_verify ? client->verify : absent;
	char at[64];

	find_anchors(client, pointer, verify, elsewhere, findings);
	find_conditions(client, pointer, verify, findings);
	snprintf(at, sizeof(at), "%s/depth", pointer);
	if (client->has_depth)
		body_find_number(findings, at, client->depth, 0, DEPTH_MAX);
	snprintf(at, sizeof(at), "%s/allow", pointer);
	body_find_rules(findings, at, client->allow, client->n_allow);
	snprintf(at, sizeof(at), "%s/pins", pointer);
	body_find_sha256s(findings, at, client->pins, client->n_pins, PINS_MAX);
	snprintf(at, sizeof(at), "%s/deny_serials", pointer);
	body_find_serials(findings, at, client->deny_serials, client->n_deny_serials);
	snprintf(at, sizeof(at), "%s/deny_spki", pointer);
	body_find_sha256s(findings, at, client->deny_spkis, client->n_deny_spkis, DENIED_MAX);
}
