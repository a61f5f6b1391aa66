/* SPDX-License-Identifier: Apache-2.0 */
/* Names: one form, hostile spellings, and the matcher. */
#include "model/name.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *text, *normal; /* normal NULL: refused */
} names[] = {
	{"example.com", "example.com"},
	{"EXAMPLE.Com", "example.com"},
	{"example.com.", "example.com"},
	{"a_b.example.com", "a_b.example.com"},
	{"localhost", "localhost"},
	{"1.example", "1.example"},
	{"b\xc3\xbc"
     "cher.example",
     "xn--bcher-kva.example"},
	{"B\xc3\x9c"
     "CHER.example",
     "xn--bcher-kva.example"},
	{"xn--bcher-kva.example", "xn--bcher-kva.example"},
	{"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
	{"xn--ls8h.la", "xn--ls8h.la"},     /* not IDNA 2008, but certificates for it exist */
	{"fa\xc3\x9f.de", "xn--fa-hia.de"}, /* sharp s: not "fass" */
	{"\xe4\xbe\x8b\xe3\x81\x88\xe3\x80\x82\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88",
     "xn--r8jz45g.xn--zckzah"}, /* ideographic full stop */
	{"*.example.com", "*.example.com"},
	{"*.B\xc3\x9c"
     "CHER.example.",
     "*.xn--bcher-kva.example"},
	{"*", "*"},
	{"", NULL},
	{".", NULL},
	{"..", NULL},
	{"example..com", NULL},
	{".example.com", NULL},
	{"example.com..", NULL},
	{"*.", NULL},
	{"*.*", NULL},
	{"*example.com", NULL},
	{"a.*.com", NULL},
	{"**.example.com", NULL},
	{"a*.example.com", NULL},
	{"-a.example.com", NULL},
	{"a-.example.com", NULL},
	{"a.example-", NULL},
	{"a b.example", NULL},
	{"a\r\n.example", NULL},
	{"a,b.example", NULL},
	{"a/b.example", NULL},
	{"\x1b[31ma.example", NULL},
	{"a@b.example", NULL},
	{"[::1]", NULL},
	{"::1", NULL},
	{"127.0.0.1", NULL},
	{"127.1", NULL},
	{"0x7f.0x1", NULL},
	{"2130706433", NULL},
	{"\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.\xef\xbc\x90.\xef\xbc\x90.\xef\xbc\x91", NULL}, /* fullwidth 127.0.0.1 */
	{"\xef\xbc\x8a.example.com", NULL},                                                    /* fullwidth asterisk */
	{"a\xff.example", NULL},
	{"a\xc3", NULL},
	{"\xf0\x9f\x92\xa9.la", NULL}, /* an emoji is not IDNA 2008 */
	{"\xe2\x80\xae"
     "a.example",
     NULL},                                                  /* right-to-left override */
	{"a\xe2\x80\x8b.example\xe2\x80\x8b\xef\xbc\x8f", NULL}, /* zero width space, fullwidth slash */
};

START_TEST(one_form)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct error err = ERROR_NULL;
		char name[NAME_MAX_LEN + 1] = "untouched", again[NAME_MAX_LEN + 1];
		int r = name_normalise(names[i].text, true, name, &err);

		ck_assert_msg(r == (names[i].normal != NULL ? 0 : E_SYNTAX), "%zu %s: %d %s", i, names[i].text, r, name);
		ck_assert_msg(strcmp(name, names[i].normal != NULL ? names[i].normal : "untouched") == 0, "%zu %s: %s", i,
		              names[i].text, name);
		if (r == 0) {
			ck_assert_int_eq(name_normalise(name, true, again, &err), 0);
			ck_assert_str_eq(name, again);
		} else {
			ck_assert_str_ne(err.text, "");
		}
	}
}
END_TEST

START_TEST(wildcards_only_where_allowed)
{
	char name[NAME_MAX_LEN + 1];

	ck_assert_int_eq(name_normalise("*", false, name, NULL), E_SYNTAX);
	ck_assert_int_eq(name_normalise("*.example.com", false, name, NULL), E_SYNTAX);
}
END_TEST

static void long_name(char *text, size_t len)
{
	memset(text, 'a', len);
	for (size_t i = 50; i < len - 1; i += 51)
		text[i] = '.';
	text[len] = '\0';
}

START_TEST(lengths_are_bounded)
{
	char text[4096], name[NAME_MAX_LEN + 1];
	size_t len;

	long_name(text, 253);
	ck_assert_int_eq(name_normalise(text, false, name, NULL), 0);
	ck_assert_int_eq(name_normalise_sni(BYTES(text, 253), name, &len), 0);
	strcat(text, ".");
	ck_assert_int_eq(name_normalise(text, false, name, NULL), 0);
	ck_assert_int_eq(name_normalise_sni(BYTES(text, 254), name, &len), 0);
	ck_assert_uint_eq(len, 253);
	long_name(text, 254);
	ck_assert_int_eq(name_normalise(text, false, name, NULL), E_SYNTAX);
	ck_assert_int_eq(name_normalise_sni(BYTES(text, 254), name, &len), E_SYNTAX);
	long_name(text, 4000);
	ck_assert_int_eq(name_normalise(text, false, name, NULL), E_SYNTAX);
	memcpy(text, "*.", 2);
	long_name(text + 2, 252);
	ck_assert_int_eq(name_normalise(text, true, name, NULL), E_SYNTAX);
	long_name(text + 2, 251);
	ck_assert_int_eq(name_normalise(text, true, name, NULL), 0);
	memset(text, 'a', 64);
	strcpy(text + 64, ".com");
	ck_assert_int_eq(name_normalise(text, false, name, NULL), E_SYNTAX);
	ck_assert_int_eq(name_normalise_sni(BYTES(text, 68), name, &len), E_SYNTAX);
	ck_assert_int_eq(name_normalise(text + 1, false, name, NULL), 0);
	memset(text, 0xc3, sizeof(text));
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(name_normalise(text, false, name, NULL), E_SYNTAX);
}
END_TEST

START_TEST(sni_bytes)
{
	static const struct {
		const char *bytes;
		size_t len;
		int code;
		const char *name;
	} rows[] = {
		{"example.com", 11, 0, "example.com"},
		{"EXAMPLE.COM.", 12, 0, "example.com"},
		{"_x-y.example", 12, 0, "_x-y.example"},
		{"-x.example", 10, 0, "-x.example"},
		{"", 0, E_SYNTAX, NULL},
		{".", 1, E_SYNTAX, NULL},
		{"a..b", 4, E_SYNTAX, NULL},
		{"a\0.evil", 7, E_SYNTAX, NULL},
		{"a\r\nX: 1", 7, E_SYNTAX, NULL},
		{"\x1b[31ma", 6, E_SYNTAX, NULL},
		{"a,b", 3, E_SYNTAX, NULL},
		{"*.a.test", 8, E_SYNTAX, NULL},
		{"b\xc3\xbc"
	     "cher",
	     7, E_SYNTAX, NULL},
		{"::1", 3, E_SYNTAX, NULL},
		{"127.0.0.1", 9, E_INVALID, NULL},
		{"127.0.0.1.", 10, E_INVALID, NULL},
		{"1", 1, E_INVALID, NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char name[NAME_MAX_LEN + 1];
		size_t len = 99;
		int r = name_normalise_sni(BYTES(rows[i].bytes, rows[i].len), name, &len);

		ck_assert_msg(r == rows[i].code, "%zu: %d", i, r);
		if (r == 0) {
			ck_assert_str_eq(name, rows[i].name);
			ck_assert_uint_eq(len, strlen(name));
		}
	}
}
END_TEST

START_TEST(every_byte_of_an_sni_is_judged)
{
	for (unsigned c = 0; c < 256; c++) {
		uint8_t bytes[] = {'a', (uint8_t)c, 'b'};
		char name[NAME_MAX_LEN + 1];
		size_t len;
		bool fine =
			(c < 128 && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", (int)c) != NULL &&
		     c != 0);

		ck_assert_msg(name_normalise_sni(BYTES(bytes, 3), name, &len) == (fine ? 0 : E_SYNTAX), "byte %u", c);
	}
}
END_TEST

START_TEST(covers_as_rfc_9525_says)
{
	ck_assert(name_is_covered("a.test", "a.test"));
	ck_assert(name_is_covered("x.a.test", "*.a.test"));
	ck_assert(name_is_covered("xn--bcher-kva.a.test", "*.a.test"));
	ck_assert(name_is_covered("*.a.test", "*.a.test"));
	ck_assert(!name_is_covered("a.test", "*.a.test"));
	ck_assert(!name_is_covered("x.y.a.test", "*.a.test"));
	ck_assert(!name_is_covered("*.y.a.test", "*.a.test"));
	ck_assert(!name_is_covered("*.a.test", "x.a.test"));
	ck_assert(!name_is_covered("x.a.test", "*"));
	ck_assert(!name_is_covered("xa.test", "*a.test"));
	ck_assert(!name_is_covered("test", "*.test"));
	ck_assert(!name_is_covered(".a.test", "*.a.test"));
	ck_assert(!name_is_covered("*", "*.a.test"));
}
END_TEST

struct lookups {
	const char *answer; /* the key that is found */
	char asked[256];
};

static void *look_up(struct bytes key, void *context)
{
	struct lookups *lookups = context;

	sprintf(lookups->asked + strlen(lookups->asked), "<%.*s>", (int)key.len, (const char *)key.data);
	return lookups->answer != NULL && strlen(lookups->answer) == key.len &&
	               memcmp(lookups->answer, key.data, key.len) == 0
	           ? lookups
	           : NULL;
}

START_TEST(chooses_in_order)
{
	static const struct {
		const char *name, *answer, *asked;
	} rows[] = {
		{"a.b.test", NULL, "<a.b.test><*.b.test><*>"},
		{"a.b.test", "a.b.test", "<a.b.test>"},
		{"a.b.test", "*.b.test", "<a.b.test><*.b.test>"},
		{"a.b.test", "*", "<a.b.test><*.b.test><*>"},
		{"test", NULL, "<test><*>"},
		{"", NULL, "<>"},
		{"", "*", "<>"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lookups lookups = {.answer = rows[i].answer, .asked = ""};
		void *found = name_choose(BYTES(rows[i].name, strlen(rows[i].name)), look_up, &lookups);

		ck_assert_str_eq(lookups.asked, rows[i].asked);
		ck_assert(found == NULL || found == &lookups);
		if (rows[i].name[0] != '\0')
			ck_assert((found != NULL) == (rows[i].answer != NULL));
	}
}
END_TEST

START_TEST(routes_choose_in_order)
{
	static const struct {
		const char *name, *answer, *asked;
	} rows[] = {
		{"a.b.test", NULL, "<a.b.test><*.b.test><**.b.test><**.test><*>"},
		{"a.b.test", "a.b.test", "<a.b.test>"},
		{"a.b.test", "*.b.test", "<a.b.test><*.b.test>"},
		{"a.b.test", "**.b.test", "<a.b.test><*.b.test><**.b.test>"},
		{"a.b.test", "**.test", "<a.b.test><*.b.test><**.b.test><**.test>"},
		{"a.b.test", "*", "<a.b.test><*.b.test><**.b.test><**.test><*>"},
		{"b.test", NULL, "<b.test><*.test><**.test><*>"},
		{"test", NULL, "<test><*>"},
		{"", NULL, "<>"},
		{"", "*", "<>"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lookups lookups = {.answer = rows[i].answer, .asked = ""};
		void *found = name_choose_route(BYTES(rows[i].name, strlen(rows[i].name)), look_up, &lookups);

		ck_assert_str_eq(lookups.asked, rows[i].asked);
		ck_assert(found == NULL || found == &lookups);
		if (rows[i].name[0] != '\0')
			ck_assert((found != NULL) == (rows[i].answer != NULL));
	}
}
END_TEST

static void *check_key(struct bytes key, void *context)
{
	size_t *longest = context;

	ck_assert_uint_le(key.len, NAME_MAX_LEN);
	*longest = key.len > *longest && key.data[0] == '*' ? key.len : *longest;
	return NULL;
}

/* A key longer than a name can't have been stored: "**" and a rest of 252 bytes is not asked for. */
START_TEST(keys_are_no_longer_than_names)
{
	char name[NAME_MAX_LEN + 1];
	size_t longest = 0;

	for (size_t i = 0; i < NAME_MAX_LEN; i++)
		name[i] = i % 2 == 0 ? 'a' : '.';
	ck_assert_ptr_null(name_choose(BYTES(name, NAME_MAX_LEN), check_key, &longest));
	ck_assert_uint_eq(longest, NAME_MAX_LEN);
	ck_assert_ptr_null(name_choose_route(BYTES(name, NAME_MAX_LEN), check_key, &longest));
}
END_TEST

START_TEST(patterns)
{
	static const struct {
		const char *text, *normal; /* normal NULL: refused */
	} rows[] = {
		{"", ""},
		{"*", "*"},
		{"A.Test.", "a.test"},
		{"*.A.test", "*.a.test"},
		{"**.A.test", "**.a.test"},
		{"**.b\xc3\xbc"
	     "cher.example",
	     "**.xn--bcher-kva.example"},
		{"**.test", "**.test"},
		{"**", NULL},
		{"**.", NULL},
		{"**.*", NULL},
		{"**.*.test", NULL},
		{"*.**.test", NULL},
		{"***.test", NULL},
		{"**a.test", NULL},
		{"a.**.test", NULL},
		{".", NULL},
		{" ", NULL},
		{"**.127.0.0.1", NULL},
		{"10.0.0.1", NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = ERROR_NULL;
		char name[NAME_MAX_LEN + 1] = "untouched", again[NAME_MAX_LEN + 1];
		int r = name_normalise_pattern(rows[i].text, name, &err);

		ck_assert_msg(r == (rows[i].normal != NULL ? 0 : E_SYNTAX), "%zu %s: %d %s", i, rows[i].text, r, name);
		ck_assert_str_eq(name, rows[i].normal != NULL ? rows[i].normal : "untouched");
		ck_assert((r == 0) == (err.text[0] == '\0'));
		if (r == 0) {
			ck_assert_int_eq(name_normalise_pattern(name, again, &err), 0);
			ck_assert_str_eq(name, again);
		}
	}
}
END_TEST

START_TEST(lengths_of_patterns)
{
	char text[NAME_MAX_LEN + 8] = "**.", name[NAME_MAX_LEN + 1];

	long_name(text + 3, 250);
	ck_assert_int_eq(name_normalise_pattern(text, name, NULL), 0);
	ck_assert_uint_eq(strlen(name), NAME_MAX_LEN);
	long_name(text + 3, 251);
	ck_assert_int_eq(name_normalise_pattern(text, name, NULL), E_SYNTAX);
}
END_TEST

UNIT_MAIN("model/name", one_form, wildcards_only_where_allowed, lengths_are_bounded, sni_bytes,
          every_byte_of_an_sni_is_judged, covers_as_rfc_9525_says, chooses_in_order, routes_choose_in_order,
          keys_are_no_longer_than_names, patterns, lengths_of_patterns)
