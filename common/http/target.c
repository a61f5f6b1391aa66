/* SPDX-License-Identifier: Apache-2.0 */
/* Splits and decodes a request target. Everything that two readers could understand differently (an escaped slash,
 * "..", an empty segment, NUL) is refused rather than normalised, so that no check on the path can be walked around. */
#include "http/target.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes in place, terminates. plus: '+' is a blank, as in forms. */
static int decode(char *text, bool plus, struct error *err)
{
	char *out = text;

	for (const char *in = text; *in != 0; in++) {
		unsigned char c = (unsigned char)*in;

		if (c == '%') {
			int high = hex_value(in[1]), low = high < 0 ? -1 : hex_value(in[2]);

			if (low < 0)
				return error_set(err, E_SYNTAX, "bad percent escape");
			c = (unsigned char)(high << 4 | low);
			in += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		} else if (c >= 0x80) {
			return error_set(err, E_SYNTAX, "byte outside ASCII");
		}
		if (c < 0x20 || c == 0x7f)
			return error_set(err, E_SYNTAX, "control character");
		*out++ = (char)c;
	}
	*out = 0;
	return 0;
}

static int take_segment(char *segment, struct target *target, struct error *err)
{
	int r = decode(segment, false, err);

	if (r < 0)
		return error_prefix(err, r, "path");
	if (segment[0] == 0 || strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0)
		return error_set(err, E_SYNTAX, "path: empty, \".\" or \"..\" segment");
	if (strpbrk(segment, "/\\") != NULL)
		return error_set(err, E_SYNTAX, "path: escaped slash or a backslash in a segment");
	if (target->segments_len == TARGET_SEGMENTS_MAX)
		return error_set(err, E_TOO_LARGE, "path: more than %d segments", TARGET_SEGMENTS_MAX);
	target->segments[target->segments_len++] = segment;
	return 0;
}

static int take_path(char *path, struct target *target, struct error *err)
{
	char *next = path + 1;
	int r;

	if (path[0] == '*' || *next == 0)
		return 0;
	while (next != NULL) {
		char *segment = strsep(&next, "/");

		r = take_segment(segment, target, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_parameter(char *parameter, struct target *target, struct error *err)
{
	char *name = strsep(&parameter, "=");
	int r;

	if (target->parameters_len == TARGET_PARAMETERS_MAX)
		return error_set(err, E_TOO_LARGE, "query: more than %d parameters", TARGET_PARAMETERS_MAX);
	r = decode(name, true, err);
	if (r == 0 && parameter != NULL)
		r = decode(parameter, true, err);
	if (r < 0)
		return error_prefix(err, r, "query");
	target->parameters[target->parameters_len++] = (struct target_parameter){name, parameter != NULL ? parameter : ""};
	return 0;
}

static int take_query(char *query, struct target *target, struct error *err)
{
	int r;

	while (query != NULL) {
		char *parameter = strsep(&query, "&");

		if (parameter[0] == 0)
			continue;
		r = take_parameter(parameter, target, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Skips scheme and authority of the absolute form; an authority alone means "/". */
static const char *skip_authority(const char *text)
{
	static const char scheme[] = "http://";

	if (strncasecmp(text, scheme, strlen(scheme)) != 0)
		return text;
	for (text = strchr(text, '/') + 2; strchr("/?#", *text) == NULL; text++)
		;
	return *text != 0 ? text : "/";
}

int target_parse(const char *text, struct target *ret, struct error *err)
{
	CLEANUP(target_deinit) struct target target = {0};
	const char *origin = skip_authority(text);
	char *query;
	int r;

	if (strlen(text) > TARGET_MAX)
		return error_set(err, E_TOO_LARGE, "request target longer than %d bytes", TARGET_MAX);
	if ((origin[0] != '/' && strcmp(text, "*") != 0) || strchr(origin, '#') != NULL)
		return error_set(err, E_SYNTAX, "request target is no path");
	target.memory = strdup(origin);
	target.path = strndup(origin, strcspn(origin, "?"));
	if (target.memory == NULL || target.path == NULL)
		return error_nomem(err);
	query = strchr(target.memory, '?');
	if (query != NULL)
		*query++ = '\0';
	r = take_path(target.memory, &target, err);
	if (r == 0)
		r = take_query(query, &target, err);
	if (r < 0)
		return r;
	*ret = target;
	target = (struct target){0};
	return 0;
}

void target_deinit(struct target *target)
{
	free(target->path);
	free(target->memory);
	*target = (struct target){0};
}
