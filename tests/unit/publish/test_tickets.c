/* SPDX-License-Identifier: Apache-2.0 */
/* Ticket keys from the store to agents that are scripts: who gets which sets, when they change, what a loss and a restart do. */
#include "plane.h"

#include "peer.h"

#include "certs.h"
#include "publish/ticket_rules.h"
#include "store/store_write.h"

#include <signal.h>
#include <sys/resource.h>

#define SITE_A "{\"site\": \"a\"}"
#define SITE_B "{\"site\": \"b\"}"

/* An SSL object under a selector. */
static void put_ssl(const char *id, const char *selector)
{
	EVP_PKEY *key = certs_make_key("P-256");
	struct certs_spec spec = {.common_name = "x", .key = key, .extensions = {"subjectAltName=DNS:a.example"}};
	X509 *cert = certs_make(&spec);
	char *cert_pem = certs_pem(cert), *key_pem = certs_key_pem(key, false);
	json_t *object = json_pack("{s:s, s:s, s:s, s:o}", "sni", "a.example", "cert", cert_pem, "key", key_pem, "selector",
	                           json_loads(selector, 0, NULL));
	char *text = json_dumps(object, 0);
	struct changed changed = change(CHANGE_PUT, KIND_SSL, id, text);

	json_decref(changed.answer);
	free(text);
	json_decref(object);
	free(cert_pem);
	free(key_pem);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static struct peer *agent_new(const char *labels)
{
	struct peer *peer = peer_new(labels);

	peer->takes_tickets = true;
	return peer;
}

static const Tlsplane__TicketSet *set_of(const struct peer *peer, const char *selector)
{
	for (size_t i = 0; peer->tickets != NULL && i < peer->tickets->n_sets; i++) {
		if (strcmp(peer->tickets->sets[i]->selector, selector) == 0)
			return peer->tickets->sets[i];
	}
	return NULL;
}

/* The newest promoted key; NULL: none. */
static const Tlsplane__TicketKey *current_of(const struct peer *peer, const char *selector)
{
	const Tlsplane__TicketSet *set = set_of(peer, selector);

	for (size_t i = set == NULL ? 0 : set->n_keys; i > 0; i--) {
		if (set->keys[i - 1]->has_encrypt_from)
			return set->keys[i - 1];
	}
	return NULL;
}

struct name {
	uint8_t bytes[STORE_TICKET_NAME_LEN];
};

static struct name current_name(const struct peer *peer, const char *selector)
{
	const Tlsplane__TicketKey *key = current_of(peer, selector);
	struct name name;

	ck_assert_ptr_nonnull(key);
	ck_assert_uint_eq(key->name.len, sizeof(name.bytes));
	memcpy(name.bytes, key->name.data, sizeof(name.bytes));
	return name;
}

static bool has_key(const struct peer *peer, const char *selector, const struct name *name)
{
	const Tlsplane__TicketSet *set = set_of(peer, selector);

	for (size_t i = 0; set != NULL && i < set->n_keys; i++) {
		if (memcmp(set->keys[i]->name.data, name->bytes, sizeof(name->bytes)) == 0)
			return true;
	}
	return false;
}

static bool is_current(const struct peer *peer, const char *selector, const struct name *name)
{
	const Tlsplane__TicketKey *key = current_of(peer, selector);

	return key != NULL && memcmp(key->name.data, name->bytes, sizeof(name->bytes)) == 0;
}

static void restart(uint32_t period)
{
	plane_stop();
	plane.ticket_period = period;
	plane_start(false, 10);
}

START_TEST(test_after_welcome)
{
	struct peer *agent = agent_new("{}"), *early = peer_new("{}");
	const Tlsplane__TicketKey *key;

	linger(600); /* the first tick has made the set */
	peer_follow(early);
	peer_follow(agent);
	UNTIL(agent->tickets != NULL);
	ck_assert_uint_eq(agent->tickets->n_sets, 1);
	ck_assert_str_eq(agent->tickets->sets[0]->selector, "");
	ck_assert_uint_eq(agent->tickets->sets[0]->n_keys, 1);
	key = current_of(agent, "");
	ck_assert_uint_eq(key->secret.len, STORE_TICKET_SECRET_LEN);
	ck_assert_uint_eq(key->encrypt_until, key->encrypt_from + 2 * 43200);
	ck_assert_uint_eq(key->decrypt_until, key->encrypt_until + 86400);
	linger(600);
	ck_assert_uint_eq(agent->ticket_messages, 1); /* nothing is said twice */
	ck_assert_uint_eq(early->ticket_messages, 0); /* an early release knows no such message */
	ck_assert(early->open);
	ck_assert_uint_eq(counters().ticket_sets, 1);
	ck_assert_uint_eq(counters().ticket_rotations, 1);
	ck_assert_uint_eq(counters().ticket_rotations_forced, 0);
	peer_free(agent);
	peer_free(early);
}
END_TEST

START_TEST(test_sets_follow_objects)
{
	struct peer *a = agent_new(SITE_A), *b = agent_new(SITE_B);
	struct name before, after;

	peer_follow(a);
	peer_follow(b);
	put_upstream("u", SITE_A, 80); /* no use for tickets */
	UNTIL(a->updates > 0 && set_of(a, "") != NULL);
	linger(600);
	ck_assert_ptr_null(set_of(a, "site=a"));
	put_ssl("s", SITE_A);
	UNTIL(current_of(a, "site=a") != NULL);
	before = current_name(a, "site=a");
	ck_assert_ptr_null(set_of(b, "site=a"));
	change(CHANGE_DELETE, KIND_SSL, "s", NULL);
	UNTIL(set_of(a, "site=a") == NULL);
	ck_assert_ptr_nonnull(set_of(a, ""));
	put_ssl("s", SITE_A);
	UNTIL(current_of(a, "site=a") != NULL);
	after = current_name(a, "site=a");
	ck_assert_mem_ne(&before, &after, sizeof(before));
	peer_free(a);
	peer_free(b);
}
END_TEST

START_TEST(test_rotation)
{
	struct peer *a = agent_new("{}"), *b = agent_new("{}");
	struct publisher_counters start;

	restart(2);
	peer_follow(a);
	peer_follow(b);
	UNTIL(current_of(a, "") != NULL && current_of(b, "") != NULL);
	start = counters();
	for (int i = 0; i < 3; i++) {
		struct name old = current_name(a, ""), next;

		UNTIL(!is_current(a, "", &old));
		next = current_name(a, "");
		ck_assert(has_key(b, "", &next)); /* before anybody makes tickets with it, everybody has it */
		ck_assert(has_key(a, "", &old));
	}
	ck_assert_uint_eq(counters().ticket_rotations_forced, start.ticket_rotations_forced);
	ck_assert_uint_ge(counters().ticket_rotations, start.ticket_rotations + 3);
	peer_free(a);
	peer_free(b);
}
END_TEST

START_TEST(test_rotation_by_time)
{
	struct peer *good = agent_new("{}"), *bad = agent_new("{}");
	struct name old;

	restart(2);
	bad->hides_tickets = true;
	peer_follow(bad);
	peer_follow(good);
	UNTIL(current_of(good, "") != NULL && current_of(bad, "") != NULL);
	linger(300);
	old = current_name(good, "");
	UNTIL(!is_current(good, "", &old));
	ck_assert_uint_ge(counters().ticket_rotations_forced, 1);
	peer_free(good);
	peer_free(bad);
}
END_TEST

START_TEST(test_restart)
{
	struct peer *agent = agent_new(SITE_A);
	struct name all, site;

	put_ssl("s", SITE_A);
	peer_follow(agent);
	UNTIL(current_of(agent, "site=a") != NULL && current_of(agent, "") != NULL);
	all = current_name(agent, "");
	site = current_name(agent, "site=a");
	for (int i = 0; i < 3; i++) {
		restart(0);
		linger(400);
		UNTIL(agent->closed);
		peer_forget_tickets(agent);
		peer_follow(agent);
		UNTIL(agent->tickets != NULL);
		ck_assert_uint_eq(set_of(agent, "")->n_keys, 1);
		ck_assert_uint_eq(set_of(agent, "site=a")->n_keys, 1);
		ck_assert(is_current(agent, "", &all));
		ck_assert(is_current(agent, "site=a", &site));
	}
	ck_assert_uint_eq(counters().ticket_rotations, 0);
	peer_free(agent);
}
END_TEST

/* Objects that went while nobody looked take their keys along. */
START_TEST(test_restart_without_objects)
{
	struct store_config config = {.dir = plane.dir, .trust_domain = "test.example"};
	struct store_ticket_key key = {.number = 7, .made = 1, .encrypt_from = 1, .encrypt_until = UINT32_MAX, .decrypt_until = UINT32_MAX};
	struct store_writer *writer = NULL;

	plane_stop();
	OK(store_open(&config, &plane.store, &test_error));
	OK(store_writer_open(plane.store, &writer, &test_error));
	OK(store_write_begin(writer, &test_error));
	OK(store_put_ticket_keys(writer, "site=gone", &key, 1, &test_error));
	OK(store_write_commit(writer, &test_error));
	store_writer_close(writer);
	store_close(plane.store);
	plane_start(false, 10);
	ck_assert_uint_eq(counters().ticket_sets, 2);
	UNTIL(counters().ticket_sets == 1);
}
END_TEST

START_TEST(test_revocation)
{
	struct peer *stays = agent_new(SITE_A), *other = agent_new(SITE_B), *goes = agent_new(SITE_A);
	struct name all, site_a, site_b;

	put_ssl("a", SITE_A);
	put_ssl("b", SITE_B);
	peer_follow(stays);
	peer_follow(other);
	peer_follow(goes);
	UNTIL(current_of(stays, "site=a") != NULL && current_of(other, "site=b") != NULL && current_of(goes, "site=a") != NULL);
	all = current_name(stays, "");
	site_a = current_name(stays, "site=a");
	site_b = current_name(other, "site=b");
	change(CHANGE_DELETE, KIND_AGENT, goes->id, NULL);
	UNTIL(goes->closed);
	UNTIL(!has_key(stays, "", &all) && !has_key(stays, "site=a", &site_a) && !has_key(other, "", &all));
	ck_assert_ptr_nonnull(current_of(stays, ""));
	ck_assert_ptr_nonnull(current_of(stays, "site=a"));
	ck_assert(is_current(other, "site=b", &site_b)); /* which it could not know */
	ck_assert(has_key(goes, "site=a", &site_a));     /* the last that it was told */
	peer_free(stays);
	peer_free(other);
	peer_free(goes);
}
END_TEST

/* The same for one that is not there to be cut off. */
START_TEST(test_revocation_of_absent)
{
	struct peer *stays = agent_new("{}"), *goes = agent_new("{}");
	struct name all;

	peer_follow(stays);
	UNTIL(current_of(stays, "") != NULL);
	all = current_name(stays, "");
	change(CHANGE_DELETE, KIND_AGENT, goes->id, NULL);
	UNTIL(!has_key(stays, "", &all) && current_of(stays, "") != NULL);
	peer_free(stays);
	peer_free(goes);
}
END_TEST

START_TEST(test_labels)
{
	struct peer *stays = agent_new(SITE_A), *moves = agent_new(SITE_A);
	struct name all, site;

	put_ssl("a", SITE_A);
	put_ssl("b", SITE_B);
	peer_follow(stays);
	peer_follow(moves);
	UNTIL(current_of(stays, "site=a") != NULL && current_of(moves, "site=a") != NULL);
	all = current_name(stays, "");
	site = current_name(stays, "site=a");
	json_decref(change(CHANGE_PATCH, KIND_AGENT, moves->id, "{\"labels\": {\"site\": \"b\"}}").answer);
	UNTIL(set_of(moves, "site=a") == NULL && set_of(moves, "site=b") != NULL);
	UNTIL(!has_key(stays, "site=a", &site) && current_of(stays, "site=a") != NULL);
	ck_assert(is_current(stays, "", &all)); /* it still has that one */
	ck_assert(is_current(moves, "", &all));
	peer_free(stays);
	peer_free(moves);
}
END_TEST

/* The mark is durable with the change itself: a stop right after it loses nothing. */
START_TEST(test_loss_before_restart)
{
	struct store_config config = {.dir = plane.dir, .trust_domain = "test.example"};
	struct peer *agent = agent_new("{}");
	struct store_writer *writer = NULL;
	struct name all;

	peer_follow(agent);
	UNTIL(current_of(agent, "") != NULL);
	all = current_name(agent, "");
	plane_stop();
	OK(store_open(&config, &plane.store, &test_error));
	OK(store_writer_open(plane.store, &writer, &test_error));
	OK(store_write_begin(writer, &test_error));
	OK(store_lose_ticket_keys(writer, "", NULL, &test_error));
	OK(store_write_commit(writer, &test_error));
	store_writer_close(writer);
	store_close(plane.store);
	plane_start(false, 10);
	UNTIL(agent->closed);
	peer_follow(agent);
	UNTIL(current_of(agent, "") != NULL && !has_key(agent, "", &all));
	peer_free(agent);
}
END_TEST

/* A selector that an update dropped is erased by the agent: what it should have is said again. */
START_TEST(test_said_again_after_drop)
{
	struct peer *agent = agent_new(SITE_A);
	unsigned messages;

	put_upstream("u", SITE_A, 80);
	peer_follow(agent);
	UNTIL(agent->updates > 0 && current_of(agent, "") != NULL);
	linger(300);
	messages = agent->ticket_messages;
	delete_upstream("u");
	UNTIL(agent->drops > 0 && agent->ticket_messages > messages);
	peer_free(agent);
}
END_TEST

/* A full disk: agents keep what they have, and hear of nothing that a restart would not find; then it goes on by itself. */
START_TEST(test_write_fails)
{
	const struct rlimit full = {1, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
	struct peer *agent = agent_new("{}");
	unsigned messages;
	struct name old;

	restart(1);
	peer_follow(agent);
	UNTIL(current_of(agent, "") != NULL);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &full), 0);
	linger(300); /* what was written before is told */
	messages = agent->ticket_messages;
	old = current_name(agent, "");
	linger(2500);
	ck_assert_uint_eq(agent->ticket_messages, messages);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	UNTIL(!is_current(agent, "", &old));
	ck_assert(has_key(agent, "", &old));
	peer_free(agent);
}
END_TEST

START_TEST(test_diverged_gets_none)
{
	struct peer *agent = agent_new("{}");

	agent->at = agent->high = (struct revision){1, 999};
	peer_follow(agent);
	UNTIL(agent->refused);
	linger(600);
	ck_assert_uint_eq(agent->ticket_messages, 0);
	peer_free(agent);
}
END_TEST

START_TEST(test_held_but_not_sent)
{
	struct peer *agent = agent_new("{}");

	agent->hides_tickets = true;
	peer_follow(agent);
	UNTIL(agent->tickets != NULL);
	peer_hold_tickets(agent, agent->tickets->serial + 1);
	UNTIL(agent->closed);
	ck_assert_int_eq(agent->refusal, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL);
	peer_free(agent);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_after_welcome,
	                              test_sets_follow_objects,
	                              test_rotation,
	                              test_rotation_by_time,
	                              test_restart,
	                              test_restart_without_objects,
	                              test_revocation,
	                              test_revocation_of_absent,
	                              test_labels,
	                              test_loss_before_restart,
	                              test_said_again_after_drop,
	                              test_write_fails,
	                              test_diverged_gets_none,
	                              test_held_but_not_sent,
	                              NULL};

	return plane_main("tickets", tests);
}
