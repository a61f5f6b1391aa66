/* SPDX-License-Identifier: Apache-2.0 */
/* Errors and findings in words. */
#include "api/problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_internal(int code)
{
	switch (code) {
	case E_IO:
	case E_CORRUPT:
	case E_CRYPTO:
	case E_VERSION:
	case E_INTERNAL:
		return true;
	default:
		return false;
	}
}

struct problem problem_from_error(const struct error *err, const struct findings *findings)
{
	int code = err->code < 0 ? err->code : E_INTERNAL;

	return (struct problem){
	    .status = error_http_status(code),
	    .name = error_name(code),
	    .title = error_title(code),
	    .detail = is_internal(code) ? "the control plane's log says more, under this request id" : err->text,
	    .findings = findings,
	};
}

struct problem problem_from_status(int status, const char *detail)
{
	static const struct {
		int status;
		const char *name, *title;
	} rows[] = {
	    {400, "bad-request", "Bad request"},
	    {408, "timeout", "Timed out"},
	    {413, "too-large", "Too large"},
	    {414, "too-large", "Too large"},
	    {415, "unsupported-media-type", "Unsupported media type"},
	    {417, "expectation-failed", "Expectation failed"},
	    {421, "misdirected", "Misdirected request"},
	    {431, "too-large", "Too large"},
	    {501, "not-implemented", "Not implemented"},
	    {503, "unavailable", "Unavailable"},
	    {505, "not-implemented", "Not implemented"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].status == status)
			return (struct problem){.status = status, .name = rows[i].name, .title = rows[i].title, .detail = detail};
	}
	return (struct problem){.status = status, .name = "refused", .title = "Refused", .detail = detail};
}

json_t *problem_render_text(const char *text)
{
	char plain[1024];
	json_t *string = json_string(text);
	size_t i;

	if (string != NULL)
		return string;
	for (i = 0; i < sizeof(plain) - 1 && text[i] != 0; i++)
		plain[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
	plain[i] = 0;
	return json_string(plain);
}

/* Negative: the pointer leads to no item. */
static json_int_t read_index(const char *pointer)
{
	static const char *const lists[] = {"/put/", "/delete/", "/"};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		size_t len = strlen(lists[i]);

		if (strncmp(pointer, lists[i], len) == 0 && pointer[len] >= '0' && pointer[len] <= '9')
			return strtoll(pointer + len, NULL, 10);
	}
	return -1;
}

static json_t *render_finding(const struct finding *finding, bool itemized)
{
	json_t *document = json_pack("{s:s, s:o, s:o}", "code", finding->code, "pointer", problem_render_text(finding->pointer),
	                             "detail", problem_render_text(finding->detail));
	json_int_t index = itemized ? read_index(finding->pointer) : -1;

	if (index >= 0 && document != NULL && json_object_set_new(document, "index", json_integer(index)) < 0)
		json_decref(TAKE_PTR(document));
	return document;
}

json_t *problem_render_findings(const struct findings *findings, enum finding_severity severity, bool itemized)
{
	json_t *list = json_array();

	for (size_t i = 0; list != NULL && i < findings->count; i++) {
		const struct finding *finding = &findings->items[i];

		if (finding->severity != severity)
			continue;
		if (json_array_append_new(list, render_finding(finding, itemized)) < 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

static bool add_findings(json_t *document, const struct findings *findings, bool itemized)
{
	bool ok = json_object_set_new(document, "errors", problem_render_findings(findings, FINDING_ERROR, itemized)) == 0;

	if (findings->warnings > 0)
		ok = ok && json_object_set_new(document, "warnings",
		                               problem_render_findings(findings, FINDING_WARNING, itemized)) == 0;
	return ok && problem_add_omitted(document, findings) == 0;
}

int problem_add_omitted(json_t *document, const struct findings *findings)
{
	size_t seen = findings->errors + findings->warnings;

	if (seen == findings->count)
		return 0;
	return json_object_set_new(document, "omitted", json_integer((json_int_t)(seen - findings->count)));
}

/* detail may be NULL. */
static json_t *render_head(const struct problem *problem, const char *request_id)
{
	char type[96], instance[128];

	snprintf(type, sizeof(type), "urn:tlsplane:error:%s", problem->name);
	snprintf(instance, sizeof(instance), "urn:tlsplane:request:%s", request_id != NULL ? request_id : "");
	return json_pack("{s:s, s:s, s:i, s:o*, s:s*}", "type", type, "title", problem->title, "status", problem->status,
	                 "detail", problem->detail != NULL ? problem_render_text(problem->detail) : NULL, "instance",
	                 request_id != NULL ? instance : NULL);
}

json_t *problem_render(const struct problem *problem, const char *request_id)
{
	json_t *document = render_head(problem, request_id);
	bool ok = document != NULL;

	if (problem->findings != NULL && problem->findings->count > 0)
		ok = ok && add_findings(document, problem->findings, problem->itemized);
	if (problem->more != NULL)
		ok = ok && json_object_update(document, problem->more) == 0;
	if (ok)
		return document;
	json_decref(document);
	return NULL;
}
