/* SPDX-License-Identifier: Apache-2.0 */
/* One timer for all that wait, at the earliest of their ends. The calls are found in the API's list of calls: connections bound it. */
#include "api/poll.h"

#include "api/auth.h"
#include "api/handlers.h"

#include <assert.h>

static void answer(struct call *call)
{
	call->poll_until = 0;
	if (auth_check_again(call) < 0)
		call_reply_error(call);
	else
		call_reply_json(call, 200, TAKE_PTR(call->document));
}

/* The next call stays where it is: answering frees this one alone. */
static void answer_due(struct api *api, uint64_t now)
{
	struct call *next;

	for (struct call *call = api->calls; call != NULL; call = next) {
		next = call->next;
		if (call->poll_until != 0 && call->poll_until <= now)
			answer(call);
	}
}

static void on_timer(uv_timer_t *timer);

static void set_timer(struct api *api)
{
	uint64_t now = uv_now(api->config.loop), first = 0;

	for (const struct call *call = api->calls; call != NULL; call = call->next) {
		if (call->poll_until != 0 && (first == 0 || call->poll_until < first))
			first = call->poll_until;
	}
	if (first == 0)
		uv_timer_stop(&api->poll_timer);
	else
		uv_timer_start(&api->poll_timer, on_timer, first > now ? first - now : 0, 0); /* fails only when it is closing */
}

static void on_timer(uv_timer_t *timer)
{
	struct api *api = timer->data;

	answer_due(api, uv_now(api->config.loop));
	set_timer(api);
}

void poll_init(struct api *api)
{
	uv_timer_init(api->config.loop, &api->poll_timer);
	api->poll_timer.data = api;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct api *api = handle->data;

	api->poll_closed = true;
	api_end_if_closed(api);
}

void poll_close(struct api *api)
{
	answer_due(api, UINT64_MAX);
	uv_close((uv_handle_t *)&api->poll_timer, on_timer_closed);
}

static bool is_waiting(const struct call *call)
{
	return call->poll_until != 0;
}

bool poll_has_waited(const struct call *call)
{
	return call->poll_end != 0;
}

void poll_wait(struct call *call)
{
	struct api *api = call->api;

	assert(!is_waiting(call));
	if (api->closing || call->query.history.wait_seconds == 0) {
		answer(call);
		return;
	}
	if (call->poll_seen < api->announced) { /* committed since the answer was read */
		json_decref(TAKE_PTR(call->document));
		revisions_list(call);
		return;
	}
	if (call->poll_end == 0)
		call->poll_end = uv_now(api->config.loop) + call->query.history.wait_seconds * UINT64_C(1000);
	call->poll_until = call->poll_end;
	set_timer(api);
}

void api_announce(struct api *api, struct revision head)
{
	api->announced = head.number;
	if (api->certificate != NULL)
		certificate_follow(api->certificate, api->reader);
	for (struct call *call = api->calls; call != NULL; call = call->next) {
		if (!is_waiting(call))
			continue;
		call->poll_until = 0;
		json_decref(TAKE_PTR(call->document));
		revisions_list(call);
	}
}
