/* SPDX-License-Identifier: Apache-2.0 */
/* What the admin API is called: in its own certificate and in the Host field of requests. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#define NAMES_OPTION_MAX 16

struct names {
	char *memory; /* owned; what hosts points into */
	char machine[256];
	const char *hosts[NAMES_OPTION_MAX + 1]; /* names alone, NULL at their end */
	const char *all[NAMES_OPTION_MAX + 5];   /* and where it listens, NULL at their end */
};

/* option: "NAME,NAME..." (as many as above), or NULL: the machine's own. host: where it listens, borrowed. *names must stay
 * where it is. E_SYNTAX, E_NOMEM. */
int names_init(struct names *names, const char *option, const char *host, struct error *err) MUST_USE;
void names_deinit(struct names *names); /* zeroed allowed */
