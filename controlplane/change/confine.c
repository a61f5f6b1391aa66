/* SPDX-License-Identifier: Apache-2.0 */
/* Every refusal here is 403 and says nothing about what lies outside; but for the objects of others where only one's own are shown:
 * those do not exist (404). */
#include "change/confine.h"

#include "change/scope.h"

#include <string.h>

static void refuse_outside(struct request_job *job, size_t index)
{
	refuse(job, index, E_FORBIDDEN, "outside-scope", "", "this token is confined to SSL objects of its scope, and this is none of them");
}

bool confine_kind(struct request_job *job, size_t index)
{
	if (job->request.scope == NULL || job->request.items[index].kind == KIND_SSL)
		return true;
	refuse_outside(job, index);
	return false;
}

/* The revision that made an object stands in its uid; who made that revision made the object. */
static int is_own(const struct request_job *job, struct store_reader *reader, const struct store_row *row, bool *ret, struct error *err)
{
	struct store_revision made;
	int code = store_get_revision(reader, uid_revision(&row->state.object.uid).number, &made, err);

	if (code == 0)
		*ret = strcmp(made.actor, job->request.actor) == 0;
	return code;
}

int confine_before(struct request_job *job, size_t index, struct store_reader *reader, const struct store_row *before, bool *ret,
                   struct error *err)
{
	const struct change_item *item = &job->request.items[index];
	bool makes = item->op == CHANGE_PUT || item->op == CHANGE_CREATE;
	int code = 0;

	*ret = true;
	if (job->request.scope != NULL) {
		if (before != NULL)
			code = scope_covers_state(job->request.scope, &before->state, ret, err);
		else
			*ret = makes && item->if_match == NULL && job->request.if_match == NULL;
		if (code == 0 && !*ret)
			refuse_outside(job, index);
	} else if (job->request.own_only && before != NULL) {
		code = is_own(job, reader, before, ret, err);
		if (code == 0 && !*ret)
			refuse(job, index, E_NOT_FOUND, "not-found", "", "%s/%s does not exist", kind_find(item->kind)->collection, item->id);
	}
	return code;
}

void confine_after(struct request_job *job, size_t index, json_t *document)
{
	const struct resource *resource = job->items[index].resource;
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;

	if (job->request.scope == NULL || resource == NULL)
		return;
	scope_check(job->request.scope, resource, json_object_get(document, "sni") != NULL, &findings);
	for (size_t i = 0; i < findings.count; i++)
		refuse(job, index, E_FORBIDDEN, "outside-scope", findings.items[i].pointer, "%s", findings.items[i].detail);
	job->result.findings.failed = job->result.findings.failed || findings.failed;
}

const char *confine_detail(const struct request_job *job, const char *finding, const char *detail)
{
	static const struct {
		const char *finding, *detail;
	} masks[] = {
		{"overlap", "another object lists this name too: where an agent holds both, the higher priority wins, then the younger object"},
		{"referenced", "another object refers to it"},
		{"lax-client-auth", "what another object demands of clients is lost where this one is served"},
		{"reference-selector", "the object that is referred to is held by fewer agents than this one"},
	};

	for (size_t i = 0; job->request.scope != NULL && i < ARRAY_LEN(masks); i++) {
		if (strcmp(masks[i].finding, finding) == 0)
			return masks[i].detail;
	}
	return detail;
}
