/* SPDX-License-Identifier: Apache-2.0 */
/* The option table on top of getopt_long. */
#include "base/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OPTIONS 32
#define ENV_NAME_MAX 64

static void env_name(const char *option, char name[ENV_NAME_MAX])
{
	size_t i;

	snprintf(name, ENV_NAME_MAX, "TLSPLANE_%s", option);
	for (i = 0; name[i] != 0; i++)
		name[i] = name[i] == '-' ? '_' : (char)toupper((unsigned char)name[i]);
}

static size_t rows_count(const struct option_row *rows)
{
	size_t n = 0;

	while (rows[n].name != NULL)
		n++;
	return n;
}

static void take_environment(const struct option_row *rows, const char **values)
{
	char name[ENV_NAME_MAX];

	for (size_t i = 0; rows[i].name != NULL; i++) {
		env_name(rows[i].name, name);
		values[i] = getenv(name);
		if (values[i] == NULL)
			values[i] = rows[i].fallback;
	}
}

int options_parse(const struct option_row *rows, int argc, char **argv, const char **values, struct error *err)
{
	struct option list[MAX_OPTIONS + 1] = {0};
	size_t n = rows_count(rows);
	int chosen, index = 0;

	if (n > MAX_OPTIONS)
		return error_set(err, E_INTERNAL, "option table too long");
	for (size_t i = 0; i < n; i++) {
		list[i].name = rows[i].name;
		list[i].has_arg = rows[i].argument != NULL ? required_argument : no_argument;
	}
	take_environment(rows, values);
	opterr = 0;
	optind = 1;
	while ((chosen = getopt_long(argc, argv, ":", list, &index)) != -1) {
		if (chosen == ':')
			return error_set(err, E_SYNTAX, "option %s needs an argument", argv[optind - 1]);
		if (chosen != 0)
			return error_set(err, E_SYNTAX, "unknown option %s (see --help)", argv[optind - 1]);
		values[index] = rows[index].argument != NULL ? optarg : "1";
	}
	if (optind < argc)
		return error_set(err, E_SYNTAX, "unexpected argument %s (see --help)", argv[optind]);
	return 0;
}

void options_print_help(const struct option_row *rows, const char *program, const char *purpose, struct buf *out)
{
	char left[80], name[ENV_NAME_MAX];

	buf_printf(out, "Usage: %s [OPTIONS]\n%s\n\nOptions (each also as an environment variable):\n", program, purpose);
	for (; rows->name != NULL; rows++) {
		env_name(rows->name, name);
		snprintf(left, sizeof(left), "--%s%s%s", rows->name, rows->argument != NULL ? " " : "",
		         rows->argument != NULL ? rows->argument : "");
		buf_printf(out, "  %-34s %s", left, rows->help);
		if (rows->fallback != NULL)
			buf_printf(out, " [default: %s]", rows->fallback);
		buf_printf(out, "\n  %-34s %s\n", "", name);
	}
}

int options_parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *ret_value, struct error *err)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end != 0 || errno != 0 || value < min || value > max)
		return error_set(err, E_SYNTAX, "expected a number from %u to %u", min, max);
	*ret_value = (uint32_t)value;
	return 0;
}

int options_parse_host_port(const char *text, char host[256], uint16_t *ret_port, struct error *err)
{
	const char *colon = strrchr(text, ':');
	size_t len;
	uint32_t port;

	if (colon == NULL || colon == text)
		return error_set(err, E_SYNTAX, "expected HOST:PORT");
	if (options_parse_u32(colon + 1, 0, 65535, &port, err) < 0)
		return error_set(err, E_SYNTAX, "expected HOST:PORT with a port from 0 to 65535");
	len = (size_t)(colon - text);
	if (text[0] == '[' && colon[-1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len) != NULL) {
		return error_set(err, E_SYNTAX, "write an IPv6 address in brackets, as in [::1]:443");
	}
	if (len == 0 || len > 255)
		return error_set(err, E_SYNTAX, "expected HOST:PORT");
	memcpy(host, text, len);
	host[len] = 0;
	*ret_port = (uint16_t)port;
	return 0;
}
