/* SPDX-License-Identifier: Apache-2.0 */
/* From objects in files to one request: checked here first, in one spelling, and with the conditions that bind it to what was shown. */
#include "ctl/plan.h"

#include "ctl/normal.h"
#include "pki.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define NODES "{\"nodes\": {\"127.0.0.1:80\": 1}}"
#define NODES_AND(more) "{\"nodes\": {\"127.0.0.1:80\": 1}, " more "}"
#define LISTENER "{\"bind\": \"127.0.0.1:1\", \"upstream\": \"u\"}"

static struct ctl ctl;
static struct error err;

static json_t *load(const char *text)
{
	json_t *document = json_loads(text, 0, NULL);

	ck_assert_msg(document != NULL, "%s", text);
	return document;
}

static json_t *normal(enum kind kind, json_t *document)
{
	struct findings findings = FINDINGS_NULL;
	json_t *ret = NULL;

	err = ERROR_NULL;
	ck_assert_msg(normal_make(kind, "x", document, &findings, &ret, &err) == 0, "%s",
	              findings.count > 0 ? findings.items[0].detail : err.text);
	findings_deinit(&findings);
	return ret;
}

static bool is_same(enum kind kind, const char *a, const char *b)
{
	json_t *first = load(a), *second = load(b), *one = normal(kind, first), *two = normal(kind, second);
	bool same = json_equal(one, two);

	json_decref(first);
	json_decref(second);
	json_decref(one);
	json_decref(two);
	return same;
}

START_TEST(spellings_are_no_difference)
{
	ck_assert(is_same(KIND_UPSTREAM, NODES, NODES_AND("\"status\": 1")));
	ck_assert(is_same(KIND_ROUTE, "{\"snis\": [\"A.Example\"], \"mode\": \"reject\"}",
	                  "{\"snis\": [\"a.example.\"], \"mode\": \"reject\"}"));
	ck_assert(!is_same(KIND_UPSTREAM, NODES, "{\"nodes\": {\"127.0.0.1:80\": 2}}"));
	ck_assert(!is_same(KIND_UPSTREAM, NODES, NODES_AND("\"labels\": {\"a\": \"b\"}")));
	ck_assert(!is_same(KIND_UPSTREAM, NODES, NODES_AND("\"selector\": {\"a\": \"b\"}")));
	ck_assert(!is_same(KIND_UPSTREAM, NODES, NODES_AND("\"status\": 0")));
}
END_TEST

/* With its key, without it, and as GET answers it: the same. A key is in neither. */
START_TEST(keys)
{
	struct pki_cert *cert = pki_make(&(struct pki_spec){.name = "x", .sans = "DNS:x.test"});
	json_t *full = json_pack("{s:s, s:s, s:s}", "sni", "x.test", "cert", cert->pem, "key", cert->key_pem);
	json_t *bare = json_pack("{s:s, s:s, s:i, s:{s:s}}", "sni", "x.test", "cert", cert->pem, "version", 7, "x509", "subject", "any");
	json_t *one = normal(KIND_SSL, full), *two = normal(KIND_SSL, bare), *stored = NULL;
	char *text = json_dumps(one, 0);

	ck_assert(json_equal(one, two));
	ck_assert_ptr_null(strstr(text, "PRIVATE"));
	ck_assert_ptr_nonnull(json_object_get(json_object_get(one, "x509"), "spki_sha256"));
	ck_assert_int_eq(normal_make_stored(KIND_SSL, "x", bare, NULL, &stored, &err), 0);
	ck_assert(json_equal(one, stored));
	json_decref(stored);
	json_object_set_new(bare, "from_a_newer_release", json_true());
	ck_assert_int_eq(normal_make_stored(KIND_SSL, "x", bare, NULL, &stored, &err), 0);
	ck_assert(!json_equal(one, stored));
	ck_assert_ptr_null(json_object_get(stored, "version"));
	free(text);
	json_decref(full);
	json_decref(bare);
	json_decref(one);
	json_decref(two);
	json_decref(stored);
	pki_free(cert);
}
END_TEST

static struct wanted want(enum kind kind, const char *id, const char *file, const char *document)
{
	struct wanted wanted = {.kind = kind, .file = strdup(file), .document = load(document)};

	strcpy(wanted.id, id);
	return wanted;
}

/* listeners/l and upstreams/u. */
static struct folder folder_of(const char *listener, const char *upstream)
{
	struct folder folder = {.items = calloc(2, sizeof(struct wanted)), .len = 2, .cap = 2};

	folder.items[0] = want(KIND_LISTENER, "l", "l.json", listener);
	folder.items[1] = want(KIND_UPSTREAM, "u", "u.json", upstream);
	return folder;
}

START_TEST(all_mistakes_at_once)
{
	CLEANUP(folder_deinit) struct folder folder = folder_of("{\"bnd\": 1}", "{\"nodes\": 5}");
	CLEANUP(plan_deinit) struct plan plan = {0};

	err = ERROR_NULL;
	ck_assert_int_eq(plan_check(&ctl, &folder, &plan, &err), E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "2 of 2"));
	ck_assert_ptr_nonnull(strstr(buf_cstr(&ctl.details), "listeners/l (l.json) /bnd"));
	ck_assert_ptr_nonnull(strstr(buf_cstr(&ctl.details), "upstreams/u (u.json) /nodes"));
	buf_deinit(&ctl.details);
}
END_TEST

START_TEST(request)
{
	CLEANUP(folder_deinit) struct folder folder = folder_of(LISTENER, NODES);
	CLEANUP(plan_deinit) struct plan plan = {0};
	CLEANUP(buf_deinit) struct buf changed = BUF_NULL, all = BUF_NULL, text = BUF_NULL;
	json_t *document;

	err = ERROR_NULL;
	ck_assert_int_eq(plan_check(&ctl, &folder, &plan, &err), 0);
	ck_assert_uint_eq(plan.len, 2);
	plan.steps[0].op = PLAN_UPDATE;
	plan.steps[1].op = PLAN_KEEP;
	plan.steps[0].before = json_object();
	strcpy(plan.steps[0].etag, "\"1-7\"");
	plan.counts[PLAN_UPDATE] = 1;
	plan.counts[PLAN_KEEP] = 1;
	ck_assert_int_eq(plan_encode(&plan, false, &changed, &err), 0);
	ck_assert_str_eq(buf_cstr(&changed),
	                 "{\"op\":\"put\",\"kind\":\"listeners\",\"id\":\"l\",\"value\":{\"bind\":\"127.0.0.1:1\","
	                 "\"upstream\":\"u\"},\"if_match\":\"\\\"1-7\\\"\"}\n");
	ck_assert_int_eq(plan_encode(&plan, true, &all, &err), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&all),
	                             "{\"op\":\"put\",\"kind\":\"upstreams\",\"id\":\"u\",\"value\":{\"nodes\":{\"127.0.0.1:80\":1}}}\n"));
	plan_put(&plan, &text);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&text), "~ listeners/l\n"));
	ck_assert_ptr_nonnull(strstr((const char *)text.data, "0 to create, 1 to update, 0 to delete, 1 unchanged\n"));
	document = plan_render(&plan);
	ck_assert_uint_eq(json_array_size(json_object_get(document, "items")), 1);
	json_decref(document);
}
END_TEST

START_TEST(creations_and_deletions_are_bound_too)
{
	CLEANUP(folder_deinit) struct folder folder = folder_of(LISTENER, NODES);
	CLEANUP(plan_deinit) struct plan plan = {0};
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;

	err = ERROR_NULL;
	ck_assert_int_eq(plan_check(&ctl, &folder, &plan, &err), 0);
	plan.steps[0].op = PLAN_CREATE;
	plan.steps[1].op = PLAN_DELETE;
	plan.steps[1].wanted = NULL;
	strcpy(plan.steps[1].etag, "\"1-9\"");
	ck_assert_int_eq(plan_encode(&plan, false, &out, &err), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&out), "\"if_none_match\":\"*\"}\n"));
	ck_assert_ptr_nonnull(strstr((const char *)out.data,
	                             "{\"op\":\"delete\",\"kind\":\"upstreams\",\"id\":\"u\",\"if_match\":\"\\\"1-9\\\"\"}\n"));
}
END_TEST

UNIT_MAIN("ctl/plan", spellings_are_no_difference, keys, all_mistakes_at_once, request, creations_and_deletions_are_bound_too)
