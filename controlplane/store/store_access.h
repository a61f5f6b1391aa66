/* SPDX-License-Identifier: Apache-2.0 */
/* What guards the admin API, outside revisions and history (a rollback never brings back a token that was revoked): tokens, the audit
 * trail, receipts of requests that may come again. Written by store_write.h. */
#pragma once

#include "store/store.h"

#define STORE_ROLE_MAX 15
#define STORE_SOURCE_MAX 71

/* A credential of the API, known by the SHA-256 of its text alone. */
struct store_token {
	char id[ID_MAX + 1];
	uint8_t sha256[32];
	char role[STORE_ROLE_MAX + 1];
	char *scope; /* owned; compact JSON, or NULL */
	char *desc;  /* owned, or NULL */
	char created_by[ID_MAX + 1];
	uint64_t create_time; /* unix seconds, as are these: */
	uint64_t expire_time; /* 0: never */
	uint64_t used_time;   /* 0: never, or not told yet */
	char used_from[STORE_SOURCE_MAX + 1];
};

void store_token_deinit(struct store_token *token);
DEFINE_CLEANUP_VALUE(struct store_token, store_token_deinit);

/* By the SHA-256 of its text; by id. E_NOT_FOUND. Whether it has expired is the caller's to see. */
int store_find_token(struct store_reader *reader, const uint8_t sha256[32], struct store_token *ret, struct error *err) MUST_USE;
int store_get_token(struct store_reader *reader, const char *id, struct store_token *ret, struct error *err) MUST_USE;
/* Ids ascending after `after`, at most limit; fn's token is valid for the call. */
int store_list_tokens(struct store_reader *reader, const char *after, size_t limit,
                      int (*fn)(const struct store_token *token, void *context), void *context, struct error *err) MUST_USE;
/* Is there a token of this role, other than `id`, that never expires? */
int store_has_other_token(struct store_reader *reader, const char *role, const char *id, bool *ret, struct error *err) MUST_USE;

/* One row of the audit trail. Texts are borrowed, valid for the call. */
struct store_audit_row {
	uint64_t row; /* rises with time */
	uint64_t time;
	const char *actor, *request_id, *source, *action, *outcome;
	struct revision revision; /* number 0: none was made */
};

/* Rows ascending after `after`, found by an index: those of an actor; or, when actor is NULL, those of an outcome; or all. */
struct store_audit_filter {
	const char *actor, *outcome;
};
int store_list_audit(struct store_reader *reader, const struct store_audit_filter *filter, uint64_t after,
                     int (*fn)(const struct store_audit_row *row, void *context), void *context, struct error *err) MUST_USE;
/* The first row that is not older than `time`; E_NOT_FOUND: none. */
int store_first_audit_since(struct store_reader *reader, uint64_t time, uint64_t *ret_row, struct error *err) MUST_USE;

/* What was done for a request with an Idempotency-Key; enough to answer it again. */
#define STORE_RECEIPT_KEY_MAX 255
struct store_receipt {
	uint8_t token[32]; /* SHA-256 of the token's text */
	char key[STORE_RECEIPT_KEY_MAX + 1];
	uint8_t request[32]; /* SHA-256 of what was asked */
	uint64_t time;       /* unix seconds */
	struct revision revision;
	bool changed, created;
	enum kind kind; /* 0: no object was answered */
	char id[ID_MAX + 1];
	char *warnings;        /* owned; JSON array, or NULL */
	struct secret *secret; /* owned; what was told once, or NULL */
};

void store_receipt_deinit(struct store_receipt *receipt);
DEFINE_CLEANUP_VALUE(struct store_receipt, store_receipt_deinit);

#define STORE_RECEIPT_SECONDS 86400
#define STORE_RECEIPTS_MAX 10000 /* of one token; older ones go */

/* One that is not older than `since`. The secret rests sealed with AAD "tlsplane/receipt/v1" 0x00 | token | lv key. E_NOT_FOUND. */
int store_get_receipt(struct store_reader *reader, const uint8_t token[32], const char *key, uint64_t since,
                      struct store_receipt *ret, struct error *err) MUST_USE;
