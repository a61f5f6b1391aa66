/* SPDX-License-Identifier: Apache-2.0 */
/* Which type an SSL object must be of for whom it is referred by, from both ends, and upstreams that speak TLS behind routes that pass the
 * client's through. */
#include "change/request.h"

#include "channel.pb-c.h"
#include "model/body.h"

#define NAMED_MAX 5

/* ---- types of SSL objects ---- */

static int is_of_client_type(struct bytes encoded, bool *ret, struct error *err)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int code = body_decode(&tlsplane__ssl__descriptor, encoded, &body, err);

	if (code == 0)
		*ret = ((const Tlsplane__Ssl *)body)->client_type;
	return code;
}

/* Origins are shown client certificates; everybody else serves. */
static bool wants_client_type(enum kind referrer)
{
	return referrer == KIND_UPSTREAM_TLS;
}

static const char *type_word(bool client)
{
	return client ? "client" : "server";
}

int rules_check_ssl_ref(struct request_job *job, size_t index, const struct resource_ref *ref, const struct store_row *ssl,
                        struct error *err)
{
	bool wanted = wants_client_type(job->items[index].resource->kind), client = wanted;
	int code = is_of_client_type(ssl->state.object.body, &client, err);

	if (code == 0 && client != wanted)
		refuse(job, index, E_INVALID, "reference-type", ref->pointer,
		       "ssls/%s is of type \"%s\"; an object of type \"%s\" is needed here", ref->id, type_word(client),
		       type_word(wanted));
	return code;
}

struct type_call {
	struct request_job *job;
	size_t index;
	bool client;
	size_t named;
};

static int on_user_of_ssl(const struct store_row *row, const char *pointer, void *context)
{
	struct type_call *call = context;
	const struct object_view *object = &row->state.object;

	if (wants_client_type(object->kind) == call->client)
		return 0;
	refuse(call->job, call->index, E_INVALID, "referenced", "/type",
	       "%s/%s refers to it (%s) and needs an object of type \"%s\"", kind_find(object->kind)->collection, object->id,
	       pointer, type_word(!call->client));
	return ++call->named >= NAMED_MAX;
}

int rules_check_ssl_users(struct request_job *job, size_t index, struct store_reader *reader, struct error *err)
{
	const struct resource *resource = job->items[index].resource;
	struct type_call call = {.job = job, .index = index};
	int code;

	if (!job->items[index].existed)
		return 0; /* whoever came with it is checked for itself */
	code = is_of_client_type(BYTES(resource->body, resource->body_len), &call.client, err);
	return code == 0 ? store_each_referrer(reader, KIND_SSL, resource->id, on_user_of_ssl, &call, err) : code;
}

/* ---- TLS inside TLS ---- */

bool rules_upstream_speaks_tls(const Tlsplane__Upstream *upstream)
{
	return upstream->tls || upstream->upstream_tls != NULL;
}

struct passthrough_call {
	struct request_job *job;
	size_t index;
	struct error *err;
	size_t named, looked;
};

static int on_route_to_upstream(const struct store_row *row, const char *pointer, void *context)
{
	struct passthrough_call *call = context;
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int code = body_decode(&tlsplane__route__descriptor, row->state.object.body, &body, call->err);

	if (code != 0)
		return code;
	if (row->state.enabled && ((const Tlsplane__Route *)body)->mode == TLSPLANE__ROUTE_MODE__ROUTE_PASSTHROUGH) {
		call->named++;
		warn(call->job, call->index, "passthrough-to-tls", "/scheme",
		     "routes/%s passes the client's own TLS through to it, which is not wrapped again", row->state.object.id);
	}
	return call->named >= NAMED_MAX || ++call->looked >= LOOKS_MAX;
}

int rules_check_upstream(struct request_job *job, size_t index, struct store_reader *reader, struct error *err)
{
	const struct resource *resource = job->items[index].resource;
	struct passthrough_call call = {.job = job, .index = index, .err = err};
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int code = body_decode(&tlsplane__upstream__descriptor, BYTES(resource->body, resource->body_len), &body, err);

	if (code != 0 || !resource->enabled || !rules_upstream_speaks_tls((const Tlsplane__Upstream *)body))
		return code;
	return store_each_referrer_of_kind(reader, KIND_UPSTREAM, resource->id, KIND_ROUTE, on_route_to_upstream, &call, err);
}
