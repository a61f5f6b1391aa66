/* SPDX-License-Identifier: Apache-2.0 */
/* What lists in bodies must be: address ranges, rules about a peer's certificate, SHA-256 and serial numbers. */
#include "model/body_tls.h"
#include "model/cidr.h"
#include "model/peer.h"
#include "model/rule_fields.h"

#include <stdio.h>
#include <string.h>

#define SERIAL_MAX 20

void body_find_ranges(struct findings *findings, const char *pointer, Tlsplane__IpRange *const *ranges, size_t count)
{
	char at[256];

	if (count > CIDR_LIST_MAX)
		BODY_ERROR(findings, "out-of-range", pointer, "must have at most %d entries, has %zu", CIDR_LIST_MAX, count);
	for (size_t i = 0; i < count; i++) {
		snprintf(at, sizeof(at), "%s/%zu", pointer, i);
		if (!cidr_is_normal(ranges[i]))
			BODY_ERROR(findings, "invalid-value", at, "not an address range in its normal form");
	}
}

static void find_texts(struct findings *findings, const char *pointer, const char *key, char *const *texts, size_t count,
                       int (*normalise)(const char *text, char *ret, struct error *err))
{
	char at[256], normal[PEER_TEXT_MAX + 1];

	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(texts[i]);
		bool fits = len >= 1 && len <= PEER_TEXT_MAX;

		if (fits && normalise != NULL)
			fits = normalise(texts[i], normal, NULL) == 0 && strcmp(normal, texts[i]) == 0;
		snprintf(at, sizeof(at), "%.128s/%s/%zu", pointer, key, i);
		if (!fits)
			BODY_ERROR(findings, "invalid-value", at, "not in its normal form");
	}
	if (count > RULES_MAX) {
		snprintf(at, sizeof(at), "%.128s/%s", pointer, key);
		BODY_ERROR(findings, "out-of-range", at, "must have at most %d entries, has %zu", RULES_MAX, count);
	}
}

void body_find_rules(struct findings *findings, const char *pointer, Tlsplane__PeerRule *const *rules, size_t count)
{
	char at[160], ips[192];

	if (count > RULES_MAX)
		BODY_ERROR(findings, "out-of-range", pointer, "must have at most %d rules, has %zu", RULES_MAX, count);
	for (size_t i = 0; i < count; i++) {
		const Tlsplane__PeerRule *rule = rules[i];

		snprintf(at, sizeof(at), "%.128s/%zu", pointer, i);
		find_texts(findings, at, "dns", rule->dns, rule->n_dns, peer_normalise_dns);
		find_texts(findings, at, "uri", rule->uri, rule->n_uri, peer_normalise_uri);
		find_texts(findings, at, "email", rule->email, rule->n_email, peer_normalise_email);
		find_texts(findings, at, "cn", rule->cn, rule->n_cn, NULL);
		find_texts(findings, at, "dn", rule->dn, rule->n_dn, peer_normalise_dn);
		snprintf(ips, sizeof(ips), "%s/ip", at);
		body_find_ranges(findings, ips, rule->ip, rule->n_ip);
		if (rule->n_dns + rule->n_uri + rule->n_email + rule->n_ip + rule->n_cn + rule->n_dn == 0)
			BODY_ERROR(findings, "missing-field", at, "a rule that says nothing would let everybody in");
	}
}

void body_find_sha256s(struct findings *findings, const char *pointer, const ProtobufCBinaryData *list, size_t count,
                       size_t max)
{
	char at[160];

	if (count > max)
		BODY_ERROR(findings, "out-of-range", pointer, "must have at most %zu entries, has %zu", max, count);
	for (size_t i = 0; i < count; i++) {
		snprintf(at, sizeof(at), "%.128s/%zu", pointer, i);
		body_find_size(findings, at, &list[i], 32);
	}
}

void body_find_serials(struct findings *findings, const char *pointer, const ProtobufCBinaryData *list, size_t count)
{
	char at[160];

	if (count > DENIED_MAX)
		BODY_ERROR(findings, "out-of-range", pointer, "must have at most %d entries, has %zu", DENIED_MAX, count);
	for (size_t i = 0; i < count; i++) {
		snprintf(at, sizeof(at), "%.128s/%zu", pointer, i);
		if (list[i].len < 1 || list[i].len > SERIAL_MAX || list[i].data[0] == 0)
			BODY_ERROR(findings, "invalid-value", at, "a serial number has 1 to %d bytes and no leading zero", SERIAL_MAX);
	}
}
