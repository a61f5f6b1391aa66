/* SPDX-License-Identifier: Apache-2.0 */
/* A URL is judged before anything is sent to it: key and token must not cross a network in plain text by mistake. */
#include "ctl/settings.h"

#include "base/buf.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX 4096
#define DIGITS "0123456789"

void settings_deinit(struct settings *settings)
{
	free(settings->url);
	free(settings->socket);
	secret_free(settings->header);
	*settings = (struct settings){0};
}

/* HOST or HOST:PORT, what stands behind "http://". */
static bool is_loopback(const char *authority)
{
	size_t host = authority[0] == '[' ? strcspn(authority, "]") + 1 : strcspn(authority, ":/");

	if (host > strlen(authority) || (authority[host] != 0 && strchr(":/", authority[host]) == NULL))
		return false;
	if (host == strlen("localhost") && strncmp(authority, "localhost", host) == 0)
		return true;
	if (host == strlen("[::1]") && strncmp(authority, "[::1]", host) == 0)
		return true;
	return strncmp(authority, "127.", 4) == 0 && strspn(authority, DIGITS ".") == host;
}

static int take_socket(struct settings *settings, const char *path, struct error *err)
{
	if (path[0] != '/')
		return error_set(err, E_SYNTAX, "the URL unix:%.100s: an absolute path is expected", path);
	settings->socket = strdup(path);
	settings->url = strdup("http://localhost");
	settings->is_plain = true;
	return settings->socket != NULL && settings->url != NULL ? 0 : error_nomem(err);
}

static bool begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool allows_plain(const struct args *args)
{
	const char *word = getenv("TLSPLANE_PLAIN_HTTP");

	return args_has(args, OPTION_PLAIN_HTTP) || (word != NULL && strcmp(word, "insecure") == 0);
}

static int take_url(struct settings *settings, const struct args *args, struct error *err)
{
	const char *url = args_get(args, OPTION_URL);
	size_t len;

	if (url == NULL)
		url = SETTINGS_URL;
	if (begins(url, "unix:"))
		return take_socket(settings, url + strlen("unix:"), err);
	settings->is_plain = begins(url, "http://");
	if (!settings->is_plain && !begins(url, "https://"))
		return error_set(err, E_SYNTAX, "the URL must be https://HOST:PORT, http://HOST:PORT on loopback, or unix:/PATH");
	len = strlen(url);
	if (strpbrk(url, "@ \t\r\n?#") != NULL || strstr(url, "://")[3] == 0)
		return error_set(err, E_SYNTAX, "the URL has a user name, a query, white space or no host in it");
	if (settings->is_plain && !is_loopback(url + strlen("http://")) && !allows_plain(args))
		return error_set(err, E_SYNTAX, "keys and token would cross the network in plain text: use an https URL "
		                                "(or --insecure-plain-http)");
	while (url[len - 1] == '/')
		len--;
	settings->url = strndup(url, len);
	return settings->url != NULL ? 0 : error_nomem(err);
}

static bool is_token(const char *text, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" DIGITS "._~+/=-";

	return len > 0 && strspn(text, letters) == len;
}

static int make_header(struct settings *settings, const char *token, size_t len, const char *from, struct error *err)
{
	static const char name[] = "Authorization: Bearer ";

	while (len > 0 && (token[len - 1] == '\n' || token[len - 1] == '\r'))
		len--;
	if (strnlen(token, len) != len || strspn(token, "\r\n") > 0 || len == 0)
		return error_set(err, E_SYNTAX, "%s holds no token", from);
	settings->header = secret_new(sizeof(name) + len);
	if (settings->header == NULL)
		return error_nomem(err);
	memcpy(settings->header->data, name, sizeof(name) - 1);
	memcpy(settings->header->data + sizeof(name) - 1, token, len);
	if (!is_token((const char *)settings->header->data + sizeof(name) - 1, len))
		return error_set(err, E_SYNTAX, "%s holds no token: one line of letters, digits and ._~+/=- is expected", from);
	return 0;
}

/* The file named by an option goes before the environment's token, that before the environment's file. */
static int take_token(struct settings *settings, const struct args *args, struct error *err)
{
	const char *file = args_get(args, OPTION_TOKEN_FILE), *named = getenv(option_table[OPTION_TOKEN_FILE].environment);
	bool is_option = file != NULL && (named == NULL || strcmp(named, file) != 0);
	const char *token = getenv("TLSPLANE_TOKEN"); /* good until the next getenv */
	CLEANUP(buf_deinit) struct buf content = {.sensitive = true};
	int r;

	if (token != NULL && token[0] != 0 && !is_option)
		return make_header(settings, token, strlen(token), "TLSPLANE_TOKEN", err);
	if (file == NULL)
		return error_set(err, E_SYNTAX, "no token: give --token-file, TLSPLANE_TOKEN_FILE or TLSPLANE_TOKEN");
	r = file_load(file, TOKEN_MAX, &content, err);
	if (r < 0)
		return error_prefix(err, r == E_NOMEM ? r : E_SYNTAX, "the token");
	if (buf_cstr(&content) == NULL)
		return error_nomem(err);
	return make_header(settings, (const char *)content.data, content.len, file, err);
}

static int take_output(struct settings *settings, const struct args *args, struct error *err)
{
	const char *output = args_get(args, OPTION_OUTPUT);

	settings->is_json = output != NULL && strcmp(output, "json") == 0;
	if (output != NULL && !settings->is_json && strcmp(output, "table") != 0)
		return error_set(err, E_SYNTAX, "--output: table or json expected");
	return 0;
}

static int check_wait(const struct args *args, struct error *err)
{
	const char *wait = args_get(args, OPTION_WAIT);

	if (wait == NULL || strcmp(wait, "acked") == 0 || strcmp(wait, "served") == 0 || strcmp(wait, "none") == 0)
		return 0;
	return error_set(err, E_SYNTAX, "--wait: acked, served or none expected");
}

int settings_load(const struct args *args, struct settings *settings, struct error *err)
{
	int r = take_output(settings, args, err);

	settings->timeout = SETTINGS_TIMEOUT;
	settings->ca_file = args_get(args, OPTION_CA_FILE);
	if (r == 0)
		r = check_wait(args, err);
	if (r == 0)
		r = args_get_number(args, OPTION_TIMEOUT, 1, SETTINGS_TIMEOUT_MAX, &settings->timeout, err);
	if (r == 0)
		r = take_url(settings, args, err);
	if (r == 0)
		r = take_token(settings, args, err);
	return r;
}
