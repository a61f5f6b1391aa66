/* SPDX-License-Identifier: Apache-2.0 */
/* Distinguished names: read from text (RFC 4514, what RFC 2253 allows besides, and OpenSSL's "/CN=x/O=y"), read from certificates,
 * written in one spelling, compared as multisets of RDNs. Bounded, without allocations of our own. */
#include "model/peer_dn.h"

#include <ctype.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ATTRIBUTES_MAX 64
#define TYPE_MAX 96 /* of a type as written, and of a dotted number */

/* Attribute types; the name is what canonical text says, aliases are read too. */
static const struct type_row {
	const char *name, *oid, *aliases[3];
} type_rows[] = {
	{"CN", "2.5.4.3", {"commonName"}},
	{"SN", "2.5.4.4", {"surname"}},
	{"serialNumber", "2.5.4.5", {NULL}},
	{"C", "2.5.4.6", {"countryName"}},
	{"L", "2.5.4.7", {"localityName"}},
	{"ST", "2.5.4.8", {"S", "SP", "stateOrProvinceName"}},
	{"STREET", "2.5.4.9", {"streetAddress"}},
	{"O", "2.5.4.10", {"organizationName"}},
	{"OU", "2.5.4.11", {"organizationalUnitName"}},
	{"title", "2.5.4.12", {"T"}},
	{"description", "2.5.4.13", {NULL}},
	{"businessCategory", "2.5.4.15", {NULL}},
	{"postalCode", "2.5.4.17", {NULL}},
	{"name", "2.5.4.41", {NULL}},
	{"GN", "2.5.4.42", {"givenName"}},
	{"initials", "2.5.4.43", {NULL}},
	{"generationQualifier", "2.5.4.44", {NULL}},
	{"dnQualifier", "2.5.4.46", {NULL}},
	{"pseudonym", "2.5.4.65", {NULL}},
	{"organizationIdentifier", "2.5.4.97", {NULL}},
	{"UID", "0.9.2342.19200300.100.1.1", {"userId"}},
	{"DC", "0.9.2342.19200300.100.1.25", {"domainComponent"}},
	{"emailAddress", "1.2.840.113549.1.9.1", {"E", "Email"}},
};

/* A name taken apart: its attributes in their canonical spelling, "TYPE=value". */
struct dn {
	char store[PEER_TEXT_MAX + ATTRIBUTES_MAX]; /* their texts, each with its NUL */
	size_t used;
	struct attribute {
		const char *text;
		unsigned rdn; /* number of the RDN, in the order of the text */
	} attributes[ATTRIBUTES_MAX];
	size_t len;
};

/* Canonical spelling ------------------------------------------------------------------------------------------------ */

static bool text_is_utf8(const unsigned char *text, size_t len)
{
	while (len > 0) {
		unsigned long c;
		int n = UTF8_getc(text, (int)len, &c);

		if (n <= 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

static int store_put(struct dn *dn, const char *text, size_t len)
{
	if (len >= sizeof(dn->store) - dn->used)
		return E_TOO_LARGE;
	memcpy(dn->store + dn->used, text, len);
	dn->used += len;
	dn->store[dn->used] = '\0';
	return 0;
}

/* RFC 4514 2.4; control bytes as two hex digits. */
static int store_put_escaped(struct dn *dn, const unsigned char *value, size_t len)
{
	char piece[4];
	int r = 0;

	for (size_t i = 0; i < len && r == 0; i++) {
		bool edge = (i == 0 && (value[i] == ' ' || value[i] == '#')) || (i + 1 == len && value[i] == ' ');

		if (value[i] < 0x20 || value[i] == 0x7f)
			snprintf(piece, sizeof(piece), "\\%02X", value[i]);
		else
			snprintf(piece, sizeof(piece), "%s%c", edge || strchr("\"+,;<>\\", value[i]) != NULL ? "\\" : "", value[i]);
		r = store_put(dn, piece, strlen(piece));
	}
	return r;
}

static int store_put_hex(struct dn *dn, const unsigned char *der, size_t len)
{
	char piece[3];
	int r = store_put(dn, "#", 1);

	for (size_t i = 0; i < len && r == 0; i++) {
		snprintf(piece, sizeof(piece), "%02x", der[i]);
		r = store_put(dn, piece, 2);
	}
	return r;
}

/* E_INVALID: a NUL, which would end the name early for whoever reads it as a C string. */
static int dn_put_value(struct dn *dn, const ASN1_STRING *value)
{
	static const unsigned long texts = B_ASN1_DIRECTORYSTRING | B_ASN1_IA5STRING | B_ASN1_NUMERICSTRING;
	ASN1_TYPE any = {.type = ASN1_STRING_type(value), .value.asn1_string = (ASN1_STRING *)value};
	unsigned char *text = NULL;
	int len = -1, r;

	if ((ASN1_tag2bit(any.type) & texts) != 0)
		len = ASN1_STRING_to_UTF8(&text, value);
	if (len >= 0 && text_is_utf8(text, (size_t)len)) {
		r = memchr(text, 0, (size_t)len) != NULL ? E_INVALID : store_put_escaped(dn, text, (size_t)len);
	} else {
		OPENSSL_free(text);
		text = NULL;
		len = i2d_ASN1_TYPE(&any, &text);
		r = len < 0 ? E_NOMEM : store_put_hex(dn, text, (size_t)len);
	}
	ERR_clear_error();
	OPENSSL_free(text);
	return r;
}

/* Begins an attribute of the RDN; its value is put behind. */
static int dn_begin(struct dn *dn, unsigned rdn, const char *type)
{
	int r;

	if (dn->len == ATTRIBUTES_MAX)
		return E_TOO_LARGE;
	dn->attributes[dn->len++] = (struct attribute){dn->store + dn->used, rdn};
	r = store_put(dn, type, strlen(type));
	return r < 0 ? r : store_put(dn, "=", 1);
}

static int dn_end(struct dn *dn)
{
	dn->used++; /* over the NUL */
	return dn->used < sizeof(dn->store) ? 0 : E_TOO_LARGE;
}

static int order_attributes(const void *a, const void *b)
{
	const struct attribute *left = a, *right = b;

	if (left->rdn != right->rdn)
		return left->rdn < right->rdn ? -1 : 1;
	return strcmp(left->text, right->text);
}

/* reverse: the RDNs were read from the most general on, as certificates have them. */
static int dn_write(struct dn *dn, bool reverse, char *ret)
{
	char text[PEER_TEXT_MAX + 1] = "";
	size_t used = 0;

	for (size_t i = 0; i < dn->len && reverse; i++)
		dn->attributes[i].rdn = UINT16_MAX - dn->attributes[i].rdn;
	qsort(dn->attributes, dn->len, sizeof(dn->attributes[0]), order_attributes);
	for (size_t i = 0; i < dn->len; i++) {
		bool same = i > 0 && dn->attributes[i].rdn == dn->attributes[i - 1].rdn;
		int n = snprintf(text + used, sizeof(text) - used, "%s%s", i == 0 ? "" : same ? "+" : ",", dn->attributes[i].text);

		used += (size_t)n;
		if (used >= sizeof(text))
			return E_TOO_LARGE;
	}
	memcpy(ret, text, used + 1);
	return 0;
}

/* Types ------------------------------------------------------------------------------------------------------------- */

/* The canonical name of a dotted number: from the table, else itself. */
static const char *type_name(const char *oid)
{
	for (size_t i = 0; i < ARRAY_LEN(type_rows); i++)
		if (strcmp(type_rows[i].oid, oid) == 0)
			return type_rows[i].name;
	return oid;
}

static bool row_is_called(const struct type_row *row, const char *name)
{
	bool is = strcasecmp(row->name, name) == 0;

	for (size_t i = 0; i < ARRAY_LEN(row->aliases) && row->aliases[i] != NULL; i++)
		is = is || strcasecmp(row->aliases[i], name) == 0;
	return is;
}

/* By any name, or "1.2.3", or "OID.1.2.3"; oid holds what is returned. NULL: none. */
static const char *type_find(const char *name, char oid[TYPE_MAX])
{
	ASN1_OBJECT *object;
	int len;

	for (size_t i = 0; i < ARRAY_LEN(type_rows); i++)
		if (row_is_called(&type_rows[i], name))
			return type_rows[i].name;
	if (strncasecmp(name, "OID.", 4) == 0)
		name += 4;
	if (name[0] == '.' || name[strspn(name, "0123456789.")] != '\0' || strstr(name, "..") != NULL)
		return NULL; /* OpenSSL is less strict */
	object = OBJ_txt2obj(name, 1);
	len = object == NULL ? -1 : OBJ_obj2txt(oid, TYPE_MAX, object, 1);
	ASN1_OBJECT_free(object);
	ERR_clear_error();
	return len > 0 && len < TYPE_MAX ? type_name(oid) : NULL;
}

/* From text --------------------------------------------------------------------------------------------------------- */

struct dn_text {
	const char *at;
	bool slashes; /* OpenSSL's form: '/' before each RDN, a backslash before any character, spaces count */
	char value[PEER_TEXT_MAX + 1];
	size_t len;
	struct error *err;
};

static bool is_end(const struct dn_text *in)
{
	return *in->at == '\0' || strchr(in->slashes ? "/+" : ",;+", *in->at) != NULL;
}

static void skip_spaces(struct dn_text *in)
{
	while (*in->at == ' ' && !in->slashes)
		in->at++;
}

static int value_put(struct dn_text *in, char c)
{
	if (c == '\0')
		return error_set(in->err, E_SYNTAX, "the name has a NUL in a value");
	if (in->len == PEER_TEXT_MAX)
		return error_set(in->err, E_SYNTAX, "the name is longer than %d bytes", PEER_TEXT_MAX);
	in->value[in->len++] = c;
	return 0;
}

static int hex_pair(const char *at)
{
	static const char digits[] = "0123456789abcdef";
	const char *high, *low;

	if (!isxdigit((unsigned char)at[0]) || !isxdigit((unsigned char)at[1]))
		return -1;
	high = strchr(digits, tolower((unsigned char)at[0]));
	low = strchr(digits, tolower((unsigned char)at[1]));
	return (int)((high - digits) * 16 + (low - digits));
}

/* Behind a backslash. */
static int read_escape(struct dn_text *in)
{
	int pair = in->slashes ? -1 : hex_pair(in->at), r;

	if (pair < 0 && (*in->at == '\0' || (!in->slashes && strchr(" \"#+,;<=>\\", *in->at) == NULL)))
		return error_set(in->err, E_SYNTAX, "the name has a backslash before something that is not to be escaped");
	r = value_put(in, pair >= 0 ? (char)pair : *in->at);
	in->at += pair >= 0 ? 2 : 1;
	return r;
}

static int read_quoted(struct dn_text *in)
{
	int r = 0;

	in->at++;
	while (*in->at != '"' && r == 0) {
		if (*in->at == '\0')
			return error_set(in->err, E_SYNTAX, "the name has a quotation mark that nothing closes");
		if (*in->at++ == '\\')
			r = read_escape(in);
		else
			r = value_put(in, in->at[-1]);
	}
	if (r < 0)
		return r;
	in->at++;
	skip_spaces(in);
	return is_end(in) ? 0 : error_set(in->err, E_SYNTAX, "the name has text behind a quoted value");
}

static int read_plain(struct dn_text *in)
{
	size_t kept = 0; /* up to the last byte that is no trailing space */
	int r = 0;

	while (!is_end(in) && r == 0) {
		char c = *in->at++;

		if (!in->slashes && strchr("\"<>", c) != NULL)
			return error_set(in->err, E_SYNTAX, "the name has a '%c' that is not escaped", c);
		r = c == '\\' ? read_escape(in) : value_put(in, c);
		if (c != ' ' || in->slashes)
			kept = in->len;
	}
	in->len = kept;
	return r;
}

/* "#04024869": DER (RFC 4514 2.4). */
static int read_hex(struct dn_text *in, struct dn *dn)
{
	const unsigned char *der = (const unsigned char *)in->value;
	ASN1_TYPE *any = NULL;
	int pair, r = 0;

	for (in->at++; r == 0 && (pair = hex_pair(in->at)) >= 0; in->at += 2) {
		if (in->len == PEER_TEXT_MAX)
			return error_set(in->err, E_SYNTAX, "the name is longer than %d bytes", PEER_TEXT_MAX);
		in->value[in->len++] = (char)pair;
	}
	skip_spaces(in);
	if (is_end(in))
		any = d2i_ASN1_TYPE(NULL, &der, (long)in->len);
	ERR_clear_error();
	if (any == NULL || der != (const unsigned char *)in->value + in->len || any->type == V_ASN1_NULL ||
	    any->type == V_ASN1_BOOLEAN || any->type == V_ASN1_OBJECT)
		r = error_set(in->err, E_SYNTAX, "the name has a value that begins with '#' and is not the hex of DER text");
	else if (ASN1_STRING_length(any->value.asn1_string) == 0)
		r = error_set(in->err, E_SYNTAX, "the name has an attribute without a value");
	else
		r = dn_put_value(dn, any->value.asn1_string);
	ASN1_TYPE_free(any);
	return r;
}

static int read_value(struct dn_text *in, struct dn *dn)
{
	int r;

	in->len = 0;
	skip_spaces(in);
	if (*in->at == '#' && !in->slashes)
		return read_hex(in, dn);
	r = *in->at == '"' && !in->slashes ? read_quoted(in) : read_plain(in);
	if (r < 0)
		return r;
	if (in->len == 0)
		return error_set(in->err, E_SYNTAX, "the name has an attribute without a value");
	if (!text_is_utf8((const unsigned char *)in->value, in->len))
		return error_set(in->err, E_SYNTAX, "the name has a value that is not UTF-8");
	return store_put_escaped(dn, (const unsigned char *)in->value, in->len);
}

static int read_type(struct dn_text *in, char oid[TYPE_MAX], const char **ret)
{
	char name[TYPE_MAX];
	size_t len;

	skip_spaces(in);
	len = strcspn(in->at, "= ,;+/\\\"");
	if (len == 0 || len >= sizeof(name))
		return error_set(in->err, E_SYNTAX, "the name is not a list of TYPE=value");
	memcpy(name, in->at, len);
	name[len] = '\0';
	in->at += len;
	skip_spaces(in);
	if (*in->at != '=')
		return error_set(in->err, E_SYNTAX, "the name is not a list of TYPE=value");
	in->at++;
	*ret = type_find(name, oid);
	if (*ret != NULL)
		return 0;
	for (char *c = name; *c != '\0'; c++)
		*c = *c > ' ' && *c < 0x7f ? *c : '?';
	return error_set(in->err, E_SYNTAX, "unknown attribute type \"%.32s\"; use CN, OU, O... or a dotted OID", name);
}

static int read_attribute(struct dn_text *in, struct dn *dn, unsigned rdn)
{
	char oid[TYPE_MAX];
	const char *type = NULL;
	int r = read_type(in, oid, &type);

	if (r == 0)
		r = dn_begin(dn, rdn, type);
	if (r == 0)
		r = read_value(in, dn);
	return r < 0 ? r : dn_end(dn);
}

static int read_dn(struct dn_text *in, struct dn *dn)
{
	unsigned rdn = 0;
	int r;

	for (;;) {
		r = read_attribute(in, dn, rdn);
		if (r < 0 || *in->at == '\0')
			return r;
		rdn += *in->at++ != '+';
	}
}

int peer_normalise_dn(const char *text, char *ret, struct error *err)
{
	struct dn_text in = {.at = text, .slashes = text[0] == '/', .err = err};
	struct dn dn = {.used = 0};
	int r;

	in.at += in.slashes;
	r = read_dn(&in, &dn);
	if (r == 0)
		r = dn_write(&dn, in.slashes, ret);
	if (r == E_TOO_LARGE)
		return error_set(err, E_SYNTAX, "the name is longer than %d bytes, or has more than %d attributes", PEER_TEXT_MAX,
		                 ATTRIBUTES_MAX);
	if (r == E_INVALID)
		return error_set(err, E_SYNTAX, "the name has a NUL in a value");
	return r == E_NOMEM ? error_nomem(err) : r;
}

/* From certificates ------------------------------------------------------------------------------------------------- */

int peer_dn_from_name(const X509_NAME *name, char *ret)
{
	struct dn dn = {.used = 0};
	int r = 0;

	for (int i = 0; i < X509_NAME_entry_count(name) && r == 0; i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		char oid[TYPE_MAX];
		int len = OBJ_obj2txt(oid, sizeof(oid), X509_NAME_ENTRY_get_object(entry), 1);

		if (len <= 0 || len >= TYPE_MAX)
			return E_TOO_LARGE;
		r = dn_begin(&dn, (unsigned)X509_NAME_ENTRY_set(entry), type_name(oid));
		if (r == 0)
			r = dn_put_value(&dn, X509_NAME_ENTRY_get_data(entry));
		if (r == 0)
			r = dn_end(&dn);
	}
	return r < 0 ? r : dn_write(&dn, true, ret);
}

int peer_dn_common_name(const X509_NAME *name, char *ret)
{
	unsigned char *text = NULL;
	int at = -1, next, len, r = 0;

	while ((next = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0)
		at = next;
	if (at < 0)
		return E_NOT_FOUND;
	len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	ERR_clear_error();
	if (len < 0 || memchr(text, 0, (size_t)len) != NULL || !text_is_utf8(text, (size_t)len))
		r = E_INVALID;
	else if (len > PEER_TEXT_MAX)
		r = E_TOO_LARGE;
	else
		memcpy(ret, text, (size_t)len);
	if (r == 0)
		ret[len] = '\0';
	OPENSSL_free(text);
	return r;
}

/* Comparison -------------------------------------------------------------------------------------------------------- */

struct rdn {
	const char *text;
	size_t len;
};

static int order_rdns(const void *a, const void *b)
{
	const struct rdn *left = a, *right = b;
	int order = memcmp(left->text, right->text, left->len < right->len ? left->len : right->len);

	return order != 0 ? order : (left->len > right->len) - (left->len < right->len);
}

/* The RDNs of canonical text. A comma within a value has a backslash before it. */
static size_t split_rdns(const char *text, struct rdn rdns[ATTRIBUTES_MAX])
{
	size_t count = 0;

	while (*text != '\0' && count < ATTRIBUTES_MAX) {
		const char *end = text;

		while (*end != '\0' && *end != ',')
			end += *end == '\\' && end[1] != '\0' ? 2 : 1;
		rdns[count++] = (struct rdn){text, (size_t)(end - text)};
		text = *end == ',' ? end + 1 : end;
	}
	return *text == '\0' ? count : 0;
}

bool peer_dn_is_equal(const char *a, const char *b)
{
	struct rdn left[ATTRIBUTES_MAX], right[ATTRIBUTES_MAX];
	size_t count = split_rdns(a, left);

	if (count == 0 || count != split_rdns(b, right))
		return false;
	qsort(left, count, sizeof(left[0]), order_rdns);
	qsort(right, count, sizeof(right[0]), order_rdns);
	for (size_t i = 0; i < count; i++)
		if (order_rdns(&left[i], &right[i]) != 0)
			return false;
	return true;
}
