/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of TLS options: what this build has, and which combinations could never shake hands. A list of suites that
 * names nothing for TLS 1.3 leaves that version its three (as OpenSSL, Go and all peers do); a list that names nothing
 * for another version of the range is an error, since filling it up would allow more than was written. */
#include "model/body_tls.h"

#include "model/kind.h"
#include "model/suites.h"

#include <stdio.h>
#include <string.h>

#define LIST_MAX 32 /* suites, groups, ALPN protocols */
#define HANDSHAKE_TIMEOUT_MIN_MS 100
#define HANDSHAKE_TIMEOUT_MAX_MS 300000

#define ADD_ERROR(findings, code, pointer, ...) findings_add((findings), FINDING_ERROR, (code), (pointer), __VA_ARGS__)

static bool find_versions(const Tlsplane__TlsOptions *options, struct findings *findings)
{
	if (!options->has_min_version || version_name(options->min_version) == NULL) {
		ADD_ERROR(findings, "invalid-value", "/min_version", "must be TLSv1.0 to TLSv1.3");
		return false;
	}
	if (!options->has_max_version || version_name(options->max_version) == NULL) {
		ADD_ERROR(findings, "invalid-value", "/max_version", "must be TLSv1.0 to TLSv1.3");
		return false;
	}
	if (options->min_version > options->max_version) {
		ADD_ERROR(findings, "impossible-combination", "/min_version",
		          "min_version %s is above max_version %s; either is "
		          "TLSv1.3 unless set",
		          version_name(options->min_version), version_name(options->max_version));
		return false;
	}
	if (options->min_version < 0x0303)
		findings_add(findings, FINDING_WARNING, "old-version", "/min_version",
		             "%s is deprecated (RFC 8996); OpenSSL's security "
		             "level is lowered to 0 for it",
		             version_name(options->min_version));
	return true;
}

static bool list_has_before(const uint32_t *list, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (list[i] == list[index])
			return true;
	return false;
}

static bool find_suites(const Tlsplane__TlsOptions *options, struct findings *findings)
{
	size_t errors = findings->errors;
	char pointer[64];

	if (options->n_cipher_suites > LIST_MAX) {
		ADD_ERROR(findings, "out-of-range", "/cipher_suites", "at most %d entries", LIST_MAX);
		return false;
	}
	for (size_t i = 0; i < options->n_cipher_suites; i++) {
		const struct suite *suite = suite_find_code(options->cipher_suites[i]);

		snprintf(pointer, sizeof(pointer), "/cipher_suites/%zu", i);
		if (suite == NULL)
			ADD_ERROR(findings, "unknown-cipher-suite", pointer, "unknown cipher suite %u", options->cipher_suites[i]);
		else if (suite->openssl == NULL)
			ADD_ERROR(findings, "unsupported-cipher-suite", pointer, "%s: %s", suite->iana, suite->reason);
		else if (list_has_before(options->cipher_suites, i))
			ADD_ERROR(findings, "duplicate", pointer, "%s stands twice", suite->iana);
	}
	return findings->errors == errors;
}

static bool find_groups(const Tlsplane__TlsOptions *options, struct findings *findings)
{
	size_t errors = findings->errors;
	char pointer[64];

	if (options->n_curve_preferences > LIST_MAX) {
		ADD_ERROR(findings, "out-of-range", "/curve_preferences", "at most %d entries", LIST_MAX);
		return false;
	}
	for (size_t i = 0; i < options->n_curve_preferences; i++) {
		const struct group *group = group_find_id(options->curve_preferences[i]);

		snprintf(pointer, sizeof(pointer), "/curve_preferences/%zu", i);
		if (group == NULL)
			ADD_ERROR(findings, "unknown-group", pointer, "unknown group %u", options->curve_preferences[i]);
		else if (group->openssl == NULL)
			ADD_ERROR(findings, "unsupported-group", pointer, "%s: %s", group->iana, group->reason);
		else if (list_has_before(options->curve_preferences, i))
			ADD_ERROR(findings, "duplicate", pointer, "%s stands twice", group->iana);
	}
	return findings->errors == errors;
}

/* Is there a suite for the version, and is any of them free of groups (RSA key exchange)? An empty list stands for all
 * sound ones, and TLS before 1.2 has none: whoever wants it names its suites. */
static bool options_have_suite(const Tlsplane__TlsOptions *options, uint32_t version, bool *ret_without_group)
{
	bool found = options->n_cipher_suites == 0 && version >= 0x0303;

	*ret_without_group = false;
	for (size_t i = 0; i < options->n_cipher_suites; i++) {
		const struct suite *suite = suite_find_code(options->cipher_suites[i]);

		if (!suite_is_for(suite, version))
			continue;
		found = true;
		*ret_without_group = *ret_without_group || (!suite->tls13 && !suite_is_ecdhe(suite));
	}
	return found;
}

static bool options_have_group(const Tlsplane__TlsOptions *options, uint32_t version)
{
	for (size_t i = 0; i < options->n_curve_preferences; i++)
		if (group_is_for(group_find_id(options->curve_preferences[i]), version))
			return true;
	return options->n_curve_preferences == 0;
}

/* Everything listed is known here, and the range is sound: can each version of it shake hands? */
static void find_combinations(const Tlsplane__TlsOptions *options, struct findings *findings)
{
	for (uint32_t version = options->min_version; version <= options->max_version; version++) {
		bool without_group, has_suite = options_have_suite(options, version, &without_group);

		if (!has_suite && version == 0x0304 && options->min_version < 0x0304)
			findings_add(findings, FINDING_WARNING, "default-cipher-suites", "/cipher_suites",
			             "no suite of TLSv1.3 is listed; that version keeps its three");
		else if (!has_suite)
			ADD_ERROR(findings, "impossible-combination", "/cipher_suites",
			          "no suite chosen works with %s, which is in the "
			          "range of versions: add one, or narrow the range",
			          version_name(version));
		if (!without_group && !options_have_group(options, version))
			ADD_ERROR(findings, "impossible-combination", "/curve_preferences",
			          "no group listed works with %s, which is in the "
			          "range of versions: add x25519 or secp256r1, or narrow the range",
			          version_name(version));
	}
}

static void find_alpn(const Tlsplane__TlsOptions *options, struct findings *findings)
{
	char pointer[64];

	if (options->n_alpn_protocols > LIST_MAX)
		ADD_ERROR(findings, "out-of-range", "/alpn_protocols", "at most %d entries", LIST_MAX);
	for (size_t i = 0; i < options->n_alpn_protocols && i < LIST_MAX; i++) {
		size_t len = strlen(options->alpn_protocols[i]);

		snprintf(pointer, sizeof(pointer), "/alpn_protocols/%zu", i);
		if (len < 1 || len > 255)
			ADD_ERROR(findings, "out-of-range", pointer, "must be 1 to 255 bytes (RFC 7301)");
		for (size_t k = 0; k < i; k++)
			if (strcmp(options->alpn_protocols[k], options->alpn_protocols[i]) == 0)
				ADD_ERROR(findings, "duplicate", pointer, "stands twice");
	}
}

static void find_rest(const Tlsplane__TlsOptions *options, struct findings *findings)
{
	const Tlsplane__ClientAuth *client = options->client_auth;

	if (options->default_ssl != NULL && !kind_is_id(options->default_ssl, strlen(options->default_ssl)))
		ADD_ERROR(findings, "invalid-value", "/default_ssl", "not an id");
	if (client != NULL)
		body_find_client_auth(client, "/client_auth",
		                      client->has_verify && client->verify == TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE,
		                      findings);
	if (options->has_handshake_timeout_ms && (options->handshake_timeout_ms < HANDSHAKE_TIMEOUT_MIN_MS ||
	                                          options->handshake_timeout_ms > HANDSHAKE_TIMEOUT_MAX_MS))
		ADD_ERROR(findings, "out-of-range", "/handshake_timeout", "must be 0.1 to 300 seconds");
}

void body_find_tls_options(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__TlsOptions *options = (const Tlsplane__TlsOptions *)body;
	bool versions = find_versions(options, findings), suites = find_suites(options, findings),
		 groups = find_groups(options, findings);

	if (versions && suites && groups)
		find_combinations(options, findings);
	find_alpn(options, findings);
	find_rest(options, findings);
}
