/* SPDX-License-Identifier: Apache-2.0 */
/* The keyring: which keys seal the secrets at rest, how far a rotation is, and beginning one. Of a key only its number is told. */
#include "api/handlers.h"

#include "api/call.h"
#include "model/resource.h"

/* Between the end of re-sealing and the end of the rotation an old key stands there with nothing left. */
static const char *state_of(size_t keys, uint64_t left, const char *trouble)
{
	if (keys < 2)
		return "idle";
	if (trouble[0] != 0)
		return "waiting";
	return left > 0 ? "resealing" : "finishing";
}

/* A time that is not known any more is not told. */
static json_t *render_time(uint64_t seconds)
{
	return seconds > 0 ? resource_render_time((int64_t)seconds) : NULL;
}

/* NULL without memory. */
static json_t *render(const struct store_key *keys, size_t len, const char *trouble)
{
	json_t *list = json_array();
	uint64_t left = 0;

	for (size_t i = 0; list != NULL && i < len; i++) {
		const struct store_key *key = &keys[i];
		json_t *left_of = key->is_sealing ? NULL : json_integer((json_int_t)key->seals);
		json_t *item = json_pack("{s:I, s:o*, s:b, s:o*}", "id", (json_int_t)key->id, "created_at", render_time(key->made),
		                         "is_sealing", key->is_sealing, "left", left_of);

		left += key->seals;
		if (json_array_append_new(list, item) < 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return json_pack("{s:o, s:I, s:s, s:s*}", "keys", list, "left", (json_int_t)left, "state", state_of(len, left, trouble), "trouble",
	                 len > 1 && trouble[0] != 0 ? trouble : NULL);
}

static void run_get(struct call *call, struct store_reader *reader)
{
	struct store_key keys[KEYRING_KEYS_MAX];
	char trouble[CHANGE_TROUBLE_MAX];
	size_t len = 0;

	change_keyring_trouble(call->api->config.changes, trouble);
	if (store_list_keys(reader, keys, KEYRING_KEYS_MAX, &len, &call->error) == 0)
		call->document = render(keys, len, trouble);
}

static void reply(struct call *call)
{
	call_reply_json(call, call->method == API_POST ? 202 : 200, TAKE_PTR(call->document));
}

void keyring_get(struct call *call)
{
	call_run(call, run_get, reply);
}

static void on_rotated(const struct change_rotated *result, void *context)
{
	struct call *call = context;

	call->audited = result->code == 0 || result->code == E_CONFLICT;
	if (result->code == 0) {
		call_run(call, run_get, reply);
		return;
	}
	call->error = result->error;
	call->error.code = result->code;
	call_reply_error(call);
}

void keyring_rotate(struct call *call)
{
	const struct change_caller caller = {call->actor, http_request_id(call->http), http_peer(call->http)};

	if (call->replay != NULL) /* begun before: how far it is */
		call_run(call, run_get, reply);
	else if (change_rotate_keyring(call->api->config.changes, &caller, call->receipt, on_rotated, call, &call->error) != 0)
		call_reply_error(call);
}
