/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of versions, suites, groups and ALPN, the same towards clients and towards origins: what this build has, and which combinations
 * could never shake hands. A list of suites that names nothing for TLS 1.3 leaves that version its three (as OpenSSL, Go and all peers do);
 * a list that names nothing for another version of the range is an error, since filling it up would allow more than was written. */
#include "model/body_tls.h"

#include "model/suites.h"

#include <stdio.h>
#include <string.h>

#define LIST_MAX 32 /* suites, groups, ALPN protocols */

static bool find_versions(const struct body_crypto *crypto, struct findings *findings)
{
	if (version_name(crypto->min_version) == NULL) {
		BODY_ERROR(findings, "invalid-value", "/min_version", "must be TLSv1.0 to TLSv1.3");
		return false;
	}
	if (version_name(crypto->max_version) == NULL) {
		BODY_ERROR(findings, "invalid-value", "/max_version", "must be TLSv1.0 to TLSv1.3");
		return false;
	}
	if (crypto->min_version > crypto->max_version) {
		BODY_ERROR(findings, "impossible-combination", "/min_version",
		          "min_version %s is above max_version %s; unless set they are %s and TLSv1.3",
		          version_name(crypto->min_version), version_name(crypto->max_version),
		          version_name(crypto->min_version_unset));
		return false;
	}
	if (crypto->min_version < 0x0303)
		findings_add(findings, FINDING_WARNING, "old-version", "/min_version",
		             "%s is deprecated (RFC 8996); OpenSSL's security "
		             "level is lowered to 0 for it",
		             version_name(crypto->min_version));
	return true;
}

static bool list_has_before(const uint32_t *list, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (list[i] == list[index])
			return true;
	return false;
}

static bool find_suites(const struct body_crypto *crypto, struct findings *findings)
{
	size_t errors = findings->errors;
	char pointer[64];

	if (crypto->n_cipher_suites > LIST_MAX) {
		BODY_ERROR(findings, "out-of-range", "/cipher_suites", "at most %d entries", LIST_MAX);
		return false;
	}
	for (size_t i = 0; i < crypto->n_cipher_suites; i++) {
		const struct suite *suite = suite_find_code(crypto->cipher_suites[i]);

		snprintf(pointer, sizeof(pointer), "/cipher_suites/%zu", i);
		if (suite == NULL)
			BODY_ERROR(findings, "unknown-cipher-suite", pointer, "unknown cipher suite %u", crypto->cipher_suites[i]);
		else if (suite->openssl == NULL)
			BODY_ERROR(findings, "unsupported-cipher-suite", pointer, "%s: %s", suite->iana, suite->reason);
		else if (list_has_before(crypto->cipher_suites, i))
			BODY_ERROR(findings, "duplicate", pointer, "%s stands twice", suite->iana);
	}
	return findings->errors == errors;
}

static bool find_groups(const struct body_crypto *crypto, struct findings *findings)
{
	size_t errors = findings->errors;
	char pointer[64];

	if (crypto->n_curve_preferences > LIST_MAX) {
		BODY_ERROR(findings, "out-of-range", "/curve_preferences", "at most %d entries", LIST_MAX);
		return false;
	}
	for (size_t i = 0; i < crypto->n_curve_preferences; i++) {
		const struct group *group = group_find_id(crypto->curve_preferences[i]);

		snprintf(pointer, sizeof(pointer), "/curve_preferences/%zu", i);
		if (group == NULL)
			BODY_ERROR(findings, "unknown-group", pointer, "unknown group %u", crypto->curve_preferences[i]);
		else if (group->openssl == NULL)
			BODY_ERROR(findings, "unsupported-group", pointer, "%s: %s", group->iana, group->reason);
		else if (list_has_before(crypto->curve_preferences, i))
			BODY_ERROR(findings, "duplicate", pointer, "%s stands twice", group->iana);
	}
	return findings->errors == errors;
}

/* Is there a suite for the version, and is any of them free of groups (RSA key exchange)? An empty list stands for all
 * sound ones, and TLS before 1.2 has none: whoever wants it names its suites. */
static bool crypto_has_suite(const struct body_crypto *crypto, uint32_t version, bool *ret_without_group)
{
	bool found = crypto->n_cipher_suites == 0 && version >= 0x0303;

	*ret_without_group = false;
	for (size_t i = 0; i < crypto->n_cipher_suites; i++) {
		const struct suite *suite = suite_find_code(crypto->cipher_suites[i]);

		if (!suite_is_for(suite, version))
			continue;
		found = true;
		*ret_without_group = *ret_without_group || (!suite->tls13 && !suite_is_ecdhe(suite));
	}
	return found;
}

static bool crypto_has_group(const struct body_crypto *crypto, uint32_t version)
{
	for (size_t i = 0; i < crypto->n_curve_preferences; i++)
		if (group_is_for(group_find_id(crypto->curve_preferences[i]), version))
			return true;
	return crypto->n_curve_preferences == 0;
}

/* Everything listed is known here, and the range is sound: can each version of it shake hands? */
static void find_combinations(const struct body_crypto *crypto, struct findings *findings)
{
	for (uint32_t version = crypto->min_version; version <= crypto->max_version; version++) {
		bool without_group, has_suite = crypto_has_suite(crypto, version, &without_group);

		if (!has_suite && version == 0x0304 && crypto->min_version < 0x0304)
			findings_add(findings, FINDING_WARNING, "default-cipher-suites", "/cipher_suites",
			             "no suite of TLSv1.3 is listed; that version keeps its three");
		else if (!has_suite)
			BODY_ERROR(findings, "impossible-combination", "/cipher_suites",
			          "no suite chosen works with %s, which is in the "
			          "range of versions: add one, or narrow the range",
			          version_name(version));
		if (!without_group && !crypto_has_group(crypto, version))
			BODY_ERROR(findings, "impossible-combination", "/curve_preferences",
			          "no group listed works with %s, which is in the "
			          "range of versions: add x25519 or secp256r1, or narrow the range",
			          version_name(version));
	}
}

static void find_alpn(const struct body_crypto *crypto, struct findings *findings)
{
	char pointer[64];

	if (crypto->n_alpn_protocols > LIST_MAX)
		BODY_ERROR(findings, "out-of-range", "/alpn_protocols", "at most %d entries", LIST_MAX);
	for (size_t i = 0; i < crypto->n_alpn_protocols && i < LIST_MAX; i++) {
		size_t len = strlen(crypto->alpn_protocols[i]);

		snprintf(pointer, sizeof(pointer), "/alpn_protocols/%zu", i);
		if (len < 1 || len > 255)
			BODY_ERROR(findings, "out-of-range", pointer, "must be 1 to 255 bytes (RFC 7301)");
		for (size_t k = 0; k < i; k++)
			if (strcmp(crypto->alpn_protocols[k], crypto->alpn_protocols[i]) == 0)
				BODY_ERROR(findings, "duplicate", pointer, "stands twice");
	}
}

void body_find_crypto(const struct body_crypto *crypto, struct findings *findings)
{
	bool versions = find_versions(crypto, findings), suites = find_suites(crypto, findings),
		 groups = find_groups(crypto, findings);

	if (versions && suites && groups)
		find_combinations(crypto, findings);
	find_alpn(crypto, findings);
}
