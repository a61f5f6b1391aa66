/* SPDX-License-Identifier: Apache-2.0 */
#include "api/names.h"

#include "http/http.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int split(struct names *names, const char *option, size_t *count, struct error *err)
{
	char *next = names->memory = strdup(option);

	if (next == NULL)
		return error_nomem(err);
	while (next != NULL) {
		const char *name = strsep(&next, ",");

		if (name[0] == 0 || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") < strlen(name))
			return error_set(err, E_SYNTAX, "expected one name, or several with commas between them");
		if (*count == NAMES_OPTION_MAX)
			return error_set(err, E_SYNTAX, "more than %d names", NAMES_OPTION_MAX);
		names->hosts[(*count)++] = name;
	}
	return 0;
}

/* A name that is none for a certificate is left out. */
static void take_machine(struct names *names, size_t *count)
{
	if (gethostname(names->machine, sizeof(names->machine) - 1) < 0)
		names->machine[0] = 0;
	if (names->machine[0] != 0 && names->machine[0] != '-' && names->machine[0] != '.' &&
	    strspn(names->machine, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == strlen(names->machine))
		names->hosts[(*count)++] = names->machine;
}

int names_init(struct names *names, const char *option, const char *host, struct error *err)
{
	bool is_any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
	size_t count = 0;
	int r = 0;

	*names = (struct names){.memory = NULL};
	if (option != NULL)
		r = split(names, option, &count, err);
	else
		take_machine(names, &count);
	if (r < 0) {
		names_deinit(names);
		return r;
	}
	memcpy(names->all, names->hosts, sizeof(names->hosts));
	if (!is_any && strcmp(host, "localhost") != 0)
		names->all[count++] = host;
	if (is_any || http_is_loopback(host)) {
		names->all[count++] = "localhost";
		if (is_any || strcmp(host, "localhost") == 0)
			names->all[count++] = "127.0.0.1";
		if (is_any)
			names->all[count++] = "::1";
	}
	return 0;
}

void names_deinit(struct names *names)
{
	free(names->memory);
	names->memory = NULL;
}
