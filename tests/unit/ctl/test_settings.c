/* SPDX-License-Identifier: Apache-2.0 */
/* Where keys and tokens may be sent, and what is a token. */
#include "ctl/settings.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct error err;

static int load(const char *url, const char *option, struct settings *settings)
{
	const char *argv[] = {"ctl", "--url", url, option};
	struct args args = {0};

	err = ERROR_NULL;
	ck_assert_int_eq(args_parse(option != NULL ? 4 : 3, (char *const *)(uintptr_t)argv, &args, &err), 0);
	return settings_load(&args, settings, &err);
}

START_TEST(urls)
{
	static const struct {
		const char *url, *kept; /* NULL: refused */
	} cases[] = {
	    {"https://admin.example:9180/", "https://admin.example:9180"},
	    {"http://127.0.0.1:9180", "http://127.0.0.1:9180"},
	    {"http://127.1.2.3", "http://127.1.2.3"},
	    {"http://localhost:1//", "http://localhost:1"},
	    {"http://[::1]:9180", "http://[::1]:9180"},
	    {"unix:/run/x.sock", "http://localhost"},
	    {"http://10.0.0.1:9180", NULL},
	    {"http://127.0.0.1.evil.example", NULL},
	    {"http://127.evil.example", NULL},
	    {"http://localhost.evil.example", NULL},
	    {"http://[::1].evil.example", NULL},
	    {"http://[::2]:1", NULL},
	    {"http://user@127.0.0.1", NULL},
	    {"http://127.0.0.1@evil.example", NULL},
	    {"http://127.0.0.1\\@evil.example", NULL},
	    {"https://x/?a", NULL},
	    {"https://x y", NULL},
	    {"https://", NULL},
	    {"http://", NULL},
	    {"ftp://127.0.0.1", NULL},
	    {"127.0.0.1:9180", NULL},
	    {"unix:relative", NULL},
	};

	setenv("TLSPLANE_TOKEN", "abc", 1);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(settings_deinit) struct settings settings = {0};
		int r = load(cases[i].url, NULL, &settings);

		ck_assert_msg(r == (cases[i].kept != NULL ? 0 : E_SYNTAX), "%s: %d", cases[i].url, r);
		if (cases[i].kept != NULL)
			ck_assert_str_eq(settings.url, cases[i].kept);
	}
}
END_TEST

START_TEST(plain_http_by_an_explicit_word)
{
	CLEANUP(settings_deinit) struct settings first = {0}, second = {0};

	setenv("TLSPLANE_TOKEN", "abc", 1);
	ck_assert_int_eq(load("http://10.0.0.1", "--insecure-plain-http", &first), 0);
	setenv("TLSPLANE_PLAIN_HTTP", "yes", 1);
	ck_assert_int_eq(load("http://10.0.0.1", NULL, &second), E_SYNTAX);
	setenv("TLSPLANE_PLAIN_HTTP", "insecure", 1);
	ck_assert_int_eq(load("http://10.0.0.1", NULL, &second), 0);
}
END_TEST

START_TEST(tokens)
{
	static const struct {
		const char *token;
		bool good;
	} cases[] = {{"abc", true}, {"tlsplane_A-b.c~d+e/f=", true}, {"abc\n", true}, {"abc\r\n", true}, {"a b", false},
	             {"a\r\nX-Evil: 1", false}, {"\xc3\xbc", false}, {"\n", false}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(settings_deinit) struct settings settings = {0};

		setenv("TLSPLANE_TOKEN", cases[i].token, 1);
		ck_assert_msg(load("https://x", NULL, &settings) == (cases[i].good ? 0 : E_SYNTAX), "case %zu", i);
		ck_assert_ptr_null(strstr(err.text, "Evil"));
	}
	unsetenv("TLSPLANE_TOKEN");
	{
		CLEANUP(settings_deinit) struct settings settings = {0};

		ck_assert_int_eq(load("https://x", NULL, &settings), E_SYNTAX);
		ck_assert_ptr_nonnull(strstr(err.text, "TLSPLANE_TOKEN_FILE"));
	}
}
END_TEST

/* An option is nearer than the environment. */
START_TEST(token_files)
{
	CLEANUP(settings_deinit) struct settings settings = {0}, second = {0};
	char path[] = "/tmp/ctl-token-XXXXXX", option[64];
	int fd = mkstemp(path);

	ck_assert_int_eq(write(fd, "from-file\n", 10), 10);
	close(fd);
	setenv("TLSPLANE_TOKEN", "from-environment", 1);
	setenv("TLSPLANE_TOKEN_FILE", path, 1);
	ck_assert_int_eq(load("https://x", NULL, &settings), 0);
	ck_assert_str_eq((const char *)settings.header->data, "Authorization: Bearer from-environment");
	unsetenv("TLSPLANE_TOKEN_FILE");
	snprintf(option, sizeof(option), "--token-file=%s", path);
	ck_assert_int_eq(load("https://x", option, &second), 0);
	ck_assert_str_eq((const char *)second.header->data, "Authorization: Bearer from-file");
	unlink(path);
	settings_deinit(&second);
	ck_assert_int_eq(load("https://x", option, &second), E_SYNTAX);
}
END_TEST

START_TEST(words)
{
	CLEANUP(settings_deinit) struct settings settings = {0};

	setenv("TLSPLANE_TOKEN", "abc", 1);
	ck_assert_int_eq(load("https://x", "--output=yaml", &settings), E_SYNTAX);
	ck_assert_int_eq(load("https://x", "--wait=forever", &settings), E_SYNTAX);
	ck_assert_int_eq(load("https://x", "--timeout=0", &settings), E_SYNTAX);
	ck_assert_int_eq(load("https://x", "--timeout=5", &settings), 0);
	ck_assert_uint_eq(settings.timeout, 5);
}
END_TEST

UNIT_MAIN("ctl/settings", urls, plain_http_by_an_explicit_word, tokens, token_files, words)
