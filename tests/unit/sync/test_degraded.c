/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/degraded.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>

struct received {
	size_t listed, more;
	char first[64];
};

static int on_send(Tlsplane__MessageType type, const ProtobufCMessage *message, void *owner, struct error *err)
{
	const Tlsplane__Report *report = (const Tlsplane__Report *)message;
	struct received *received = owner;

	ck_assert_int_eq(type, TLSPLANE__MESSAGE_TYPE__MESSAGE_REPORT);
	received->listed = report->n_degraded;
	received->more = report->has_more ? report->more : 0;
	received->first[0] = '\0';
	if (report->n_degraded > 0)
		snprintf(received->first, sizeof(received->first), "%u/%s: %s", report->degraded[0]->kind,
		         report->degraded[0]->id, report->degraded[0]->reason);
	return 0;
}

static bool is_upstream(enum kind kind, const char *id, void *context)
{
	return kind == KIND_UPSTREAM;
}

START_TEST(the_list_follows_the_world)
{
	struct degraded degraded;
	struct received received;
	const struct sender sender = {on_send, &received};

	degraded_init(&degraded, (struct hash_key){1, 2});
	degraded_set(&degraded, KIND_LISTENER, "l", NULL);
	ck_assert(!degraded.changed);
	degraded_set(&degraded, KIND_LISTENER, "l", "port is taken");
	ck_assert(degraded.changed);
	ck_assert_int_eq(degraded_report(&degraded, &sender, NULL), 0);
	ck_assert(!degraded.changed);
	ck_assert_str_eq(received.first, "3/l: port is taken");
	degraded_set(&degraded, KIND_LISTENER, "l", "port is taken");
	ck_assert(!degraded.changed);
	degraded_set(&degraded, KIND_LISTENER, "l", "no permission");
	ck_assert(degraded.changed);
	degraded_set(&degraded, KIND_UPSTREAM, "l", "does not resolve");
	degraded_set(&degraded, KIND_UPSTREAM, "m", "does not resolve");
	ck_assert_uint_eq(degraded_count(&degraded), 3);
	degraded_prune(&degraded, is_upstream, NULL);
	ck_assert_int_eq(degraded_report(&degraded, &sender, NULL), 0);
	ck_assert_uint_eq(received.listed, 1);
	ck_assert_str_eq(received.first, "3/l: no permission");
	degraded_set(&degraded, KIND_LISTENER, "l", NULL);
	ck_assert_int_eq(degraded_report(&degraded, &sender, NULL), 0);
	ck_assert_uint_eq(received.listed, 0);
	degraded_deinit(&degraded);
}
END_TEST

START_TEST(a_long_list_is_counted)
{
	struct degraded degraded;
	struct received received;
	const struct sender sender = {on_send, &received};

	degraded_init(&degraded, (struct hash_key){1, 2});
	for (unsigned i = 0; i < DEGRADED_REPORT_MAX + 5; i++) {
		char id[16];

		snprintf(id, sizeof(id), "u%u", i);
		degraded_set(&degraded, KIND_UPSTREAM, id, "does not resolve");
		if (i + 1 == DEGRADED_REPORT_MAX) {
			ck_assert_int_eq(degraded_report(&degraded, &sender, NULL), 0);
			ck_assert_uint_eq(received.listed, DEGRADED_REPORT_MAX);
			ck_assert_uint_eq(received.more, 0);
		}
	}
	ck_assert_int_eq(degraded_report(&degraded, &sender, NULL), 0);
	ck_assert_uint_eq(received.listed, DEGRADED_REPORT_MAX);
	ck_assert_uint_eq(received.more, 5);
	degraded_deinit(&degraded);
}
END_TEST

UNIT_MAIN("sync/degraded", the_list_follows_the_world, a_long_list_is_counted)
