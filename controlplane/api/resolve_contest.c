/* SPDX-License-Identifier: Apache-2.0 */
/* The walk of the decision once more, to its end: every key that the name could have been found under, everybody who
 * stands there, and why they were passed over. */
#include "api/resolve.h"

#include <stdio.h>
#include <string.h>

#define LOSERS_MAX 50

struct contest_walk {
	const struct resolve_handshake *handshake;
	enum kind kind;
	const char *winner;
	struct view_candidate won; /* once is_past */
	bool is_past;                 /* behind the winner's key */
	struct resolve_contest contest;
	int code;
};

static const char *why_passed_over(const struct contest_walk *walk, const struct view_candidate *candidate,
                                   bool same_key)
{
	if (!candidate->is_for)
		return "not for this listener";
	if (!same_key)
		return "less specific";
	if (candidate->names_it != walk->won.names_it)
		return "for all listeners; the one chosen names this one";
	return candidate->priority != walk->won.priority ? "lower priority" : "older";
}

static bool is_listed(const json_t *losers, const char *id)
{
	size_t index;
	json_t *loser;

	json_array_foreach(losers, index, loser)
	{
		if (strcmp(json_string_value(json_object_get(loser, "id")), id) == 0)
			return true;
	}
	return false;
}

static int add_loser(struct resolve_contest *contest, const char *id, const char *why)
{
	if (is_listed(contest->losers, id))
		return 0;
	if (json_array_size(contest->losers) == LOSERS_MAX) {
		contest->more++;
		return 0;
	}
	return json_array_append_new(contest->losers, json_pack("{s:s, s:s}", "id", id, "why", why)) == 0 ? 0 : E_NOMEM;
}

static int find_winner(const struct view_candidate *candidate, void *context)
{
	struct contest_walk *walk = context;

	if (walk->winner == NULL || strcmp(candidate->id, walk->winner) != 0)
		return 0;
	walk->won = *candidate;
	return 1;
}

static int add_others(const struct view_candidate *candidate, void *context)
{
	struct contest_walk *walk = context;

	if (walk->winner != NULL && strcmp(candidate->id, walk->winner) == 0)
		return 0;
	return add_loser(&walk->contest, candidate->id, why_passed_over(walk, candidate, !walk->is_past));
}

/* Never answers: so every key is seen. */
static void *see_key(struct bytes key, void *context)
{
	struct contest_walk *walk = context;
	struct view *source = walk->handshake->source;
	const char *listener = walk->handshake->decision.listener.id;
	int won = walk->is_past ? 0 : view_each(source, walk->kind, key, listener, find_winner, walk);
	int r = won < 0 ? won : view_each(source, walk->kind, key, listener, add_others, walk);

	if (won == 1) {
		walk->is_past = true;
		snprintf(walk->contest.key, sizeof(walk->contest.key), "%.*s", (int)key.len, (const char *)key.data);
	}
	walk->code = r;
	return r < 0 ? walk : NULL;
}

int resolve_contest_hold(const struct resolve_handshake *handshake, enum kind kind, const char *winner,
                         struct resolve_contest *ret)
{
	struct contest_walk walk = {
	    .handshake = handshake, .kind = kind, .winner = winner, .contest = {.key = "", .losers = json_array()}};
	struct bytes name = BYTES(handshake->name, strlen(handshake->name));

	if (walk.contest.losers == NULL)
		return E_NOMEM;
	if (kind == KIND_ROUTE)
		name_choose_route(name, see_key, &walk);
	else
		name_choose(name, see_key, &walk);
	if (walk.code < 0) {
		json_decref(walk.contest.losers);
		return walk.code;
	}
	*ret = walk.contest;
	return 0;
}
