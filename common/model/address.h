/* SPDX-License-Identifier: Apache-2.0 */
/* "HOST:PORT" as listeners and upstreams write it, in one form: addresses as inet_ntop writes them, names as
 * name_normalise does. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

#define ADDRESS_HOST_MAX 256
#define ADDRESS_TEXT_MAX (ADDRESS_HOST_MAX + 10)

/* Brackets around an IPv6 address are required. host must hold ADDRESS_HOST_MAX. E_SYNTAX. */
int address_parse(const char *text, char *host, uint16_t *ret_port, struct error *err) MUST_USE;
/* The host alone, without brackets. */
int address_normalise_host(const char *text, char *host, struct error *err) MUST_USE;
const char *address_format(const char *host, uint32_t port, char text[ADDRESS_TEXT_MAX]); /* returns text */

bool address_is_ip(const char *host);
/* Is it an address or a name, in its one form? */
bool address_is_normal(const char *host);
