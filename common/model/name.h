/* SPDX-License-Identifier: Apache-2.0 */
/* Host names in one form (lower case, A-labels, no trailing dot), and the one matcher for certificates. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>

#define NAME_MAX_LEN 253

/* A name as an administrator writes it, U-labels allowed (IDNA 2008 via libidn2), "*.": one left-most label, or "*" alone when
 * wildcard is true. IP addresses are refused. name must hold NAME_MAX_LEN + 1. E_SYNTAX with the reason. */
int name_normalise(const char *text, bool wildcard, char *name, struct error *err) MUST_USE;

/* The SNI bytes of a ClientHello: the same form, but only what RFC 6066 lets stand there; nothing is converted but case and one
 * trailing dot. E_SYNTAX: bytes outside letters, digits, '-', '_', '.', an empty label, too long. An IP literal is E_INVALID:
 * legal bytes, but it matches no name. */
int name_normalise_sni(struct bytes sni, char *name, size_t *ret_len) MUST_USE;

/* Does a certificate name (dNSName, may be a one-label wildcard) cover an sni (may itself be a wildcard)? Both normalised. */
bool name_is_covered(const char *sni, const char *san);

/* The order of choice for a server name, shared by agent, warnings and `resolve`: calls lookup with the exact name, then with
 * "*.rest", then with "*" (not when name is empty: no SNI), until one answers other than NULL; returns that, or NULL. */
void *name_choose(struct bytes name, void *(*lookup)(struct bytes key, void *context), void *context);
/* The same for routes: exact, "*.rest", then "**.rest" from the longest rest to the shortest, then "*"; without a name "" alone. */
void *name_choose_route(struct bytes name, void *(*lookup)(struct bytes key, void *context), void *context);
/* A pattern of a route as an administrator writes it: a name, "*.name", "**.name", "*" or "". As name_normalise. */
int name_normalise_pattern(const char *text, char *name, struct error *err) MUST_USE;
