/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of ticket keys for tests: one letter is one key, the same in every set that has it. Whatever fails ends the test. */
#pragma once

#include "tls/tickets.h"

struct keys_spec {
	const char *selector;
	const char *keys; /* letters, oldest first; capital: promoted */
	/* Of all, seconds from now; a later key is promoted a second later. Untils 0: a day, two days. */
	int64_t from, encrypt_until, decrypt_until;
};

/* selector NULL ends. A reference. */
struct ticket_sets *keys_make(const struct keys_spec *specs);
