/* SPDX-License-Identifier: Apache-2.0 */
/* The reporter over a made-up snapshot: the lookups that it asks for are this file's own. */
#include "sync/reporter.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>

struct snapshot {
	const struct entry *ssl;   /* "s" */
	struct upstream *upstream; /* "u" */
	bool holds_bundle;         /* "b" */
	uint64_t due;              /* of its CRL; 0: it has none */
	bool has_builtin;          /* TLS with upstreams as it is built in */
};

static bool lacks_cas;

struct origin_profile *snapshot_builtin_origin(const struct snapshot *snapshot)
{
	static char something;

	return snapshot->has_builtin ? (struct origin_profile *)(void *)&something : NULL;
}

void snapshot_mend_origins(const struct snapshot *snapshot,
                           void (*fn)(const char *upstream_tls_id, const char *reason, void *context), void *context)
{
	if (snapshot->has_builtin)
		fn("default", lacks_cas ? "no CAs" : NULL, context);
}

const struct entry *snapshot_find(const struct snapshot *snapshot, enum kind kind, const char *id)
{
	static const struct entry other;

	if (kind == KIND_SSL)
		return snapshot->ssl;
	if (kind == KIND_UPSTREAM)
		return snapshot->upstream != NULL ? &other : NULL;
	return kind == KIND_CA_BUNDLE && snapshot->holds_bundle ? &other : NULL;
}

struct upstream *snapshot_find_upstream(const struct snapshot *snapshot, const char *id)
{
	return snapshot->upstream;
}

void snapshot_each_stale_bundle(const struct snapshot *snapshot, uint64_t now,
                                void (*fn)(const char *bundle_id, const char *reason, void *context), void *context,
                                uint64_t *ret_next)
{
	bool stale = snapshot->due != 0 && snapshot->due <= now;

	if (stale)
		fn("b", "stale", context);
	*ret_next = stale ? 0 : snapshot->due;
}

static struct scene {
	uv_loop_t loop;
	struct reporter reporter;
	const struct snapshot *current;
	uint64_t now;
	bool connected;
	unsigned sent, closed;
	char list[256]; /* "KIND/ID: REASON;" of the last report */
} scene;

static int on_send(Tlsplane__MessageType type, const ProtobufCMessage *message, void *owner, struct error *err)
{
	const Tlsplane__Report *report = (const Tlsplane__Report *)message;
	size_t len = 0;

	if (!scene.connected)
		return error_set(err, E_CLOSED, "not connected");
	scene.sent++;
	scene.list[0] = 0;
	for (size_t i = 0; i < report->n_degraded; i++)
		len += (size_t)snprintf(scene.list + len, sizeof(scene.list) - len, "%u/%s: %s;", report->degraded[i]->kind,
		                        report->degraded[i]->id, report->degraded[i]->reason);
	return 0;
}

static const struct snapshot *current(void *owner)
{
	return scene.current;
}

static uint64_t now(void *owner)
{
	return scene.now;
}

static void set_stage(void)
{
	const struct reporter_ports ports = {.sender = {on_send, NULL}, .current = current, .now = now};

	uv_loop_init(&scene.loop);
	scene.connected = true;
	scene.now = 1000;
	reporter_start(&scene.reporter, &scene.loop, (struct hash_key){1, 2}, &ports);
}

static void swap(const struct snapshot *snapshot)
{
	reporter_before_swap(&scene.reporter, scene.current, snapshot);
	scene.current = snapshot;
	reporter_after_swap(&scene.reporter);
}

static void on_closed(void *owner)
{
	scene.closed++;
}

static void leave(void)
{
	reporter_close(&scene.reporter, on_closed, NULL);
	uv_run(&scene.loop, UV_RUN_DEFAULT);
	ck_assert_uint_eq(scene.closed, 1);
	ck_assert_int_eq(uv_loop_close(&scene.loop), 0);
	reporter_deinit(&scene.reporter);
}

/* Until one more report has come. */
static void wait_report(void)
{
	for (unsigned before = scene.sent; scene.sent == before;)
		uv_run(&scene.loop, UV_RUN_ONCE);
}

START_TEST(together_and_whole)
{
	set_stage();
	reporter_set(&scene.reporter, KIND_LISTENER, "l", "taken");
	reporter_set(&scene.reporter, KIND_SSL, "s", "broken");
	ck_assert_uint_eq(scene.sent, 0);
	wait_report();
	ck_assert_uint_eq(scene.sent, 1);
	ck_assert_ptr_nonnull(strstr(scene.list, "3/l: taken;"));
	ck_assert_ptr_nonnull(strstr(scene.list, "1/s: broken;"));
	reporter_send_changes(&scene.reporter);
	ck_assert_uint_eq(scene.sent, 1);
	reporter_set(&scene.reporter, KIND_SSL, "s", NULL);
	reporter_send_changes(&scene.reporter);
	ck_assert_str_eq(scene.list, "3/l: taken;");
	leave();
}
END_TEST

/* What could not be said is said at the next connect. */
START_TEST(not_connected)
{
	set_stage();
	scene.connected = false;
	reporter_set(&scene.reporter, KIND_LISTENER, "l", "taken");
	reporter_send_changes(&scene.reporter);
	ck_assert(scene.reporter.degraded.changed);
	scene.connected = true;
	reporter_send(&scene.reporter);
	ck_assert_str_eq(scene.list, "3/l: taken;");
	ck_assert(!scene.reporter.degraded.changed);
	leave();
}
END_TEST

START_TEST(crl_by_the_clock)
{
	const struct snapshot first = {.holds_bundle = true, .due = 1001}, fresh = {.holds_bundle = true, .due = 5000},
	                      none = {0};

	set_stage();
	swap(&first);
	ck_assert_uint_eq(degraded_count(&scene.reporter.degraded), 0);
	scene.now = 1001;
	wait_report(); /* a second later, by itself */
	ck_assert_str_eq(scene.list, "5/b: stale;");
	swap(&fresh);
	reporter_send_changes(&scene.reporter);
	ck_assert_str_eq(scene.list, "");
	scene.now = 6000;
	swap(&fresh); /* another object has changed */
	reporter_send_changes(&scene.reporter);
	ck_assert_str_eq(scene.list, "5/b: stale;");
	scene.now = 1000; /* the clock was wrong */
	swap(&fresh);
	reporter_send_changes(&scene.reporter);
	ck_assert_str_eq(scene.list, "");
	scene.now = 6000;
	swap(&fresh);
	swap(&none);
	reporter_send_changes(&scene.reporter);
	ck_assert_str_eq(scene.list, "");
	leave();
}
END_TEST

/* Not forgotten over a swap although no such object is held; gone by itself when the CAs are there. */
START_TEST(cas_are_missing)
{
	const struct snapshot first = {.has_builtin = true}, second = {.has_builtin = true}, none = {0};

	set_stage();
	lacks_cas = true;
	swap(&first);
	reporter_send_changes(&scene.reporter);
	ck_assert_str_eq(scene.list, "7/default: no CAs;");
	swap(&second);
	ck_assert(!scene.reporter.degraded.changed);
	lacks_cas = false;
	wait_report(); /* seconds later */
	ck_assert_str_eq(scene.list, "");
	lacks_cas = true;
	swap(&first);
	swap(&none);
	ck_assert_uint_eq(degraded_count(&scene.reporter.degraded), 0);
	leave();
}
END_TEST

START_TEST(swaps_forget_what_is_past)
{
	static const struct entry old_ssl, new_ssl;
	const struct snapshot before = {.ssl = &old_ssl}, same = {.ssl = &old_ssl, .holds_bundle = true},
	                      after = {.ssl = &new_ssl};

	set_stage();
	swap(&before);
	reporter_set(&scene.reporter, KIND_SSL, "s", "broken");
	swap(&same);
	ck_assert_uint_eq(degraded_count(&scene.reporter.degraded), 1);
	swap(&after); /* made anew: it has not failed yet */
	ck_assert_uint_eq(degraded_count(&scene.reporter.degraded), 0);
	reporter_set(&scene.reporter, KIND_LISTENER, "l", "taken");
	swap(&before); /* holds no such listener */
	ck_assert_uint_eq(degraded_count(&scene.reporter.degraded), 0);
	leave();
}
END_TEST

static struct upstream *make_upstream(void)
{
	Tlsplane__Upstream body = TLSPLANE__UPSTREAM__INIT;
	struct upstream *upstream;

	ck_assert_int_eq(upstream_new(&scene.loop, "u", &body, NULL, &upstream, NULL), 0);
	return upstream;
}

START_TEST(replaced_upstreams_are_not_heard)
{
	struct upstream *old, *current_one;
	struct snapshot snapshot = {0};

	set_stage();
	old = make_upstream();
	current_one = make_upstream();
	reporter_set_upstream(&scene.reporter, old, "down"); /* nothing is published */
	snapshot.upstream = current_one;
	swap(&snapshot);
	reporter_set_upstream(&scene.reporter, old, "down");
	ck_assert_uint_eq(degraded_count(&scene.reporter.degraded), 0);
	reporter_set_upstream(&scene.reporter, current_one, "down");
	ck_assert_uint_eq(degraded_count(&scene.reporter.degraded), 1);
	upstream_retire(old);
	upstream_retire(current_one);
	upstream_unref(old);
	upstream_unref(current_one);
	leave();
}
END_TEST

UNIT_MAIN("sync/reporter", together_and_whole, not_connected, crl_by_the_clock, cas_are_missing, swaps_forget_what_is_past,
          replaced_upstreams_are_not_heard)
