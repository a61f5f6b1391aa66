/* SPDX-License-Identifier: Apache-2.0 */
/* A request's body, inside common/http: in one piece, never moved once it is large. A large one gets address space for
 * all that may come and memory as it comes, so that growing copies nothing; it can be given back from its beginning on.
 * It may hold keys: what goes is wiped. */
#pragma once

#include "base/buf.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define BODY_SMALL_MAX (64u << 10) /* up to there it is an ordinary buffer */

struct body {
	struct buf small;
	uint8_t *large; /* mapped; NULL: it is still small */
	size_t mapped;  /* bytes of address space */
	size_t len;
	size_t dropped; /* of the beginning, given back */
};

#define BODY_NULL ((struct body){.small = {.sensitive = true}})

/* max: what the body may grow to at most; body->len + len is not more. False without memory. */
bool body_put(struct body *body, const void *data, size_t len, size_t max) MUST_USE;
struct bytes body_bytes(const struct body *body);
/* Gives the first len bytes back, whole pages of them: they must not be read any more. Nothing for a small one. */
void body_drop(struct body *body, size_t len);
void body_deinit(struct body *body);
/* The same, on the uv pool when it takes long. */
void body_deinit_later(struct body *body, uv_loop_t *loop);
