/* SPDX-License-Identifier: Apache-2.0 */
#include "apisix/words.h"

#include "apisix/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CERT_FAILED "failed to parse cert: PEM_read_bio_X509_AUX() failed"
#define KEY_FAILED "failed to parse key: PEM_read_bio_PrivateKey() failed"

int words_status(int status)
{
	static const struct {
		int here, there;
	} rows[] = {{409, 400}, {413, 400}, {415, 400}, {422, 400}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].here == status)
			return rows[i].there;
	}
	return status;
}

/* Findings ------------------------------------------------------------------------------------------------------------ */

/* What APISIX has a text for. Its tests compare them. */
static const struct known {
	const char *code, *pointer; /* "/certs/" = any entry of it */
	const char *text;
	bool of_pair; /* the number of the pair stands before it */
} known[] = {
	{"invalid-pem", "/cert", CERT_FAILED},
	{"invalid-key", "/key", KEY_FAILED},
	{"invalid-pem", "/certs/", CERT_FAILED, .of_pair = true},
	{"invalid-key", "/keys/", KEY_FAILED, .of_pair = true},
	{"invalid-pem", "/client/ca", "failed to validate client_cert: " CERT_FAILED},
	{"mismatched-keys", "/keys", "mismatched number of certs and keys"},
	{"key-required", "/cert", "invalid configuration: then clause did not match"},
	{"key-required", "/certs/", "mismatched number of certs and keys"},
};

static const struct known *find_known(const struct finding *finding, const char *pointer)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		size_t len = strlen(known[i].pointer);
		bool any = known[i].pointer[len - 1] == '/';

		if (strcmp(known[i].code, finding->code) == 0 && strncmp(known[i].pointer, pointer, len) == 0 && (any || pointer[len] == 0))
			return &known[i];
	}
	return NULL;
}

/* "/snis/0" -> `property "snis" validation failed: failed to validate item 1: `; the last step is left to the caller when `all` is not
 * set. */
static void put_path(const char *pointer, bool all, char text[WORDS_MAX])
{
	size_t used = strlen(text);

	while (*pointer == '/') {
		size_t len = strcspn(++pointer, "/");
		bool is_index = len > 0 && strspn(pointer, "0123456789") == len;

		if (pointer[len] == 0 && !all)
			return;
		if (used >= WORDS_MAX)
			return;
		if (is_index)
			used += (size_t)snprintf(text + used, WORDS_MAX - used, "failed to validate item %ld: ", strtol(pointer, NULL, 10) + 1);
		else
			used += (size_t)snprintf(text + used, WORDS_MAX - used, "property \"%.*s\" validation failed: ", (int)len, pointer);
		pointer += len;
	}
}

bool words_of_finding(const struct finding *finding, size_t skip, char text[WORDS_MAX])
{
	const char *pointer = finding->pointer + (strlen(finding->pointer) < skip ? strlen(finding->pointer) : skip);
	const char *last = strrchr(pointer, '/');
	const struct known *row = find_known(finding, pointer);
	bool missing = strcmp(finding->code, "missing-field") == 0 && last != NULL;
	bool unknown = strcmp(finding->code, "unknown-field") == 0 && last != NULL && strncmp(finding->detail, "unknown field", 13) == 0;
	size_t used;

	if (row != NULL && row->of_pair && last != NULL) {
		snprintf(text, WORDS_MAX, "failed to handle cert-key pair[%ld]: %s", strtol(last + 1, NULL, 10) + 1, row->text);
		return true;
	}
	if (row != NULL) {
		snprintf(text, WORDS_MAX, "%s", row->text);
		return true;
	}
	snprintf(text, WORDS_MAX, "invalid configuration: ");
	put_path(pointer, !missing && !unknown, text);
	used = strlen(text);
	if (missing)
		snprintf(text + used, WORDS_MAX - used, "property \"%s\" is required", last + 1);
	else if (unknown)
		snprintf(text + used, WORDS_MAX - used, "additional properties forbidden, found %s", last + 1);
	else
		snprintf(text + used, WORDS_MAX - used, "%s", finding->detail);
	return missing || unknown;
}

static const struct finding *first_error(const struct findings *findings)
{
	for (size_t i = 0; findings != NULL && i < findings->count; i++) {
		if (findings->items[i].severity == FINDING_ERROR)
			return &findings->items[i];
	}
	return NULL;
}

json_t *words_of_problem(const struct problem *problem)
{
	const struct finding *first = first_error(problem->findings);
	const char *detail = problem->detail != NULL ? problem->detail : problem->title;
	json_t *document, *details = NULL;
	char text[WORDS_MAX];
	bool same = true;

	snprintf(text, sizeof(text), "%s", detail);
	if (problem->status == 422 && first != NULL)
		same = words_of_finding(first, 0, text);
	if (first != NULL && (!same || problem->findings->errors > 1 || problem->status == 409))
		details = problem_render_findings(problem->findings, FINDING_ERROR, false);
	document = json_pack("{s:o, s:o*}", "error_msg", problem_render_text(text), "details", details);
	return document;
}

/* Objects ------------------------------------------------------------------------------------------------------------- */

json_t *words_value(json_t *rendered)
{
	static const char *const computed[] = {"uid", "version", "x509", "x509_more", "warnings", "wait"};

	for (size_t i = 0; i < ARRAY_LEN(computed); i++)
		(void)json_object_del(rendered, computed[i]);
	input_restore(rendered);
	return rendered;
}

/* A text, or NULL without memory. */
static json_t *render_key(json_t *rendered)
{
	return json_sprintf(WORDS_KEY "%s", json_string_value(json_object_get(rendered, "id")));
}

json_t *words_written(json_t *rendered)
{
	json_t *warnings = json_incref(json_object_get(rendered, "warnings"));
	json_t *key = render_key(rendered);

	if (json_array_size(warnings) == 0)
		json_decref(TAKE_PTR(warnings));
	return json_pack("{s:o, s:o, s:o*}", "key", key, "value", words_value(rendered), "warnings", warnings);
}

json_t *words_read(json_t *rendered, const struct object_view *object)
{
	json_t *key = render_key(rendered);

	return json_pack("{s:o, s:o, s:I, s:I}", "key", key, "value", words_value(rendered), "createdIndex",
	                 (json_int_t)uid_revision(&object->uid).number, "modifiedIndex", (json_int_t)object->version);
}
