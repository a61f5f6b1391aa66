/* SPDX-License-Identifier: Apache-2.0 */
/* The head of one request (RFC 9112 sections 3 and 5), inside common/http: is it well-formed, and how long is the body.
 * Pure. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum head_refusal {
	HEAD_OK,
	HEAD_MALFORMED,
	HEAD_BAD_LINE,
	HEAD_BAD_FIELD,
	HEAD_BAD_HOST,
	HEAD_BAD_LENGTH,
	HEAD_TWO_LENGTHS,
	HEAD_RESERVED,
	HEAD_BAD_CHUNK, /* of the body: the gate says so */
	HEAD_LATE,      /* likewise */
	HEAD_TOO_LONG,
	HEAD_TARGET_TOO_LONG,
	HEAD_BAD_EXPECT,
	HEAD_TOO_LARGE,
	HEAD_BAD_METHOD,
	HEAD_BAD_CODING,
	HEAD_BAD_VERSION,
	HEAD_REFUSALS_,
};

#define HEAD_METHOD_MAX 15
#define HEAD_FIELDS_MAX 100

struct head {
	bool is_chunked;
	uint64_t length; /* of the body, when not chunked */
};

/* text: with the empty line at its end. *ret is set when it returns HEAD_OK. */
enum head_refusal head_read(const char *text, size_t len, struct head *ret) MUST_USE;
/* The beginning of what can never be a request: something else is spoken here. */
bool head_is_hopeless(const char *text, size_t len);
/* No control character but tabs. */
bool head_is_clean(const char *text, size_t len);
