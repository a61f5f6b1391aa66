/* SPDX-License-Identifier: Apache-2.0 */
/* The Host field against DNS rebinding, inside common/http: a page may have its own name resolved to our address, but
 * what it then sends still carries that name. Pure. */
#pragma once

#include <stdbool.h>

/* text: as in the field, with or without a port. True for an IP address, "localhost", and what names (NULL at their end)
 * has; letters' case and one trailing dot don't matter. */
bool host_is_known(const char *text, const char *const *names);
