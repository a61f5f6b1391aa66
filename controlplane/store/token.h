/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of random secrets that are told once and kept only as SHA-256: tokens of the API here, join tokens in the change
 * layer. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <stdint.h>

#define TOKEN_SECRET_LEN 32

/* base64url without padding (RFC 4648 section 5), appended to out. */
void token_put_base64url(struct bytes data, struct buf *out);

/* A new token, "tlsplane_ROLE_" and 43 characters: its text (appended to out, which is made sensitive) and the SHA-256 of
 * that text. */
int token_make(const char *role, struct buf *out, uint8_t sha256[32], struct error *err) MUST_USE;
