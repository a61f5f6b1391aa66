/* SPDX-License-Identifier: Apache-2.0 */
/* A change request as a job: what each step knows of it. Internal to the change layer. */
#pragma once

#include "change/engine.h"

/* One item on its way. */
struct item_work {
	struct resource *resource; /* PUT and CREATE from prepare, PATCH from the transaction; owned */
	bool existed;
	bool written;  /* its resource is what the store has now */
	bool deleted;
	bool narrowed; /* selector or status differ from before: referrers must be looked at */
};

struct request_job {
	struct job job;
	struct change_request request; /* handed out by change_request_new */
	struct item_work *items;       /* as many */
	size_t items_cap;              /* of both arrays; 0: as many as there are */
	void (*done)(const struct change_result *result, void *context);
	void *context;
	struct change_result result;
	struct resource_limits limits; /* now set */
	struct store_row row;          /* of the first put item, for the answer */
	struct secret *token_text;     /* a new join token, told once */
	struct change_states *states;  /* of a dry run: what it would have made */
	bool holds_dry_run;            /* engine->dry_run is set for this one */
	uint64_t rollback_seen;        /* head as of which the items of a rollback were found */
	bool rollback_named;           /* they were named, and are not found */
};

extern const struct job_ops request_ops;

/* Adds an error finding behind the item's pointer and lets `code` be the request's unless a weightier one is there. */
void refuse(struct request_job *job, size_t index, int code, const char *finding, const char *pointer,
            const char *format, ...) PRINTF_LIKE(6, 7);
void warn(struct request_job *job, size_t index, const char *finding, const char *pointer, const char *format, ...)
	PRINTF_LIKE(5, 6);
/* Where an item stands in the request; for an item of a rollback that was found, which object it is: "/ssls/shop". */
#define ITEM_POINTER_MAX 96
void item_pointer(const struct request_job *job, size_t index, char pointer[ITEM_POINTER_MAX]);
bool request_is_refused(const struct request_job *job);
/* Frees documents and resources, not the items. */
void request_drop_items(struct request_job *job);
/* The whole request fails for a reason of ours. */
void request_fail(struct request_job *job, const struct error *error);

/* prepare.c */
void request_prepare(struct job *job);
/* Parses one document; findings go behind the item's pointer. 0 also when it was refused. */
int item_parse(struct request_job *job, size_t index, json_t *document, struct error *err) MUST_USE;

/* A place for one more item, zeroed. E_TOO_LARGE. */
int request_add_item(struct request_job *job, size_t *ret_index, struct error *err) MUST_USE;

/* apply.c */
/* This version is part of what was asked for, and is there already. */
void request_take_standing(struct request_job *job, const struct object_view *object);
int request_run(struct job *job, struct store_writer *writer, struct error *err);

/* states.c: in the transaction, into job->states. */
int request_take_states(struct request_job *job, struct store_reader *reader, struct error *err) MUST_USE;

/* keys.c: fills the keys of pairs that came without, from the object's current state (before: NULL when it is new). */
int keys_keep(struct request_job *job, size_t index, const struct store *store, const struct store_row *before,
              struct error *err) MUST_USE;

/* join_token.c: in prepare, the secret, its text and the body; in the transaction, the agent id it fixes must be free.
 */
int join_token_prepare(struct request_job *job, size_t index, struct error *err) MUST_USE;
int join_token_check(struct request_job *job, size_t index, struct store_writer *writer, struct error *err) MUST_USE;

/* rules.c: what holds between objects, looked at when all items are written. */
int rules_check(struct request_job *job, struct store_reader *reader, struct error *err) MUST_USE;
/* A search for what is only warned of ends after so many neighbours: no write may cost what all tenants of a big store
 * have in common (a name, a port, options). */
#define LOOKS_MAX 200

/* rules_ssl.c */
int rules_check_ssl(struct request_job *job, size_t index, struct store_reader *reader, struct error *err) MUST_USE;
int rules_check_options(struct request_job *job, size_t index, struct store_reader *reader, struct error *err) MUST_USE;

/* rules_client.c: an SSL object that verifies clients without a CA of its own takes those of its options. */
int rules_check_ssl_anchors(struct request_job *job, size_t index, const Tlsplane__Ssl *ssl, struct store_reader *reader,
                            struct error *err) MUST_USE;
/* before: as the options were; NULL: not known. */
int rules_check_options_anchors(struct request_job *job, size_t index, const Tlsplane__TlsOptions *before,
                                const Tlsplane__TlsOptions *options, struct store_reader *reader, struct error *err) MUST_USE;

/* rules_route.c */
bool rules_route_names(const Tlsplane__Route *route, const char *listener);
int rules_check_route(struct request_job *job, size_t index, struct store_reader *reader, struct error *err) MUST_USE;
/* For a listener: when it has no upstream, routes must bring one. */
int rules_check_bare_listener(struct request_job *job, size_t index, struct store_reader *reader, struct error *err) MUST_USE;

/* rules_upstream.c */
int rules_check_upstream(struct request_job *job, size_t index, struct store_reader *reader, struct error *err) MUST_USE;
bool rules_upstream_speaks_tls(const Tlsplane__Upstream *upstream);
/* The types of SSL objects (client, server): of one that is referred to, and for those that refer to one. */
int rules_check_ssl_ref(struct request_job *job, size_t index, const struct resource_ref *ref, const struct store_row *ssl,
                        struct error *err) MUST_USE;
int rules_check_ssl_users(struct request_job *job, size_t index, struct store_reader *reader, struct error *err) MUST_USE;

/* rules_lax.c: warns where what one side demands of clients is lost by the other side's options. */
int rules_warn_lax(struct request_job *job, size_t index, struct store_reader *reader, struct error *err) MUST_USE;

/* precondition.c: RFC 9110 section 13. */
bool etag_list_has(const char *list, const char *etag);
