/* SPDX-License-Identifier: Apache-2.0 */
/* Command-line options and their environment twins, from one table. --admin-listen is also TLSPLANE_ADMIN_LISTEN; the
 * command line wins. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

struct option_row {
	const char *name;     /* without dashes; NULL ends the table */
	const char *argument; /* how help shows the argument, e.g. "HOST:PORT"; NULL: a switch, value "1" when given */
	const char *fallback; /* value when given nowhere; NULL: none */
	const char *help;
};

/* values[i] belongs to rows[i] and borrows from argv, the environment or the table; NULL when not given and without
 * fallback. E_SYNTAX: unknown option, missing argument, or a word that is no option. */
int options_parse(const struct option_row *rows, int argc, char **argv, const char **values, struct error *err) MUST_USE;

/* The text of --help: usage line, purpose, a line per option with environment name and default. */
void options_print_help(const struct option_row *rows, const char *program, const char *purpose, struct buf *out);

/* "127.0.0.1:9180", "[::1]:9180", "host:port". host must hold 256 bytes; IPv6 comes without brackets. */
int options_parse_host_port(const char *text, char host[256], uint16_t *ret_port, struct error *err) MUST_USE;
int options_parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *ret_value, struct error *err) MUST_USE;
