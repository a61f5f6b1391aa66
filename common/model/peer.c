/* SPDX-License-Identifier: Apache-2.0 */
/* Rules over certificates, and the identity that a certificate maps to. Whatever can't be read, or allocated, fits nothing: a rule lets in,
 * so that fails closed. A rule that names nothing fits nobody. */
#include "model/peer.h"

#include "model/cidr.h"
#include "model/name.h"
#include "model/peer_dn.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

DEFINE_CLEANUP(GENERAL_NAMES, GENERAL_NAMES_free);

#define LOCAL_MAX 64 /* of an e-mail address, RFC 5321 4.5.3.1.1 */

/* What users write --------------------------------------------------------------------------------------------------- */

int peer_normalise_dns(const char *text, char *ret, struct error *err)
{
	char name[NAME_MAX_LEN + 1];
	int r = name_normalise(text, true, name, err);

	if (r < 0)
		return r;
	if (strcmp(name, "*") == 0)
		return error_set(err, E_SYNTAX, "\"*\" names nobody in particular; write \"*.domain\", or leave \"dns\" out");
	memcpy(ret, name, strlen(name) + 1);
	return 0;
}

/* RFC 3986 has no spaces, quotes or braces; '*' is kept for our own use. */
static bool text_is_uri(const char *text)
{
	if (!isalpha((unsigned char)text[0]))
		return false;
	for (const char *c = text; *c != '\0'; c++)
		if (*c <= ' ' || *c >= 0x7f || strchr("\"<>\\^`{|}", *c) != NULL)
			return false;
	text += strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
	return text[0] == ':' && text[1] != '\0';
}

/* The path of a URI, its first '/' included; "" when it has none. */
static const char *uri_path(const char *uri)
{
	const char *at = strchr(uri, ':') + 1;

	if (strncmp(at, "//", 2) == 0)
		at += 2 + strcspn(at + 2, "/?#");
	return at;
}

int peer_normalise_uri(const char *text, char *ret, struct error *err)
{
	const char *star = strchr(text, '*');
	size_t len = strlen(text);

	if (len > PEER_TEXT_MAX)
		return error_set(err, E_SYNTAX, "the URI is longer than %d bytes", PEER_TEXT_MAX);
	if (!text_is_uri(text))
		return error_set(err, E_SYNTAX, "not an absolute URI in ASCII, as \"spiffe://domain/path\"");
	if (star != NULL && (star[1] != '\0' || star[-1] != '/' || star <= uri_path(text) || strpbrk(text, "?#") != NULL))
		return error_set(err, E_SYNTAX, "'*' may only be the whole last segment of the path");
	memcpy(ret, text, len + 1);
	return 0;
}

int peer_normalise_email(const char *text, char *ret, struct error *err)
{
	const char *at = strrchr(text, '@');
	char domain[NAME_MAX_LEN + 1];
	size_t len = at == NULL ? 0 : (size_t)(at - text);
	int r;

	if (len == 0 || len > LOCAL_MAX)
		return error_set(err, E_SYNTAX, "not an e-mail address: local part of 1 to %d bytes, '@', domain", LOCAL_MAX);
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return error_set(err, E_SYNTAX, "the local part of an e-mail address is printable ASCII without spaces");
	if (memchr(text, '*', len) != NULL && len > 1)
		return error_set(err, E_SYNTAX, "'*' may only be the whole local part");
	r = name_normalise(at + 1, false, domain, err);
	if (r < 0)
		return error_prefix(err, r, "domain");
	snprintf(ret, PEER_TEXT_MAX + 1, "%.*s@%s", (int)len, text, domain);
	return 0;
}

/* Names of certificates ---------------------------------------------------------------------------------------------- */

/* What is asked of one leaf; read once. */
struct leaf {
	GENERAL_NAMES *names; /* or NULL */
	X509_NAME *subject;
};

static bool dns_fits(const char *pattern, const char *text)
{
	char name[NAME_MAX_LEN + 1];

	return name_normalise(text, true, name, NULL) == 0 && name_is_covered(name, pattern);
}

/* A pattern that ends in a star: something below the prefix that nobody can read as leading out of it. */
static bool uri_fits(const char *pattern, const char *text)
{
	size_t len = strlen(pattern);
	const char *rest;

	if (len == 0 || pattern[len - 1] != '*')
		return strcmp(pattern, text) == 0;
	if (strncmp(pattern, text, len - 1) != 0)
		return false;
	for (rest = text + len - 1;; rest++) {
		size_t segment = strcspn(rest, "/");

		if (segment == 0 || strspn(rest, ".") == segment || strcspn(rest, "%?#\\") < segment)
			return false;
		rest += segment;
		if (*rest == '\0')
			return true;
	}
}

static bool email_fits(const char *pattern, const char *text)
{
	const char *at = strrchr(text, '@'), *want = strrchr(pattern, '@');
	char domain[NAME_MAX_LEN + 1];
	size_t len;

	if (at == NULL || at == text || want == NULL)
		return false;
	len = (size_t)(at - text);
	if (strncmp(pattern, "*@", 2) != 0 && (len != (size_t)(want - pattern) || memcmp(pattern, text, len) != 0))
		return false;
	return name_normalise(at + 1, false, domain, NULL) == 0 && strcmp(domain, want + 1) == 0;
}

/* The names that are text, in the order in which NATS asks them; list and count: of PeerRule. */
static const struct source {
	const char *name;
	int type;
	bool (*fits)(const char *pattern, const char *text);
	size_t count, list;
} sources[] = {
	{"email", GEN_EMAIL, email_fits, offsetof(Tlsplane__PeerRule, n_email), offsetof(Tlsplane__PeerRule, email)},
	{"dns", GEN_DNS, dns_fits, offsetof(Tlsplane__PeerRule, n_dns), offsetof(Tlsplane__PeerRule, dns)},
	{"uri", GEN_URI, uri_fits, offsetof(Tlsplane__PeerRule, n_uri), offsetof(Tlsplane__PeerRule, uri)},
};

static size_t source_count(const struct source *source, const Tlsplane__PeerRule *rule)
{
	return *(const size_t *)(const void *)((const char *)rule + source->count);
}

static char *const *source_list(const struct source *source, const Tlsplane__PeerRule *rule)
{
	return *(char *const *const *)(const void *)((const char *)rule + source->list);
}

/* False: it is of another type, has a NUL, or is too long. */
static bool name_text(const GENERAL_NAME *name, int type, char text[PEER_TEXT_MAX + 1])
{
	const ASN1_IA5STRING *string = name->d.ia5;
	size_t len;

	if (name->type != type)
		return false;
	len = (size_t)ASN1_STRING_length(string);
	if (len == 0 || len > PEER_TEXT_MAX || memchr(ASN1_STRING_get0_data(string), 0, len) != NULL)
		return false;
	memcpy(text, ASN1_STRING_get0_data(string), len);
	text[len] = '\0';
	return true;
}

static int leaf_names_len(const struct leaf *leaf)
{
	return leaf->names == NULL ? 0 : sk_GENERAL_NAME_num(leaf->names);
}

/* Rules -------------------------------------------------------------------------------------------------------------- */

static bool rule_names_text(const Tlsplane__PeerRule *rule, const struct source *source, const char *text)
{
	for (size_t i = 0; i < source_count(source, rule); i++)
		if (source->fits(source_list(source, rule)[i], text))
			return true;
	return false;
}

static bool rule_names_one(const Tlsplane__PeerRule *rule, const struct source *source, const struct leaf *leaf)
{
	char text[PEER_TEXT_MAX + 1];

	for (int i = 0; i < leaf_names_len(leaf); i++)
		if (name_text(sk_GENERAL_NAME_value(leaf->names, i), source->type, text) && rule_names_text(rule, source, text))
			return true;
	return false;
}

static bool rule_names_ip(const Tlsplane__PeerRule *rule, const struct leaf *leaf)
{
	for (int i = 0; i < leaf_names_len(leaf); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(leaf->names, i);
		struct ip ip = {.len = 0};

		if (name->type != GEN_IPADD)
			continue;
		if (ASN1_STRING_length(name->d.iPAddress) != 4 && ASN1_STRING_length(name->d.iPAddress) != 16)
			continue;
		ip.len = (uint8_t)ASN1_STRING_length(name->d.iPAddress);
		memcpy(ip.bytes, ASN1_STRING_get0_data(name->d.iPAddress), ip.len);
		if (cidr_has(rule->ip, rule->n_ip, &ip))
			return true;
	}
	return false;
}

int peer_common_name(const X509 *leaf, char *ret)
{
	return peer_dn_common_name(X509_get_subject_name(leaf), ret);
}

static bool rule_names_cn(const Tlsplane__PeerRule *rule, const struct leaf *leaf)
{
	char text[PEER_TEXT_MAX + 1];

	if (peer_dn_common_name(leaf->subject, text) < 0)
		return false;
	for (size_t i = 0; i < rule->n_cn; i++)
		if (strcmp(rule->cn[i], text) == 0)
			return true;
	return false;
}

static bool rule_names_dn(const Tlsplane__PeerRule *rule, const struct leaf *leaf)
{
	char text[PEER_TEXT_MAX + 1];

	if (peer_dn_from_name(leaf->subject, text) < 0)
		return false;
	for (size_t i = 0; i < rule->n_dn; i++)
		if (peer_dn_is_equal(rule->dn[i], text))
			return true;
	return false;
}

static bool rule_fits(const Tlsplane__PeerRule *rule, const struct leaf *leaf)
{
	bool says = rule->n_ip > 0 || rule->n_cn > 0 || rule->n_dn > 0;

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		if (source_count(&sources[i], rule) == 0)
			continue;
		if (!rule_names_one(rule, &sources[i], leaf))
			return false;
		says = true;
	}
	return says && (rule->n_ip == 0 || rule_names_ip(rule, leaf)) && (rule->n_cn == 0 || rule_names_cn(rule, leaf)) &&
	       (rule->n_dn == 0 || rule_names_dn(rule, leaf));
}

static struct leaf leaf_open(X509 *cert)
{
	struct leaf leaf = {.subject = X509_get_subject_name(cert)};

	leaf.names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL); /* NULL too when it stands there twice */
	ERR_clear_error();
	return leaf;
}

bool peer_is_allowed(X509 *leaf, Tlsplane__PeerRule *const *rules, size_t count)
{
	struct leaf opened = leaf_open(leaf);
	bool fits = count == 0;

	for (size_t i = 0; i < count && !fits; i++)
		fits = rule_fits(rules[i], &opened);
	GENERAL_NAMES_free(opened.names);
	return fits;
}

/* Identity ----------------------------------------------------------------------------------------------------------- */

struct identity {
	const struct leaf *leaf;
	const struct peer_rules *lists;
	size_t lists_len;
	char first[PEER_TEXT_MAX + 1]; /* of all; "" none yet */
	const char *first_source;
	char named[PEER_TEXT_MAX + 1]; /* by a rule that fits */
	const char *named_source;
};

/* Is there a rule that fits the certificate, for this name among others? source NULL: for its subject. */
static bool is_named(const struct identity *identity, const struct source *source, const char *text)
{
	for (size_t i = 0; i < identity->lists_len; i++) {
		for (size_t k = 0; k < identity->lists[i].count; k++) {
			const Tlsplane__PeerRule *rule = identity->lists[i].rules[k];
			bool names = source == NULL ? rule->n_dn > 0 || rule->n_cn > 0 : rule_names_text(rule, source, text);

			if (names && rule_fits(rule, identity->leaf))
				return true;
		}
	}
	return false;
}

/* Alternative names are IA5: what is not printable ASCII, and the backslash that says so, as \HH. False: too long. */
static bool escape(const char *text, char ret[PEER_TEXT_MAX + 1])
{
	size_t used = 0;

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = c >= 0x20 && c < 0x7f && c != '\\';

		if (used + (plain ? 1 : 3) > PEER_TEXT_MAX)
			return false;
		used += (size_t)snprintf(ret + used, 4, plain ? "%c" : "\\%02X", c);
	}
	return used > 0;
}

static void identity_offer(struct identity *identity, const struct source *source, const char *text, const char *shown)
{
	const char *name = source == NULL ? "dn" : source->name;

	if (identity->first_source == NULL) {
		memcpy(identity->first, shown, strlen(shown) + 1);
		identity->first_source = name;
	}
	if (identity->named_source == NULL && is_named(identity, source, text)) {
		memcpy(identity->named, shown, strlen(shown) + 1);
		identity->named_source = name;
	}
}

static void identity_offer_names(struct identity *identity, const struct source *source)
{
	char text[PEER_TEXT_MAX + 1], shown[PEER_TEXT_MAX + 1];

	for (int i = 0; i < leaf_names_len(identity->leaf); i++)
		if (name_text(sk_GENERAL_NAME_value(identity->leaf->names, i), source->type, text) && escape(text, shown))
			identity_offer(identity, source, text, shown);
}

int peer_map_identity(X509 *leaf, const struct peer_rules *lists, size_t lists_len, char *ret, const char **ret_source,
                      struct error *err)
{
	struct leaf opened = leaf_open(leaf);
	struct identity identity = {.leaf = &opened, .lists = lists, .lists_len = lists_len};
	char subject[PEER_TEXT_MAX + 1];
	const char *source, *text;

	for (size_t i = 0; i < ARRAY_LEN(sources); i++)
		identity_offer_names(&identity, &sources[i]);
	if (peer_dn_from_name(opened.subject, subject) == 0 && subject[0] != '\0')
		identity_offer(&identity, NULL, subject, subject);
	GENERAL_NAMES_free(opened.names);
	source = identity.named_source != NULL ? identity.named_source : identity.first_source;
	text = identity.named_source != NULL ? identity.named : identity.first;
	if (source == NULL)
		return error_set(err, E_NOT_FOUND, "the certificate has neither a name nor a subject that can be told");
	memcpy(ret, text, strlen(text) + 1);
	if (ret_source != NULL)
		*ret_source = source;
	return 0;
}
