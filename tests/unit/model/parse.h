/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the JSON edge share: a document in, findings and a resource out, and the way back. */
#pragma once

#include "model/resource.h"

#include "unit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct outcome {
	int code;
	struct error err;
	struct findings findings;
	struct resource *resource;
};

static inline struct resource_limits limits_now(void)
{
	return (struct resource_limits){.rsa_bits_max = 4096, .now = (uint64_t)time(NULL)};
}

static inline struct outcome parse_json(enum kind kind, const char *id, json_t *document)
{
	struct outcome outcome = {.findings = FINDINGS_NULL, .err = ERROR_NULL};
	struct resource_limits limits = limits_now();

	outcome.code = resource_parse(kind, id, document, &limits, &outcome.findings, &outcome.resource, &outcome.err);
	ck_assert((outcome.code == 0) == (outcome.resource != NULL));
	ck_assert((outcome.code == E_INVALID) == (outcome.findings.errors > 0));
	return outcome;
}

static inline json_t *load(const char *text)
{
	struct error err = ERROR_NULL;
	json_t *document = NULL;

	ck_assert_msg(resource_load_json(BYTES(text, strlen(text)), &document, &err) == 0, "%s: %s", text, err.text);
	return document;
}

static inline struct outcome parse_text(enum kind kind, const char *id, const char *text)
{
	json_t *document = load(text);
	struct outcome outcome = parse_json(kind, id, document);

	json_decref(document);
	return outcome;
}

static inline void outcome_deinit(struct outcome *outcome)
{
	findings_deinit(&outcome->findings);
	outcome->resource = resource_free(outcome->resource);
}

static inline bool has_finding(const struct findings *findings, enum finding_severity severity, const char *code,
                               const char *pointer)
{
	for (size_t i = 0; i < findings->count; i++)
		if (findings->items[i].severity == severity && strcmp(findings->items[i].code, code) == 0 &&
		    strcmp(findings->items[i].pointer, pointer) == 0)
			return true;
	return false;
}

static inline void print_findings(const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		fprintf(stderr, "  %s %s %s: %s\n", findings->items[i].severity == FINDING_ERROR ? "error" : "warning",
		        findings->items[i].code, findings->items[i].pointer, findings->items[i].detail);
}

/* Refused with this finding, and count errors in all. */
static inline void expect_errors(enum kind kind, const char *text, const char *code, const char *pointer, size_t count)
{
	struct outcome outcome = parse_text(kind, "id", text);

	if (outcome.findings.errors != count || !has_finding(&outcome.findings, FINDING_ERROR, code, pointer)) {
		print_findings(&outcome.findings);
		ck_abort_msg("%s: expected %zu errors, one of them %s at %s", text, count, code, pointer);
	}
	outcome_deinit(&outcome);
}

static inline void expect_error(enum kind kind, const char *text, const char *code, const char *pointer)
{
	expect_errors(kind, text, code, pointer, 1);
}

/* Accepted; the caller frees. */
static inline struct outcome expect_fine(enum kind kind, const char *text)
{
	struct outcome outcome = parse_text(kind, "id", text);

	if (outcome.code != 0) {
		print_findings(&outcome.findings);
		ck_abort_msg("%s: %s", text, outcome.err.text);
	}
	return outcome;
}

static inline struct resource_state state_of(const struct resource *resource)
{
	return (struct resource_state){.object = {.kind = resource->kind,
	                                          .id = resource->id,
	                                          .uid = uid_make(1, 2, 3),
	                                          .version = 42,
	                                          .selector = resource->selector,
	                                          .body = BYTES(resource->body, resource->body_len)},
	                               .labels = resource->labels,
	                               .desc = resource->desc,
	                               .enabled = resource->enabled,
	                               .create_time = 100,
	                               .update_time = 200};
}

static inline json_t *render(const struct resource *resource)
{
	struct resource_state state = state_of(resource);
	struct resource_limits limits = limits_now();
	struct error err = ERROR_NULL;
	json_t *document = resource_render(&state, &limits, &err);
	json_t *same = resource_render_parsed(&state, resource, &limits, &err);

	ck_assert_msg(document != NULL, "%s", err.text);
	ck_assert_msg(json_equal(document, same), "with the certificates that were read for it, the answer is another");
	json_decref(same);
	return document;
}

static inline json_t *render_input(const struct resource *resource)
{
	struct resource_state state = state_of(resource);
	struct error err = ERROR_NULL;
	json_t *document = resource_render_input(&state, &err);

	ck_assert_msg(document != NULL, "%s", err.text);
	return document;
}

/* Rendered, by either function, and parsed again, it is the same object. */
static inline void expect_round_trip(const struct resource *resource)
{
	json_t *documents[] = {render_input(resource), render(resource)};

	for (size_t i = 0; i < 2; i++) {
		struct outcome again = parse_json(resource->kind, resource->id, documents[i]);

		if (again.code != 0)
			print_findings(&again.findings);
		ck_assert_int_eq(again.code, 0);
		ck_assert_uint_eq(again.resource->body_len, resource->body_len);
		ck_assert_mem_eq(again.resource->body, resource->body, resource->body_len);
		ck_assert_str_eq(again.resource->selector, resource->selector);
		ck_assert_int_eq(again.resource->enabled, resource->enabled);
		ck_assert_pstr_eq(again.resource->labels, resource->labels);
		ck_assert_pstr_eq(again.resource->desc, resource->desc);
		outcome_deinit(&again);
		json_decref(documents[i]);
	}
}

/* What the field of an accepted document is answered as, in compact JSON; NULL: absent. */
static inline void expect_answer(enum kind kind, const char *text, const char *field, const char *answer)
{
	struct outcome outcome = expect_fine(kind, text);
	json_t *document = render(outcome.resource), *value = json_object_get(document, field);
	char *dumped = value == NULL ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

	ck_assert_pstr_eq(dumped, answer);
	expect_round_trip(outcome.resource);
	free(dumped);
	json_decref(document);
	outcome_deinit(&outcome);
}
