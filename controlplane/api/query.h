/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in URLs: query parameters, cursors, revisions, server-made ids. Pure but for the ids' randomness. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "model/cidr.h"
#include "model/findings.h"
#include "model/object.h"
#include "store/store_lists.h"

#include <stdbool.h>
#include <stdint.h>

#define QUERY_WAIT_SECONDS 30
#define QUERY_WAIT_SECONDS_MAX 300
#define QUERY_LIMIT 100
#define QUERY_LIMIT_MAX 500

/* Which parameters a route takes. */
enum query_set {
	QUERY_NONE = 0,
	QUERY_WRITE = 1, /* strict, dry_run, wait, timeout */
	QUERY_PAGE = 2,  /* limit, cursor */
	QUERY_HISTORY = 16, /* actor, kind, id, after, wait: which revisions are listed */
	QUERY_DIFF = 32, /* against */
	QUERY_AUDIT = 64, /* after, limit, actor, outcome, since, until */
	QUERY_LIST = 128, /* label, status */
	QUERY_SSLS = 256, /* sni, type, expires_before, issuer, fingerprint, key_type, sort */
	QUERY_PURGE = 512, /* purge */
	QUERY_RESOLVE = 4, /* agent, listener, sni, alpn, client_ip */
};

#define QUERY_SNI_MAX 512
#define QUERY_ALPN_MAX 16

/* One handshake to explain. */
struct query_handshake {
	char agent[ID_MAX + 1], listener[ID_MAX + 1];
	char sni[QUERY_SNI_MAX + 1]; /* as given; "": none */
	char alpn_text[QUERY_SNI_MAX + 1];
	uint16_t alpn[QUERY_ALPN_MAX]; /* where the names begin in alpn_text; each is terminated */
	size_t alpn_len;
	struct ip client_ip; /* len 0: not given */
};

/* Which revisions are asked for. */
struct query_history {
	char actor[ID_MAX + 1]; /* "": of anybody */
	enum kind kind;         /* with id: those that changed this object; 0: any */
	char id[ID_MAX + 1];
	bool has_after; /* those after this one, oldest first */
	bool waits;     /* for one, if there is none */
	uint32_t wait_seconds;
	struct revision after; /* epoch 0: any */
	bool has_against;
	struct revision against; /* of a diff */
};

/* Which rows of the audit trail are asked for. */
struct query_audit {
	uint64_t after; /* row */
	char actor[ID_MAX + 1]; /* "": of anybody */
	char outcome[33];       /* "": any */
	uint64_t since, until;  /* unix seconds; 0: no bound */
	uint32_t limit;         /* 0: not given */
};

#define QUERY_LABELS_MAX 8

/* What a list shows, and in which order. Words are borrowed from the request; NULL: any. */
struct query_filter {
	const char *labels[QUERY_LABELS_MAX]; /* KEY or KEY=VALUE; all must hold */
	size_t labels_len;
	enum { QUERY_ANY_STATUS, QUERY_ENABLED, QUERY_DISABLED } status;
	const char *sni, *type, *issuer;
	uint64_t expires_before; /* unix seconds; 0: any */
	bool has_fingerprint, has_key_type;
	uint8_t fingerprint[32];
	enum cert_key_type key_type;
	uint32_t key_bits; /* 0: any */
	enum store_order order;
};

#define QUERY_AUDIT_MAX 10000
#define QUERY_AFTER_MAX 256

/* Where a list goes on: behind `after`, in the collection as it was at `revision`. */
struct query_cursor {
	struct revision revision; /* {0, 0}: a first page */
	char after[QUERY_AFTER_MAX + 1]; /* an id, or what else orders the list; letters of ids */
};

struct query {
	bool strict, dry_run, purge_keys;
	bool wait;   /* wait=acked, and what comes after it */
	bool served; /* wait=served */
	uint32_t timeout_seconds;
	uint32_t limit;
	struct query_cursor cursor;
	struct query_handshake handshake;
	struct query_history history;
	struct query_audit audit;
	struct query_filter filter;
};

struct query_parameter {
	const char *name, *value;
};

/* E_SYNTAX with a finding per bad, unknown, repeated, missing or useless parameter (pointer "", the detail names it). */
int query_parse(const struct query_parameter *parameters, size_t count, enum query_set takes, struct findings *findings,
                struct query *ret, struct error *err) MUST_USE;

#define QUERY_CURSOR_MAX (2 * 20 + 2 + QUERY_AFTER_MAX + 1)
/* "EPOCH-NUMBER-ID": opaque to clients, readable to us. */
void query_format_cursor(const struct query_cursor *cursor, char text[QUERY_CURSOR_MAX]);

#define QUERY_REVISION_MAX (2 * 20 + 2)
void query_format_revision(struct revision revision, char text[QUERY_REVISION_MAX]); /* "EPOCH-NUMBER" */
/* "EPOCH-NUMBER", or "NUMBER" alone (epoch 0). E_SYNTAX. */
int query_parse_revision(const char *text, struct revision *ret, struct error *err) MUST_USE;

/* 26 characters, lower-case base 32 (0-9, a-v): 48 bits of time, 80 random ones; sorts by time. */
int query_make_id(uint64_t unix_ms, char id[ID_MAX + 1], struct error *err) MUST_USE;

/* Does an If-None-Match list ("*", or tags) name this tag? The weak comparison of RFC 9110 section 13.1.2; If-Match is
 * the change layer's, and compares strongly. */
bool query_has_etag(const char *list, const char *etag);
