/* SPDX-License-Identifier: Apache-2.0 */
/* Host names in one form, and the matcher. A name whose last label is a number ("10.0.0.1", "0x7f.1", "127.1") is read
 * as an IPv4 address by many programs (WHATWG URL, 3.5), so it is none here. */
#include "model/name.h"

#include <idn2.h>
#include <stdio.h>
#include <string.h>

#define LABEL_MAX 63
#define NAME_TEXT_MAX 1024 /* UTF-8 bytes given to libidn2 */

/* Lower case of a byte that may stand in a name, else 0. */
static char name_fold(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
		return (char)c;
	return 0;
}

/* Folds in to name. NULL, or what is wrong. */
static const char *name_fold_all(struct bytes in, char *name, size_t *ret_len)
{
	size_t label = 0;

	if (in.len > 0 && in.data[in.len - 1] == '.')
		in.len--;
	if (in.len == 0)
		return "is empty";
	if (in.len > NAME_MAX_LEN)
		return "is longer than 253 bytes";
	for (size_t i = 0; i < in.len; i++) {
		if (in.data[i] == '.') {
			if (label == 0)
				return "has an empty label";
			label = 0;
			name[i] = '.';
			continue;
		}
		name[i] = name_fold(in.data[i]);
		if (name[i] == 0)
			return "has a byte other than letters, digits, '-', '_' and '.'";
		if (++label > LABEL_MAX)
			return "has a label longer than 63 bytes";
	}
	if (label == 0)
		return "has an empty label";
	name[in.len] = '\0';
	*ret_len = in.len;
	return NULL;
}

static bool name_is_like_address(const char *name)
{
	const char *dot = strrchr(name, '.'), *last = dot == NULL ? name : dot + 1;

	if (last[0] == '0' && last[1] == 'x' && last[2 + strspn(last + 2, "0123456789abcdef")] == '\0')
		return true;
	return last[strspn(last, "0123456789")] == '\0';
}

static bool name_has_edge_hyphen(const char *name)
{
	size_t len = strlen(name);

	return name[0] == '-' || name[len - 1] == '-' || strstr(name, ".-") != NULL || strstr(name, "-.") != NULL;
}

static bool text_is_ascii(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

/* Without the wildcard. ASCII is only folded: an A-label in a certificate is served even if IDNA 2008 would not make it
 * today. */
static int name_normalise_plain(const char *text, char *name, struct error *err)
{
	char *ascii = NULL;
	const char *wrong;
	size_t len;
	int r;

	if (strlen(text) > NAME_TEXT_MAX)
		return error_set(err, E_SYNTAX, "the name is longer than 253 bytes");
	if (text_is_ascii(text)) {
		wrong = name_fold_all(BYTES(text, strlen(text)), name, &len);
	} else {
		r = idn2_to_ascii_8z(text, &ascii, IDN2_NONTRANSITIONAL);
		if (r == IDN2_MALLOC)
			return error_nomem(err);
		if (r != IDN2_OK)
			return error_set(err, E_SYNTAX, "the name is not an internationalised domain name: %s", idn2_strerror(r));
		wrong = name_fold_all(BYTES(ascii, strlen(ascii)), name, &len);
		idn2_free(ascii);
	}
	if (wrong != NULL)
		return error_set(err, E_SYNTAX, "the name %s", wrong);
	if (name_has_edge_hyphen(name))
		return error_set(err, E_SYNTAX, "the name has a label that begins or ends with '-'");
	if (name_is_like_address(name))
		return error_set(err, E_SYNTAX, "the name is an IP address; server names are DNS names (RFC 6066)");
	return 0;
}

/* "*." or "**." and a name. */
static int name_normalise_starred(const char *stars, const char *text, char *name, struct error *err)
{
	char plain[NAME_MAX_LEN + 1];
	int r = name_normalise_plain(text, plain, err);

	if (r < 0)
		return r;
	if (strlen(stars) + strlen(plain) > NAME_MAX_LEN)
		return error_set(err, E_SYNTAX, "the name is longer than 253 bytes");
	snprintf(name, NAME_MAX_LEN + 1, "%s%s", stars, plain);
	return 0;
}

int name_normalise(const char *text, bool wildcard, char *name, struct error *err)
{
	bool starred = text[0] == '*';

	if (starred && !wildcard)
		return error_set(err, E_SYNTAX, "a wildcard is not allowed here");
	if (starred && text[1] == '\0') {
		memcpy(name, "*", 2);
		return 0;
	}
	if (starred && text[1] != '.')
		return error_set(err, E_SYNTAX, "'*' must be the whole left-most label, as in *.example.com");
	return starred ? name_normalise_starred("*.", text + 2, name, err) : name_normalise_starred("", text, name, err);
}

int name_normalise_pattern(const char *text, char *name, struct error *err)
{
	if (text[0] == '\0') {
		name[0] = '\0';
		return 0;
	}
	if (strcmp(text, "**") == 0)
		return error_set(err, E_SYNTAX, "'**' needs a name behind it, as in **.example.com; '*' alone is any name");
	if (strncmp(text, "**.", 3) == 0)
		return name_normalise_starred("**.", text + 3, name, err);
	return name_normalise(text, true, name, err);
}

int name_normalise_sni(struct bytes sni, char *name, size_t *ret_len)
{
	size_t len;

	if (name_fold_all(sni, name, &len) != NULL)
		return E_SYNTAX;
	if (name_is_like_address(name))
		return E_INVALID;
	*ret_len = len;
	return 0;
}

bool name_is_covered(const char *sni, const char *san)
{
	const char *rest;

	if (strcmp(sni, san) == 0)
		return true;
	if (san[0] != '*' || san[1] != '.' || sni[0] == '*')
		return false;
	rest = strchr(sni, '.');
	return rest != NULL && rest != sni && strcmp(rest, san + 1) == 0;
}

static const struct bytes star = {(const uint8_t *)"*", 1}, two_stars = {(const uint8_t *)"**", 2};

/* Looks up stars and name from `dot` on; what would be longer than a name can't be a key. */
static void *look_up_rest(struct bytes stars, struct bytes name, const uint8_t *dot,
                          void *(*lookup)(struct bytes key, void *context), void *context)
{
	size_t rest = name.len - (size_t)(dot - name.data);
	uint8_t key[NAME_MAX_LEN];

	if (rest > sizeof(key) - stars.len)
		return NULL;
	memcpy(key, stars.data, stars.len);
	memcpy(key + stars.len, dot, rest);
	return lookup(BYTES(key, stars.len + rest), context);
}

static const uint8_t *find_dot(struct bytes name, size_t from)
{
	return from < name.len ? memchr(name.data + from, '.', name.len - from) : NULL;
}

void *name_choose(struct bytes name, void *(*lookup)(struct bytes key, void *context), void *context)
{
	void *found = lookup(name, context);
	const uint8_t *dot = find_dot(name, 0);

	if (found == NULL && dot != NULL && dot > name.data)
		found = look_up_rest(star, name, dot, lookup, context);
	if (found == NULL && name.len > 0)
		found = lookup(star, context);
	return found;
}

void *name_choose_route(struct bytes name, void *(*lookup)(struct bytes key, void *context), void *context)
{
	void *found = lookup(name, context);
	const uint8_t *dot = find_dot(name, 0);

	if (found == NULL && dot != NULL && dot > name.data)
		found = look_up_rest(star, name, dot, lookup, context);
	for (; found == NULL && dot != NULL; dot = find_dot(name, (size_t)(dot - name.data) + 1)) {
		if (dot > name.data)
			found = look_up_rest(two_stars, name, dot, lookup, context);
	}
	if (found == NULL && name.len > 0)
		found = lookup(star, context);
	return found;
}
