/* SPDX-License-Identifier: Apache-2.0 */
/* The store: objects with their whole history, revisions, audit, in SQLite. Narrow enough for a PostgreSQL implementation.
 *
 * Rows have validity intervals: an object state is valid from the revision that wrote it to the one that replaced it, so a snapshot at
 * N, a delta N..M and history are index queries. One writer (a thread of its own), any number of readers (one connection
 * each, WAL). Writes go through store_write.h, which only the change layer may include.
 *
 * Callbacks `fn` may call other reads of the same reader. Other than 0 stops: the call then returns fn's value when that is
 * negative, else 0.
 *
 * A secret rests sealed under the keyring with AAD "tlsplane/secret/v1" 0x00 | u32 kind | uid | u64 version. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/secret.h"
#include "crypto/seal.h"
#include "model/object.h"
#include "model/resource.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store; /* the files; shared by all threads after open */
struct store_reader; /* one connection; one thread at a time */

struct store_config {
	const char *dir;   /* the data directory, made 0700 if absent */
	bool new_epoch;    /* start a new epoch before anything else */
	const char *trust_domain; /* for a CA made at first start; NULL: "tlsplane" */
	const char *ca_cert, *ca_key; /* PEM files of a brought CA, or NULL; later starts check that it is the same */
};

/* Locks the directory (E_BUSY: in use by another process), opens or makes keyring and database, migrates (E_VERSION: made by a newer
 * release), checks that the keyring is the one that sealed it (E_CORRUPT), makes CA, presets and the first admin token (file
 * admin.token, 0600) at first start. */
int store_open(const struct store_config *config, struct store **ret, struct error *err) MUST_USE;
struct store *store_close(struct store *store); /* after all readers and the writer; NULL allowed */
DEFINE_CLEANUP(struct store, store_close);

/* The keys that secrets are sealed with, oldest first; more than one while the keyring is rotated (store_write.h). */
struct store_key {
	uint32_t id;
	uint64_t made;  /* unix seconds; 0: it seals nothing any more and is about to leave the file */
	bool is_sealing; /* the newest: all that is written */
	uint64_t seals; /* values that are yet to be sealed anew; 0 for the newest */
};

int store_list_keys(struct store_reader *reader, struct store_key *keys, size_t max, size_t *ret_len, struct error *err) MUST_USE;

/* The channel's CA. References. */
int store_load_ca(struct store *store, X509 **ret_cert, EVP_PKEY **ret_key, struct error *err) MUST_USE;

int store_reader_open(struct store *store, struct store_reader **ret, struct error *err) MUST_USE;
struct store_reader *store_reader_close(struct store_reader *reader); /* NULL allowed */
DEFINE_CLEANUP(struct store_reader, store_reader_close);

/* All reads between begin and end see one revision. Without begin each call sees its own newest. */
int store_begin(struct store_reader *reader, struct error *err) MUST_USE;
void store_end(struct store_reader *reader);

/* One stored state. Strings and bytes belong to the row. */
struct store_row {
	int64_t row_id; /* grows with age of the state; paging key within a selector */
	struct resource_state state; /* borrows from below */
	uint64_t from_revision, to_revision; /* to: 0 = current */
	struct bytes sealed; /* secret, sealed; empty when none */
	void *memory;        /* owned */
};

void store_row_deinit(struct store_row *row);
DEFINE_CLEANUP_VALUE(struct store_row, store_row_deinit);

struct store_revision {
	struct revision revision;
	struct digest chain;
	uint64_t time; /* unix seconds */
	char actor[ID_MAX + 1];
	char request_id[72];
	char source[72]; /* peer address */
	char summary[256]; /* "put ssls/shop" ... "and 97 more" */
	uint32_t changes;
};

int store_head(struct store_reader *reader, struct store_revision *ret, struct error *err) MUST_USE; /* of the newest revision */
int store_get_revision(struct store_reader *reader, uint64_t number, struct store_revision *ret, struct error *err) MUST_USE;

/* The state at `revision` (0: current). E_NOT_FOUND. */
int store_get(struct store_reader *reader, enum kind kind, const char *id, uint64_t revision, struct store_row *ret,
              struct error *err) MUST_USE;
/* Ids ascending after `after` ("" = from the start), as of `revision` (0: current). fn's row is valid for the call; non-zero stops. */
int store_list(struct store_reader *reader, enum kind kind, const char *after, uint64_t revision, size_t limit,
               int (*fn)(const struct store_row *row, void *context), void *context, struct error *err) MUST_USE;
int store_count(struct store_reader *reader, enum kind kind, uint64_t *ret, struct error *err) MUST_USE;

/* Opens a row's secret. */
int store_open_secret(const struct store *store, const struct store_row *row, struct secret **ret, struct error *err) MUST_USE;

/* What agents hold. ------------------------------------------------------------------------------------------------ */

struct store_selector {
	char *selector; /* valid for the call */
	struct digest digest;
	uint64_t objects;
	uint64_t changed; /* revision that touched it last */
};

/* Every selector that has or had objects. */
int store_each_selector(struct store_reader *reader, int (*fn)(const struct store_selector *selector, void *context), void *context,
                        struct error *err) MUST_USE;

/* The objects of one selector valid at `revision` (enabled ones only), row ids ascending after `after`, at most limit. */
int store_scan_selector(struct store_reader *reader, const char *selector, uint64_t revision, int64_t after, size_t limit,
                        int (*fn)(const struct store_row *row, void *context), void *context, struct error *err) MUST_USE;

/* What changed in one selector after `from` up to `to`. Puts: states valid at `to` that began after `from`, row ids ascending; a caller
 * that stops (1) goes on with store_scan_selector at `to` after the last one that it took. */
int store_scan_puts(struct store_reader *reader, const char *selector, uint64_t from, uint64_t to,
                    int (*fn)(const struct store_row *row, void *context), void *context, struct error *err) MUST_USE;

/* Where a scan of removals stands. */
struct store_removals {
	uint64_t from, to;
	int64_t after; /* row id of the ended state that was looked at last; 0: none yet */
	size_t looks;  /* how many it may still look at: of many changed objects few may be gone */
	bool ended;    /* there are no more */
};

/* Removals: (kind, id) valid at `from` and not at `to` in this selector, as row->state.object of the old state. History must reach back to
 * `from` until the scan has ended: E_GONE when what was looked at last is no longer there. */
int store_scan_removals(struct store_reader *reader, const char *selector, struct store_removals *removals,
                        int (*fn)(const struct store_row *row, void *context), void *context, struct error *err) MUST_USE;

/* What the publisher asks after a commit: cost follows what changed after revision `after`, not what is stored. */
int store_each_selector_since(struct store_reader *reader, uint64_t after,
                              int (*fn)(const struct store_selector *selector, void *context), void *context,
                              struct error *err) MUST_USE;
/* Ids of one kind that were put or deleted after revision `after`; an id may come twice. */
int store_each_id_since(struct store_reader *reader, enum kind kind, uint64_t after, int (*fn)(const char *id, void *context),
                        void *context, struct error *err) MUST_USE;

/* Neighbours, by index. ------------------------------------------------------------------------------------------- */

/* Current objects that refer to (kind, id). */
int store_each_referrer(struct store_reader *reader, enum kind kind, const char *id,
                        int (*fn)(const struct store_row *row, const char *pointer, void *context), void *context,
                        struct error *err) MUST_USE;
/* The same, of one kind only. */
int store_each_referrer_of_kind(struct store_reader *reader, enum kind kind, const char *id, enum kind from_kind,
                                int (*fn)(const struct store_row *row, const char *pointer, void *context), void *context,
                                struct error *err) MUST_USE;
/* The id after `after`, in order of bytes, among those of `kind` that something refers to; id must hold ID_MAX + 1.
 * E_NOT_FOUND: no more. */
int store_next_referred(struct store_reader *reader, enum kind kind, const char *after, char *id, struct error *err) MUST_USE;
/* Current, enabled TLS options that ask clients for a certificate: bits of resource.h. */
int store_each_asking(struct store_reader *reader, int (*fn)(const char *id, unsigned bits, void *context), void *context,
                      struct error *err) MUST_USE;
int store_get_asked(struct store_reader *reader, const char *id, unsigned *ret_bits, struct error *err) MUST_USE; /* 0: nothing */
/* Current SSL objects (enabled) that list this normalised name. */
int store_each_by_name(struct store_reader *reader, const char *name, int (*fn)(const struct store_row *row, void *context),
                       void *context, struct error *err) MUST_USE;
/* All current enabled listeners. */
int store_each_listener(struct store_reader *reader, int (*fn)(const struct store_row *row, void *context), void *context,
                        struct error *err) MUST_USE;
/* Those without an upstream of their own. */
int store_each_bare_listener(struct store_reader *reader, int (*fn)(const struct store_row *row, void *context),
                             void *context, struct error *err) MUST_USE;
/* Current enabled routes that list this normalised pattern; "" is one. */
int store_each_by_pattern(struct store_reader *reader, const char *pattern, int (*fn)(const struct store_row *row, void *context),
                          void *context, struct error *err) MUST_USE;
/* Those that name no listener and so hold for all. */
int store_each_route_anywhere(struct store_reader *reader, int (*fn)(const struct store_row *row, void *context),
                              void *context, struct error *err) MUST_USE;
/* Where those on one port listen, from an index; strings are valid for the call. */
struct store_bind {
	const char *id, *selector, *host;
	uint16_t port;
};
int store_each_by_port(struct store_reader *reader, uint16_t port, int (*fn)(const struct store_bind *bind, void *context),
                       void *context, struct error *err) MUST_USE;

/* Agents. ---------------------------------------------------------------------------------------------------------- */

/* What the channel learned about an agent; survives restarts, no part of history. */
struct store_agent_status {
	char id[ID_MAX + 1];
	uint64_t last_seen, last_ack_time; /* unix seconds; 0: never */
	struct revision acked;
	char *report; /* JSON text: versions, degraded, last NACK...; owned, may be NULL */
};

void store_agent_status_deinit(struct store_agent_status *status);
int store_get_agent_status(struct store_reader *reader, const char *id, struct store_agent_status *ret, struct error *err) MUST_USE;
