/* SPDX-License-Identifier: Apache-2.0 */
/* What stands between a client's bytes and libmicrohttpd, inside common/http: it lets nothing pass that MHD would refuse
 * by itself (its refusals are HTML of its own) or that two parsers could frame differently. One direction of one
 * connection, pure.
 *
 *   HEAD --length--> LENGTH --all of it--> HEAD
 *     |  --chunked--> SIZE --> DATA --> DATA_END --> SIZE ... SIZE 0 --> TRAILER --> HEAD
 *     any --bad bytes, too much, too late--> REFUSED (all that follows is dropped)
 *
 * Strict RFC 9112: lines end with CRLF, no folding, one Host, Content-Length or chunked and not both. Heads pass as they
 * are, once they are complete; chunks are written anew, without extensions and trailers. A refusal passes as a request
 * of ours (or, within chunks, as a trailer of ours) with the field GATE_FIELD, so that its answer keeps its place behind
 * those under way. Clients can't send that field. */
#pragma once

#include "base/buf.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

#define GATE_FIELD "Tlsplane-Refusal"
#define GATE_HEAD_MAX (16u << 10)

enum gate_state {
	GATE_HEAD,
	GATE_LENGTH,
	GATE_SIZE,
	GATE_DATA,
	GATE_DATA_END,
	GATE_TRAILER,
	GATE_REFUSED,
};

struct gate {
	enum gate_state state;
	struct buf line;     /* HEAD: the head so far; SIZE, TRAILER, DATA_END: the line so far */
	size_t scanned;      /* HEAD: of it, looked at for its end */
	uint64_t left;       /* LENGTH, DATA: bytes to come */
	size_t trailer_size; /* TRAILER: bytes so far */
	uint64_t heads;      /* complete ones, so far */
};

/* Takes bytes; puts what MHD may see into out (which may fail for lack of memory, as may line: the owner asks both). */
void gate_feed(struct gate *gate, struct bytes in, struct buf *out);
/* A head has begun and is not complete. */
bool gate_is_within_head(const struct gate *gate);
/* It took too long. */
void gate_expire(struct gate *gate, struct buf *out);
void gate_deinit(struct gate *gate); /* zeroed allowed */

struct gate_refusal {
	int status;
	const char *detail;
};

/* The refusal that a value of GATE_FIELD names. */
const struct gate_refusal *gate_refusal_of(const char *value);
