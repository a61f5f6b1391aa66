/* SPDX-License-Identifier: Apache-2.0 */
/* The error table, and the functions that fill a struct error. */
#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct error_row {
	const char *name;
	const char *title;
	int http_status;
	bool retryable;
};

#define ROW(code) [(code) - E_NOMEM]
static const struct error_row error_table[E_LAST_ - E_NOMEM] = {
    ROW(E_NOMEM) = {"out-of-memory", "Out of memory", 503, true},
    ROW(E_IO) = {"io", "Input or output failed", 500, true},
    ROW(E_NOSPACE) = {"no-space", "No space left", 507, true},
    ROW(E_SYNTAX) = {"syntax", "Not well-formed", 400, false},
    ROW(E_INVALID) = {"invalid", "Invalid configuration", 422, false},
    ROW(E_TOO_LARGE) = {"too-large", "Too large", 413, false},
    ROW(E_NOT_FOUND) = {"not-found", "Not found", 404, false},
    ROW(E_GONE) = {"gone", "Gone", 410, false},
    ROW(E_EXISTS) = {"exists", "Exists already", 412, false},
    ROW(E_CONFLICT) = {"conflict", "Conflict", 409, false},
    ROW(E_PRECONDITION) = {"precondition-failed", "Precondition failed", 412, false},
    ROW(E_UNAUTHENTICATED) = {"unauthenticated", "Authentication required", 401, false},
    ROW(E_FORBIDDEN) = {"forbidden", "Forbidden", 403, false},
    ROW(E_METHOD) = {"method-not-allowed", "Method not allowed", 405, false},
    ROW(E_RATE) = {"rate", "Too many requests", 429, true},
    ROW(E_UNAVAILABLE) = {"unavailable", "Unavailable", 503, true},
    ROW(E_TIMEOUT) = {"timeout", "Timed out", 504, true},
    ROW(E_CLOSED) = {"closed", "Closed", 503, true},
    ROW(E_PROTOCOL) = {"protocol", "Protocol violation", 400, false},
    ROW(E_DIVERGED) = {"diverged", "State not in this store", 409, false},
    ROW(E_CORRUPT) = {"corrupt", "Stored data is damaged", 500, false},
    ROW(E_CRYPTO) = {"crypto", "Cryptographic operation failed", 500, false},
    ROW(E_BUSY) = {"busy", "In use", 503, true},
    ROW(E_VERSION) = {"version", "Made by a newer release", 500, false},
    ROW(E_REFUSED) = {"refused", "Refused by an agent", 502, false},
    ROW(E_INTERNAL) = {"internal", "Internal error", 500, false},
};

static const struct error_row *error_row_of(int code)
{
	assert(code >= E_NOMEM && code < E_LAST_);
	return &error_table[code - E_NOMEM];
}

void error_set_at(struct error *err, int code, const char *file, int line, const char *format, ...)
{
	va_list args;

	if (err == NULL)
		return;
	err->code = code;
	err->file = file;
	err->line = line;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
}

int error_prefix(struct error *err, int code, const char *format, ...)
{
	struct error old;
	va_list args;
	size_t used;

	if (err == NULL)
		return code;
	old = *err;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	used = strlen(err->text);
	snprintf(err->text + used, sizeof(err->text) - used, ": %s", old.text);
	return code;
}

int error_from_errno(int error_number)
{
	switch (error_number) {
	case ENOSPC:
	case EDQUOT:
		return E_NOSPACE;
	case ENOENT:
		return E_NOT_FOUND;
	case ENOMEM:
		return E_NOMEM;
	default:
		return E_IO;
	}
}

const char *error_name(int code)
{
	return error_row_of(code)->name;
}

const char *error_title(int code)
{
	return error_row_of(code)->title;
}

int error_http_status(int code)
{
	return error_row_of(code)->http_status;
}

bool error_is_retryable(int code)
{
	return error_row_of(code)->retryable;
}
