/* SPDX-License-Identifier: Apache-2.0 */
/* A check lives until its last probe has come back, also when it is forgotten: probes point to it. */
#include "sync/checks.h"

#include "base/log.h"
#include "base/macros.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct question {
	struct check *check;
	char listener[ID_MAX + 1];
	char sni[256]; /* "": none */
	enum proxy_probe_key key;
	struct proxy_probed result;
};

struct check {
	struct checks *checks;
	struct check *next;
	uint64_t id;
	bool is_forgotten;
	size_t tried, answered, len;
	struct question questions[];
};

static void set_reason(struct question *question, const char *reason)
{
	question->result = (struct proxy_probed){.has_leaf = false};
	snprintf(question->result.reason, sizeof(question->result.reason), "%s", reason);
}

static void read_question(const Tlsplane__ServeQuestion *from, struct question *to)
{
	static const enum proxy_probe_key keys[] = {
	    [TLSPLANE__SERVE_KEY__SERVE_RSA] = PROXY_PROBE_RSA,
	    [TLSPLANE__SERVE_KEY__SERVE_ECDSA] = PROXY_PROBE_ECDSA,
	    [TLSPLANE__SERVE_KEY__SERVE_ED25519] = PROXY_PROBE_ED25519,
	};

	snprintf(to->listener, sizeof(to->listener), "%s", from->listener);
	snprintf(to->sni, sizeof(to->sni), "%s", from->sni != NULL ? from->sni : "");
	to->key = keys[from->key];
}

/* NULL without memory: nobody is answered, and who asked waits until its time is over. */
static struct check *check_new(struct checks *checks, const Tlsplane__ServeCheck *message)
{
	size_t len = message->n_questions < CHECKS_QUESTIONS_MAX ? message->n_questions : CHECKS_QUESTIONS_MAX;
	struct check *check = calloc(1, sizeof(*check) + len * sizeof(check->questions[0]));

	if (check == NULL)
		return NULL;
	check->checks = checks;
	check->id = message->id;
	check->len = len;
	for (size_t i = 0; i < len; i++) {
		check->questions[i].check = check;
		read_question(message->questions[i], &check->questions[i]);
	}
	return check;
}

/* The answers ----------------------------------------------------------------------------------------------------- */

static void fill_answer(const struct question *question, Tlsplane__ServeAnswer *answer)
{
	const struct proxy_probed *result = &question->result;

	tlsplane__serve_answer__init(answer);
	answer->has_leaf_sha256 = result->has_leaf;
	if (result->has_leaf)
		answer->leaf_sha256 = (ProtobufCBinaryData){sizeof(result->sha256), (uint8_t *)(uintptr_t)result->sha256};
	else
		answer->reason = (char *)(uintptr_t)result->reason;
}

static void send_answers(const struct check *check)
{
	const struct checks_ports *ports = &check->checks->ports;
	Tlsplane__Served message = TLSPLANE__SERVED__INIT;
	Tlsplane__ServeAnswer answers[CHECKS_QUESTIONS_MAX], *list[CHECKS_QUESTIONS_MAX];
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < check->len; i++) {
		fill_answer(&check->questions[i], &answers[i]);
		list[i] = &answers[i];
	}
	message.id = check->id;
	message.n_answers = check->len;
	message.answers = list;
	if (ports->send(TLSPLANE__MESSAGE_TYPE__MESSAGE_SERVED, &message.base, ports->owner, &err) < 0)
		log_event(LOG_DEBUG, "serve check not answered", LOG_ERR(&err));
}

static void unlink_first(struct checks *checks)
{
	checks->first = checks->first->next;
	if (checks->first == NULL)
		checks->last = NULL;
	checks->waiting--;
}

/* The probes ------------------------------------------------------------------------------------------------------ */

static void go_on(struct checks *checks);

/* Asked in order, one message after another; so the first is the first that can be whole. */
static void finish(struct checks *checks)
{
	struct check *check;

	while ((check = checks->first) != NULL && check->answered == check->len) {
		unlink_first(checks);
		send_answers(check);
		free(check);
	}
}

static void on_probed(const struct proxy_probed *result, void *context)
{
	struct question *question = context;
	struct check *check = question->check;
	struct checks *checks = check->checks;

	checks->under_way--;
	check->answered++;
	question->result = *result;
	if (check->is_forgotten && check->answered == check->tried)
		free(check);
	go_on(checks);
}

static void try_next(struct checks *checks, struct check *check)
{
	const struct checks_ports *ports = &checks->ports;
	struct question *question = &check->questions[check->tried++];
	struct error err = ERROR_NULL;

	if (ports->probe(question->listener, question->sni, question->key, on_probed, question, ports->owner, &err) == 0) {
		checks->under_way++;
		return;
	}
	set_reason(question, err.text);
	check->answered++;
}

static void go_on(struct checks *checks)
{
	for (struct check *check = checks->first; check != NULL; check = check->next) {
		while (check->tried < check->len && checks->under_way < PROXY_PROBES_MAX)
			try_next(checks, check);
	}
	finish(checks);
}

void checks_on_message(struct checks *checks, const Tlsplane__ServeCheck *message)
{
	struct check *check = check_new(checks, message);

	if (check == NULL)
		return;
	if (checks->waiting == CHECKS_WAITING_MAX) {
		for (size_t i = 0; i < check->len; i++)
			set_reason(&check->questions[i], "too many checks at once");
		send_answers(check);
		free(check);
		return;
	}
	if (checks->last != NULL)
		checks->last->next = check;
	else
		checks->first = check;
	checks->last = check;
	checks->waiting++;
	go_on(checks);
}

void checks_forget(struct checks *checks)
{
	struct check *check;

	while ((check = checks->first) != NULL) {
		unlink_first(checks);
		check->is_forgotten = true;
		if (check->answered == check->tried)
			free(check);
	}
}
