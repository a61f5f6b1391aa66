/* SPDX-License-Identifier: Apache-2.0 */
/* The one error model of the product.
 *
 * A fallible function returns 0 or one negative code of this enum and, where it has more to say, fills the caller's
 * `struct error` at the deepest place that knows. Callers forward both unchanged or set their own. What a code is called,
 * which HTTP status it becomes and whether a retry may help stands in one table (error.c).
 *
 * Input never asserts; a broken promise between our own functions does. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

enum error_code {
	E_NOMEM = -100,    /* an allocation failed */
	E_IO,              /* the operating system refused a read or write */
	E_NOSPACE,         /* disk full */
	E_SYNTAX,          /* bytes that are not in the format they claim (JSON, PEM, protobuf, a flag) */
	E_INVALID,         /* well-formed, but not allowed: findings say what */
	E_TOO_LARGE,       /* beyond a stated limit */
	E_NOT_FOUND,       /* no such object, path or name */
	E_GONE,            /* it was there; history does not reach that far back any more */
	E_EXISTS,          /* create-only, and it is there */
	E_CONFLICT,        /* collides with another object or is referenced by one */
	E_PRECONDITION,    /* If-Match or an expected version does not hold */
	E_UNAUTHENTICATED, /* no or bad credential */
	E_FORBIDDEN,       /* credential good, act not allowed */
	E_METHOD,          /* the resource has no such method */
	E_RATE,            /* too much at once; retry later */
	E_UNAVAILABLE,     /* a part that is needed is away */
	E_TIMEOUT,         /* a deadline passed */
	E_CLOSED,          /* the peer or the owner closed it */
	E_PROTOCOL,        /* the peer broke the channel's contract */
	E_DIVERGED,        /* a state that the store does not contain */
	E_CORRUPT,         /* stored bytes fail their check */
	E_CRYPTO,          /* OpenSSL refused */
	E_BUSY,            /* in use by another process */
	E_VERSION,         /* made by a newer release */
	E_REFUSED,         /* an agent refused the update (NACK) */
	E_INTERNAL,        /* a bug of ours, contained */
	E_LAST_,           /* not a code: end of the table */
};

struct error {
	int code;
	int line;
	const char *file; /* static */
	char text[768];   /* one line for people; never a secret, never request bytes unescaped */
};

#define ERROR_NULL ((struct error){.text = ""})

/* Fills err (may be NULL) and returns code: `return error_set(err, E_IO, "open %s: %s", path, strerror(errno));` */
#define error_set(err, code, ...)                                                                                      \
	({                                                                                                                 \
		int error_code_ = (code);                                                                                      \
		error_set_at((err), error_code_, __FILE__, __LINE__, __VA_ARGS__);                                             \
		error_code_; /* compilers and analyzers see that this is never 0 */                                            \
	})
void error_set_at(struct error *err, int code, const char *file, int line, const char *format, ...) PRINTF_LIKE(5, 6);

/* Puts "CONTEXT: " before the text that err already carries; returns err->code. err may be NULL, then code is returned. */
int error_prefix(struct error *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* E_NOMEM with its text. */
#define error_nomem(err) error_set((err), E_NOMEM, "out of memory")

/* From errno: ENOSPC/EDQUOT -> E_NOSPACE, ENOENT -> E_NOT_FOUND, ENOMEM -> E_NOMEM, all else E_IO. */
int error_from_errno(int error_number);

/* "not-found", "invalid", ...: stable words for logs, metrics and problem documents. */
const char *error_name(int code);
const char *error_title(int code);
int error_http_status(int code);
bool error_is_retryable(int code);
