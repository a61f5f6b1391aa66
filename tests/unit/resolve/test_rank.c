/* SPDX-License-Identifier: Apache-2.0 */
/* Order among equals, and what absent fields mean. */
#include "unit.h"
#include "world.h"

START_TEST(priority_then_age)
{
	struct uid old = uid_make(0, 5, 0), young = uid_make(0, 5, 1), next_epoch = uid_make(1, 1, 0);

	ck_assert(uid_is_better(1, &old, 0, &young));
	ck_assert(!uid_is_better(0, &young, 1, &old));
	ck_assert(uid_is_better(0, &old, -1, &next_epoch));
	ck_assert(uid_is_better(0, &young, 0, &old));
	ck_assert(!uid_is_better(0, &old, 0, &young));
	ck_assert(uid_is_better(0, &next_epoch, 0, &young));
	ck_assert(!uid_is_better(0, &old, 0, &old));
	ck_assert(uid_is_better(INT32_MAX, &old, INT32_MIN, &young));
}
END_TEST

START_TEST(routes_for_listeners)
{
	char *listeners[] = {TEXT("a"), TEXT("b")};
	Tlsplane__Route some = {.n_listeners = 2, .listeners = listeners}, all = {.n_listeners = 0};
	bool names_it = false;

	ck_assert(decide_route_is_for(&some, "b", &names_it) && names_it);
	ck_assert(!decide_route_is_for(&some, "c", &names_it) && !names_it);
	ck_assert(!decide_route_is_for(&some, "", &names_it) && !names_it);
	ck_assert(decide_route_is_for(&all, "c", &names_it) && !names_it);
}
END_TEST

START_TEST(tickets_have_defaults)
{
	Tlsplane__SessionTickets given = {.has_lifetime_s = 1, .lifetime_s = 60};
	Tlsplane__TlsOptions options = {.session_tickets = NULL};
	struct decide_tickets tickets = decide_tickets_of(&options);

	ck_assert(tickets.enabled && tickets.count == 2 && tickets.lifetime_s == 43200);
	options.session_tickets = &given;
	tickets = decide_tickets_of(&options);
	ck_assert(tickets.enabled && tickets.count == 2 && tickets.lifetime_s == 60);
	given.has_count = 1;
	given.count = 8;
	ck_assert_uint_eq(decide_tickets_of(&options).count, 8);
	given.has_enabled = 1;
	given.enabled = 0;
	tickets = decide_tickets_of(&options);
	ck_assert(!tickets.enabled && tickets.count == 0);
}
END_TEST

START_TEST(timeout_has_a_default)
{
	Tlsplane__TlsOptions options = {.has_handshake_timeout_ms = 0};

	ck_assert_uint_eq(decide_handshake_timeout_ms_of(&options), 10000);
	options.has_handshake_timeout_ms = 1;
	options.handshake_timeout_ms = 250;
	ck_assert_uint_eq(decide_handshake_timeout_ms_of(&options), 250);
}
END_TEST

START_TEST(alpn_follows_the_server)
{
	static const char *const both[] = {"http/1.1", "h2"}, *const other[] = {"H2", "h"};
	char *protocols[] = {TEXT("h2"), TEXT("http/1.1")};
	Tlsplane__TlsOptions options = {.n_alpn_protocols = 2, .alpn_protocols = protocols}, none = {.n_alpn_protocols = 0};

	ck_assert_int_eq(decide_alpn(&options, both, 2), 0);
	ck_assert_int_eq(decide_alpn(&options, both, 1), 1);
	ck_assert_int_eq(decide_alpn(&options, other, 2), E_NOT_FOUND);
	ck_assert_int_eq(decide_alpn(&options, both, 0), -1);
	ck_assert_int_eq(decide_alpn(&none, both, 2), -1);
}
END_TEST

UNIT_MAIN("resolve/rank", priority_then_age, routes_for_listeners, tickets_have_defaults, timeout_has_a_default,
          alpn_follows_the_server)
