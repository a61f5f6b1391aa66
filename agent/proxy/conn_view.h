/* SPDX-License-Identifier: Apache-2.0 */
/* Peers' certificates as text, for log and connection view. */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 2253, printable ASCII, cut to size; "" when there is none to show. */
void conn_format_subject(const X509 *cert, char *text, size_t size);
bool conn_hash_certificate(const X509 *cert, uint8_t sha256[32]);
