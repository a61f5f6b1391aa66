/* SPDX-License-Identifier: Apache-2.0 */
/* One line per event on stderr, key=value or JSON, escaped here and nowhere else, so that no byte a peer sends can end a
 * line or move a cursor. Level and format are the only process-wide state of the product: set once by main, before
 * threads exist, read by all.
 *
 *     log_event(LOG_INFO, "agent connected", LOG_STR("agent", id), LOG_U64("revision", revision));
 *
 * Never pass a secret or a request body. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_KEY_VALUE, LOG_JSON };

struct log_field {
	const char *key; /* NULL ends the list */
	const char *text; /* NULL: number holds the value */
	size_t text_len;
	int64_t number;
};

#define LOG_STR(key, value) log_field_text((key), (value))
#define LOG_BYTES(key, data, len) ((struct log_field){(key), (const char *)(data), (len), 0})
#define LOG_I64(key, value) ((struct log_field){(key), NULL, 0, (int64_t)(value)})
#define LOG_U64(key, value) LOG_I64(key, value)
#define LOG_ERR(err) log_field_text("error", (err)->text)

struct log_field log_field_text(const char *key, const char *value); /* value NULL prints as "-" */

/* level: "debug", "info", "warning", "error"; format: "kv", "json". */
int log_set_level(const char *level, struct error *err) MUST_USE;
int log_set_format(const char *format, struct error *err) MUST_USE;
bool log_is_on(enum log_level level);

#define log_event(level, message, ...)                                                                                 \
	do {                                                                                                               \
		if (log_is_on(level))                                                                                          \
			log_write((level), (message), (struct log_field[]){__VA_ARGS__ __VA_OPT__(, ) {NULL, NULL, 0, 0}});        \
	} while (0)

/* What strangers can cause over and over: a few lines per second of it, so that they hide nothing else and fill no disk.
 * Zeroed at first; one thread's. now_ms: of any clock that only grows. False: leave the line out; how many were is told
 * with the first one of a later second. */
struct log_budget {
	uint64_t second;
	unsigned count, dropped; /* in it */
};

bool log_budget_take(struct log_budget *budget, uint64_t now_ms) MUST_USE;

void log_write(enum log_level level, const char *message, const struct log_field *fields);
