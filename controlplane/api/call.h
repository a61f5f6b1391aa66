/* SPDX-License-Identifier: Apache-2.0 */
/* One request on its way through the API.
 *
 *   on_head: route, credential --> handler --> [pool work] --> [change engine] --> [wait for agents] --> call_reply_*
 *
 * Everything but the pool work runs on the loop. A call is answered exactly once, by a call_reply function, and is gone
 * then. */
#pragma once

#include "api/api.h"
#include "api/certificate.h"
#include "api/dialect.h"
#include "api/names.h"
#include "api/problem.h"
#include "api/query.h"
#include "api/routes.h"
#include "base/error.h"
#include "change/states.h"
#include "http/http.h"
#include "model/findings.h"

#include <jansson.h>
#include <uv.h>

#define API_IDLE_READERS 8

enum api_method { API_GET, API_HEAD, API_PUT, API_POST, API_PATCH, API_DELETE, API_OPTIONS, API_OTHER, API_METHODS_ };

struct api {
	struct api_config config;
	struct http_server *http;
	struct names names;
	struct keyring *places;                      /* owned; of this process alone: seals cursors (list.c) */
	struct certificate *certificate;             /* NULL: plain HTTP */
	struct store_reader *reader;                 /* the loop's own, for credentials */
	struct store_reader *idle[API_IDLE_READERS]; /* for pool work */
	size_t idle_len;
	struct call *calls; /* all under way */
	uint64_t calls_len;
	uint64_t answered[API_METHODS_][6]; /* by hundreds of the status */
	bool closing, http_closed, poll_closed;
	uv_timer_t poll_timer; /* the first end of a call that waits for a commit (poll.h) */
	uint64_t announced;    /* number of the newest revision that was announced; 0: none yet */
	void (*on_closed)(void *owner);
	void *owner;
};

struct call {
	struct api *api;
	struct http_request *http;
	const struct route *route;
	const struct api_dialect *dialect; /* whose path it is; NULL: our own */
	struct call *next, *previous;
	uint64_t begun; /* uv_hrtime */
	uint64_t failures; /* of memory on the loop, when it began */
	enum api_method method;
	char id[ID_MAX + 1];    /* the path's braces; "": none */
	struct identity identity; /* whose credential; zeroed: nobody's */
	char actor[ID_MAX + 1];   /* its id; "": none */
	uint32_t retry_after;     /* seconds, for the answer; 0: none */
	struct change_receipt *receipt; /* owned; the answer is to be kept; NULL: no Idempotency-Key */
	struct replay *replay;          /* owned; the answer that was given before; NULL: this request is new */
	char refusal[32];         /* name of the problem that is answered; "": none */
	bool audited;             /* a refusal has its row already */
	struct query query;

	uv_work_t work;
	struct store_reader *reader; /* while work runs */
	void (*run)(struct call *call, struct store_reader *reader);
	void (*done)(struct call *call);

	/* What the steps leave for each other. */
	struct error error; /* code 0: all well */
	struct findings findings;
	json_t *document;
	struct change_states *states; /* owned; of a dry run, to be looked at; else NULL */
	char etag[64];
	char revision[QUERY_REVISION_MAX]; /* "": none */
	char location[ROUTE_LOCATION_MAX]; /* "": none */
	char next_page[24];                /* where a list that is no JSON document goes on; "": none */
	char allow[ROUTE_ALLOW_MAX];       /* "": none */
	int status;                        /* of the answer held back while agents are waited for */
	bool itemized;                     /* findings are of items: they carry their "index" */
	struct publisher_wait *wait;
	struct revision written;  /* by this call; number 0: nothing */
	json_t *acked, *overtaken; /* owned; wait=acked: by whom, and what of it is no more (overtaken.h) */
	struct served *served; /* owned; wait=served: what is asked for then (served.h) */
	uint64_t poll_seen;  /* the newest revision when its answer was read */
	uint64_t poll_end;   /* uv_now at which a call that polls ends; 0: it has not waited yet */
	uint64_t poll_until; /* the same while it waits; else 0 */
};

/* Frees the API when it is closing and nothing is left under way. */
void api_end_if_closed(struct api *api);

/* NULL without memory. */
struct call *call_new(struct api *api, struct http_request *http);
/* Without an answer: the request was lost, or somebody else answers. */
void call_free(struct call *call);

/* Runs `run` on the uv pool with a reader of its own inside one read transaction, then `done` on the loop. run must not
 * touch what the loop owns; it leaves its result, or call->error, in the call. */
void call_run(struct call *call, void (*run)(struct call *call, struct store_reader *reader),
              void (*done)(struct call *call));

/* Headers come from the call: ETag, Tlsplane-Revision, Location, Allow. Steals document (NULL: out of memory). */
void call_reply_json(struct call *call, int status, json_t *document);
void call_reply_empty(struct call *call, int status);
/* Made of nothing but text of the program's. dialect: NULL, or whose path was asked for. */
struct http_reply call_no_memory_reply(const struct api_dialect *dialect);
void call_reply_text(struct call *call, int status, const char *content_type, struct bytes text);
void call_reply_problem(struct call *call, const struct problem *problem);
/* From call->error and call->findings. */
void call_reply_error(struct call *call);

/* A row of the audit trail for a write that is answered with `status`, unless the change layer has told of it. outcome: a name of
 * problem.h. */
void call_note_refusal(struct call *call, int status, const char *outcome);
/* The same for a request that was refused before there was a call: nobody has been asked who it is. */
void call_note_early_refusal(struct api *api, const struct http_request *request, const char *outcome);

/* Unix seconds; limits with that time in them. */
uint64_t call_now(void);
struct resource_limits call_limits(const struct call *call);
