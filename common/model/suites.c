/* SPDX-License-Identifier: Apache-2.0 */
/* Versions, cipher suites and groups: one table each, with what OpenSSL 3.0 as Debian builds it can do with a row.
 * Spellings that differ from the table's own two names stand in alias tables. */
#include "model/suites.h"

#include "base/macros.h"

#include <openssl/obj_mac.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LACKS_RC4 "RC4 is broken and absent from this OpenSSL (RFC 7465); use an AES-GCM or CHACHA20 suite"
#define LACKS_3DES "3DES is weak and absent from this OpenSSL (SWEET32); use an AES-GCM or CHACHA20 suite"
#define LACKS_DHE "finite-field DHE is not offered; use the ECDHE suite of the same cipher"
#define LACKS_MLKEM "it needs OpenSSL 3.5 or later; use x25519"

#define R SUITE_AUTH_RSA
#define E SUITE_AUTH_ECDSA

static const struct suite suite_table[] = {
	{0x1301, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", true, SUITE_AUTH_ANY, NULL},
	{0x1302, "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", true, SUITE_AUTH_ANY, NULL},
	{0x1303, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", true, SUITE_AUTH_ANY, NULL},
	{0xC02B, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", false, E, NULL},
	{0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", false, R, NULL},
	{0xC02C, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384", false, E, NULL},
	{0xC030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384", false, R, NULL},
	{0xCCA9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", false, E, NULL},
	{0xCCA8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305", false, R, NULL},
	{0xC009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-SHA", false, E, NULL},
	{0xC00A, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA", false, E, NULL},
	{0xC013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA", false, R, NULL},
	{0xC014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA", false, R, NULL},
	{0xC023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "ECDHE-ECDSA-AES128-SHA256", false, E, NULL},
	{0xC024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", "ECDHE-ECDSA-AES256-SHA384", false, E, NULL},
	{0xC027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "ECDHE-RSA-AES128-SHA256", false, R, NULL},
	{0xC028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", "ECDHE-RSA-AES256-SHA384", false, R, NULL},
	{0x009C, "TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256", false, R, NULL},
	{0x009D, "TLS_RSA_WITH_AES_256_GCM_SHA384", "AES256-GCM-SHA384", false, R, NULL},
	{0x002F, "TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA", false, R, NULL},
	{0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA", "AES256-SHA", false, R, NULL},
	{0x003C, "TLS_RSA_WITH_AES_128_CBC_SHA256", "AES128-SHA256", false, R, NULL},
	{0x003D, "TLS_RSA_WITH_AES_256_CBC_SHA256", "AES256-SHA256", false, R, NULL},
	{0x000A, "TLS_RSA_WITH_3DES_EDE_CBC_SHA", NULL, false, R, LACKS_3DES},
	{0xC012, "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", NULL, false, R, LACKS_3DES},
	{0x0005, "TLS_RSA_WITH_RC4_128_SHA", NULL, false, R, LACKS_RC4},
	{0xC007, "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", NULL, false, E, LACKS_RC4},
	{0xC011, "TLS_ECDHE_RSA_WITH_RC4_128_SHA", NULL, false, R, LACKS_RC4},
	{0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", NULL, false, R, LACKS_DHE},
	{0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA", NULL, false, R, LACKS_DHE},
	{0x0067, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256", NULL, false, R, LACKS_DHE},
	{0x006B, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256", NULL, false, R, LACKS_DHE},
	{0x009E, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", NULL, false, R, LACKS_DHE},
	{0x009F, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", NULL, false, R, LACKS_DHE},
	{0xCCAA, "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256", NULL, false, R, LACKS_DHE},
	{0x5600, "TLS_FALLBACK_SCSV", NULL, false, SUITE_AUTH_ANY,
     "it is a signal of clients, not a cipher suite (RFC 7507), and honoured without being listed"},
};

#undef R
#undef E

struct code_alias {
	const char *name;
	uint16_t code;
};

static const struct code_alias suite_aliases[] = {
	{"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", 0xCCA9}, /* as Go's first constants and KrakenD's page have it */
	{"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", 0xCCA8},
	{"DES-CBC3-SHA", 0x000A},
	{"ECDHE-RSA-DES-CBC3-SHA", 0xC012},
	{"RC4-SHA", 0x0005},
	{"ECDHE-ECDSA-RC4-SHA", 0xC007},
	{"ECDHE-RSA-RC4-SHA", 0xC011},
	{"DHE-RSA-AES128-SHA", 0x0033},
	{"DHE-RSA-AES256-SHA", 0x0039},
	{"DHE-RSA-AES128-SHA256", 0x0067},
	{"DHE-RSA-AES256-SHA256", 0x006B},
	{"DHE-RSA-AES128-GCM-SHA256", 0x009E},
	{"DHE-RSA-AES256-GCM-SHA384", 0x009F},
	{"DHE-RSA-CHACHA20-POLY1305", 0xCCAA},
};

static const struct group group_table[] = {
	{23, "secp256r1", "P-256", NID_X9_62_prime256v1, NULL},
	{24, "secp384r1", "P-384", NID_secp384r1, NULL},
	{25, "secp521r1", "P-521", NID_secp521r1, NULL},
	{29, "x25519", "X25519", NID_X25519, NULL},
	{30, "x448", "X448", NID_X448, NULL},
	{256, "ffdhe2048", "ffdhe2048", NID_ffdhe2048, NULL},
	{257, "ffdhe3072", "ffdhe3072", NID_ffdhe3072, NULL},
	{258, "ffdhe4096", "ffdhe4096", NID_ffdhe4096, NULL},
	{259, "ffdhe6144", "ffdhe6144", NID_ffdhe6144, NULL},
	{260, "ffdhe8192", "ffdhe8192", NID_ffdhe8192, NULL},
	{4587, "secp256r1mlkem768", NULL, 0, LACKS_MLKEM},
	{4588, "x25519mlkem768", NULL, 0, LACKS_MLKEM},
	{4589, "secp384r1mlkem1024", NULL, 0, LACKS_MLKEM},
};

static const struct code_alias group_aliases[] = {
	{"CurveP256", 23}, {"prime256v1", 23}, {"P256", 23}, {"CurveP384", 24},
	{"P384", 24},      {"CurveP521", 25},  {"P521", 25},
};

static const struct code_alias version_aliases[] = {
	{"TLSv1", 0x0301},   {"TLSv1.0", 0x0301}, {"VersionTLS10", 0x0301}, {"TLS10", 0x0301},        {"1.0", 0x0301},
	{"TLSv1_0", 0x0301}, {"TLSv1.1", 0x0302}, {"TLSv1_1", 0x0302},      {"VersionTLS11", 0x0302}, {"TLS11", 0x0302},
	{"1.1", 0x0302},     {"TLSv1.2", 0x0303}, {"TLSv1_2", 0x0303},      {"VersionTLS12", 0x0303}, {"TLS12", 0x0303},
	{"1.2", 0x0303},     {"TLSv1.3", 0x0304}, {"TLSv1_3", 0x0304},      {"VersionTLS13", 0x0304}, {"TLS13", 0x0304},
	{"1.3", 0x0304},
};

static uint16_t alias_find(const struct code_alias *aliases, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcasecmp(aliases[i].name, name) == 0)
			return aliases[i].code;
	return 0;
}

static bool name_is(const char *candidate, const char *name)
{
	return candidate != NULL && strcasecmp(candidate, name) == 0;
}

const struct suite *suite_find_code(uint32_t code)
{
	for (size_t i = 0; i < ARRAY_LEN(suite_table); i++)
		if (suite_table[i].code == code)
			return &suite_table[i];
	return NULL;
}

const struct suite *suite_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(suite_table); i++)
		if (name_is(suite_table[i].iana, name) || name_is(suite_table[i].openssl, name))
			return &suite_table[i];
	return suite_find_code(alias_find(suite_aliases, ARRAY_LEN(suite_aliases), name));
}

bool suite_is_for(const struct suite *suite, uint32_t version)
{
	size_t len = strlen(suite->iana);

	if (suite->tls13 || version == 0x0304)
		return suite->tls13 && version == 0x0304;
	/* Suites whose name ends in a hash of the SHA-2 family, the AEAD ones among them, came with TLS 1.2 (RFC 5246,
	 * 5288). */
	return version == 0x0303 || strcmp(suite->iana + len - 4, "_SHA") == 0;
}

bool suite_is_ecdhe(const struct suite *suite)
{
	return strncmp(suite->iana, "TLS_ECDHE_", 10) == 0;
}

const struct group *group_find_id(uint32_t id)
{
	for (size_t i = 0; i < ARRAY_LEN(group_table); i++)
		if (group_table[i].id == id)
			return &group_table[i];
	return NULL;
}

const struct group *group_find(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_LEN(group_table); i++)
		if (name_is(group_table[i].iana, name) || name_is(group_table[i].openssl, name))
			return &group_table[i];
	if (len > 0 && len <= 5 && strspn(name, "0123456789") == len)
		return group_find_id((uint32_t)strtoul(name, NULL, 10));
	return group_find_id(alias_find(group_aliases, ARRAY_LEN(group_aliases), name));
}

bool group_is_for(const struct group *group, uint32_t version)
{
	return version == 0x0304 || group->id < 256; /* OpenSSL 3.0 uses the ffdhe groups of RFC 7919 in TLS 1.3 only */
}

uint16_t version_find(const char *name)
{
	return alias_find(version_aliases, ARRAY_LEN(version_aliases), name);
}

const char *version_name(uint32_t version)
{
	static const char *const names[] = {"TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"};

	return version >= 0x0301 && version <= 0x0304 ? names[version - 0x0301] : NULL;
}

static const uint32_t default_suites12[] = {0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8};
static const uint32_t default_suites13[] = {0x1301, 0x1302, 0x1303};
static const uint32_t default_groups[] = {29, 23, 24, 25};

static size_t add_suites(const uint32_t *codes, size_t count, const struct suite *ret[SUITES_IN_FORCE_MAX], size_t len)
{
	for (size_t i = 0; i < count && len < SUITES_IN_FORCE_MAX; i++) {
		const struct suite *suite = suite_find_code(codes[i]);

		if (suite != NULL)
			ret[len++] = suite;
	}
	return len;
}

size_t suites_in_force(const uint32_t *codes, size_t count, uint32_t min, uint32_t max,
                       const struct suite *ret[SUITES_IN_FORCE_MAX])
{
	size_t len = add_suites(codes, count, ret, 0);
	bool has13 = false;

	for (size_t i = 0; i < len; i++)
		has13 = has13 || ret[i]->tls13;
	if (!has13 && max >= 0x0304)
		len = add_suites(default_suites13, ARRAY_LEN(default_suites13), ret, len);
	if (count == 0 && min < 0x0304)
		len = add_suites(default_suites12, ARRAY_LEN(default_suites12), ret, len);
	return len;
}

size_t groups_in_force(const uint32_t *ids, size_t count, const struct group *ret[SUITES_IN_FORCE_MAX])
{
	size_t len = 0;

	if (count == 0) {
		ids = default_groups;
		count = ARRAY_LEN(default_groups);
	}
	for (size_t i = 0; i < count && len < SUITES_IN_FORCE_MAX; i++)
		ret[len++] = group_find_id(ids[i]);
	return len;
}
