/* SPDX-License-Identifier: Apache-2.0 */
/* The client rules of an SSL object joined with those of its options: all pairs of modes, and each field by itself. */
#include "resolve/decide.h"

#include "unit.h"
#include "world.h"

static uint8_t one_der[] = {1}, two_der[] = {2}, three_der[] = {3};
static ProtobufCBinaryData own_ca = {1, one_der}, common_ca = {1, two_der},
                           bundle_ca[2] = {{1, three_der}, {1, one_der}};
static const Tlsplane__CaBundle bundle = {.n_certs = 2, .certs = bundle_ca};

/* Either may be NULL. */
static int join(const Tlsplane__ClientAuth *own, const Tlsplane__ClientAuth *common, struct decide_client *ret,
                struct error *err)
{
	struct world world = {
	    .bundles = {
	        {"held", &bundle, 0}, {"other", &bundle, 0}, {"bad", &bundle, E_CORRUPT}, {"dry", &bundle, E_NOMEM}}};
	struct decide_source source = world_source(&world);
	struct decide_ssl ssl = {.id = "site", .client = own};
	Tlsplane__TlsOptions body = {.client_auth = (Tlsplane__ClientAuth *)common};
	struct decide_options options = {"options", &body, NULL};

	return decide_join_client(&source, &ssl, &options, ret, err);
}

static struct decide_client joined(const Tlsplane__ClientAuth *own, const Tlsplane__ClientAuth *common)
{
	struct decide_client client;
	struct error err = ERROR_NULL;

	ck_assert_msg(join(own, common, &client, &err) == 0, "%s", err.text);
	return client;
}

static Tlsplane__ClientAuth with_mode(Tlsplane__ClientVerify verify)
{
	return (Tlsplane__ClientAuth){.has_verify = 1, .verify = verify};
}

/* In the order of the enum: none, request, require_any, verify_if_given, require. */
static const char *const asks = "01111", *const demands = "00101", *const verifies = "00011";

START_TEST(all_pairs_of_modes)
{
	for (int i = 0; i < 25; i++) {
		int a = i / 5, b = i % 5;
		Tlsplane__ClientAuth own = with_mode((Tlsplane__ClientVerify)a), common = with_mode((Tlsplane__ClientVerify)b);
		struct decide_client client = joined(&own, &common);

		ck_assert_msg(client.ask == (asks[a] == '1' || asks[b] == '1'), "%d %d", a, b);
		ck_assert_msg(client.demand == (demands[a] == '1' || demands[b] == '1'), "%d %d", a, b);
		ck_assert_msg(client.verify == (verifies[a] == '1' || verifies[b] == '1'), "%d %d", a, b);
		ck_assert_uint_eq(client.parts_len, (size_t)(a != 0) + (size_t)(b != 0));
		ck_assert(a == 0 || client.parts[0] == &own);
		ck_assert(b == 0 || client.parts[client.parts_len - 1] == &common);
	}
}
END_TEST

START_TEST(modes_have_defaults)
{
	Tlsplane__ClientAuth silent = {.n_ca = 1, .ca = &own_ca};
	struct decide_client client = joined(&silent, NULL);

	ck_assert(client.ask && client.demand && client.verify && client.parts_len == 1 && client.depth == 1);
	client = joined(NULL, &silent);
	ck_assert(!client.ask && client.parts_len == 0 && client.anchors_from == DECIDE_FROM_NONE &&
	          client.anchors_len == 0);
	client = joined(NULL, NULL);
	ck_assert(!client.ask && client.parts_len == 0);
}
END_TEST

START_TEST(an_unknown_mode_demands_everything)
{
	Tlsplane__ClientAuth strange = with_mode((Tlsplane__ClientVerify)99);
	struct decide_client client = joined(NULL, &strange);

	ck_assert(client.ask && client.demand && client.verify);
}
END_TEST

START_TEST(the_smaller_depth)
{
	static const struct {
		int own, common; /* -1: absent, that is 1 */
		uint32_t depth;
	} rows[] = {{3, 2, 2}, {2, 3, 2}, {-1, 3, 1}, {3, -1, 1}, {0, 5, 0}, {-1, 0, 0}, {7, 7, 7}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		Tlsplane__ClientAuth own = {.has_depth = rows[i].own >= 0, .depth = (uint32_t)rows[i].own};
		Tlsplane__ClientAuth common = with_mode(TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE);

		common.has_depth = rows[i].common >= 0;
		common.depth = (uint32_t)rows[i].common;
		ck_assert_msg(joined(&own, &common).depth == rows[i].depth, "%zu", i);
	}
}
END_TEST

START_TEST(the_objects_anchors_come_first)
{
	Tlsplane__ClientAuth own = {.n_ca = 1, .ca = &own_ca}, silent = {.has_verify = 0},
	                     by_bundle = {.ca_bundle = TEXT("held")};
	Tlsplane__ClientAuth common = with_mode(TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE), common_bundle = common;
	struct decide_client client;

	common.n_ca = 1;
	common.ca = &common_ca;
	common_bundle.ca_bundle = TEXT("other");
	client = joined(&own, &common);
	ck_assert(client.anchors == &own_ca && client.anchors_len == 1 && client.anchors_from == DECIDE_FROM_SSL);
	client = joined(&silent, &common);
	ck_assert(client.anchors == &common_ca && client.anchors_from == DECIDE_FROM_DEFAULT);
	client = joined(&by_bundle, &common);
	ck_assert(client.anchors == bundle_ca && client.anchors_len == 2 && client.anchors_from == DECIDE_FROM_SSL);
	ck_assert_str_eq(client.bundles[0].id, "held");
	ck_assert_ptr_null(client.bundles[1].id);
	client = joined(&own, &common_bundle);
	ck_assert(client.anchors == &own_ca);
	ck_assert_ptr_null(client.bundles[0].id);
	ck_assert_str_eq(client.bundles[1].id, "other"); /* for its CRLs */
	client = joined(NULL, &common_bundle);
	ck_assert(client.anchors == bundle_ca && client.anchors_from == DECIDE_FROM_DEFAULT);
	ck_assert_str_eq(client.bundles[0].id, "other");
	client = joined(&silent, NULL);
	ck_assert(client.verify && client.anchors_len == 0 && client.anchors_from == DECIDE_FROM_NONE);
}
END_TEST

START_TEST(a_part_that_asks_nothing_brings_nothing)
{
	Tlsplane__ClientAuth none = with_mode(TLSPLANE__CLIENT_VERIFY__VERIFY_NONE);
	Tlsplane__ClientAuth common = with_mode(TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE);
	struct decide_client client;

	none.n_ca = 1;
	none.ca = &own_ca;
	none.ca_bundle = TEXT("nowhere");
	none.map_identity = 1;
	none.has_depth = 1;
	common.n_ca = 1;
	common.ca = &common_ca;
	common.has_depth = 1;
	common.depth = 4;
	client = joined(&none, &common);
	ck_assert(client.anchors == &common_ca && client.depth == 4 && !client.map_identity && client.parts_len == 1);
	ck_assert(client.parts[0] == &common);
}
END_TEST

/* The flags of two parties, "-" where there is none: 1 set, 0 unset. */
START_TEST(flags_of_both)
{
	static const struct {
		char own, common;
		bool stale, names, map, keep;
	} rows[] = {
	    {'1', '1', true, true, true, true},     {'1', '0', false, false, true, false},
	    {'0', '1', false, false, true, false},  {'0', '0', false, false, false, false},
	    {'1', '-', true, true, true, true},     {'-', '1', true, true, true, true},
	    {'0', '-', false, false, false, false}, {'-', '0', false, false, false, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char given[] = {rows[i].own, rows[i].common};
		Tlsplane__ClientAuth parts[2];
		struct decide_client client;

		for (size_t j = 0; j < 2; j++) {
			parts[j] = with_mode(TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE);
			parts[j].has_allow_stale_crls = parts[j].allow_stale_crls = given[j] == '1';
			parts[j].has_send_ca_names = 1;
			parts[j].send_ca_names = given[j] == '1';
			parts[j].has_map_identity = parts[j].map_identity = given[j] == '1';
			parts[j].has_on_tighten = 1;
			parts[j].on_tighten =
			    given[j] == '1' ? TLSPLANE__ON_TIGHTEN__TIGHTEN_KEEP : TLSPLANE__ON_TIGHTEN__TIGHTEN_CLOSE;
		}
		client = joined(given[0] != '-' ? &parts[0] : NULL, given[1] != '-' ? &parts[1] : NULL);
		ck_assert_msg(client.allow_stale_crls == rows[i].stale, "stale %zu", i);
		ck_assert_msg(client.send_ca_names == rows[i].names, "names %zu", i);
		ck_assert_msg(client.map_identity == rows[i].map, "map %zu", i);
		ck_assert_msg(client.keep_on_tighten == rows[i].keep, "keep %zu", i);
	}
}
END_TEST

START_TEST(absent_flags)
{
	Tlsplane__ClientAuth own = {.n_ca = 1, .ca = &own_ca};
	struct decide_client client = joined(&own, NULL);

	ck_assert(client.send_ca_names && !client.allow_stale_crls && !client.map_identity && !client.keep_on_tighten);
}
END_TEST

START_TEST(a_bundle_that_is_not_held)
{
	static const struct {
		const char *bundle;
		int code;
	} rows[] = {{"nowhere", E_NOT_FOUND}, {"bad", E_CORRUPT}, {"dry", E_NOMEM}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		Tlsplane__ClientAuth own = {.ca_bundle = (char *)rows[i].bundle},
		                     common = with_mode(TLSPLANE__CLIENT_VERIFY__VERIFY_REQUEST);
		struct decide_client client = {.depth = 77};
		struct error err = ERROR_NULL;

		ck_assert_int_eq(join(&own, NULL, &client, &err), rows[i].code);
		ck_assert(rows[i].code == E_NOMEM || strstr(err.text, rows[i].bundle) != NULL);
		common.ca_bundle = (char *)rows[i].bundle;
		ck_assert_int_eq(join(NULL, &common, &client, &err), rows[i].code);
		ck_assert_uint_eq(client.depth, 77);
	}
}
END_TEST

UNIT_MAIN("resolve/join", all_pairs_of_modes, modes_have_defaults, an_unknown_mode_demands_everything,
          the_smaller_depth, the_objects_anchors_come_first, a_part_that_asks_nothing_brings_nothing, flags_of_both,
          absent_flags, a_bundle_that_is_not_held)
