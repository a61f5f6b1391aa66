/* SPDX-License-Identifier: Apache-2.0 */
/* Parse, render, drop what differs from state to state. */
#include "ctl/normal.h"

#include "model/resource.h"

#include <time.h>

#define RSA_BITS_MAX 8192 /* the widest that a control plane can be told to allow: it decides */

static void drop_volatile(json_t *document)
{
	static const char *const names[] = {"uid", "version", "create_time", "update_time", "warnings"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)json_object_del(document, names[i]);
}

int normal_make(enum kind kind, const char *id, json_t *document, struct findings *findings, json_t **ret, struct error *err)
{
	const struct resource_limits limits = {.rsa_bits_max = RSA_BITS_MAX, .now = (uint64_t)time(NULL)};
	CLEANUP(resource_free) struct resource *resource = NULL;
	struct resource_state state;
	json_t *rendered;
	int r = resource_parse(kind, id, document, &limits, findings, &resource, err);

	if (r < 0)
		return r;
	state = (struct resource_state){
	    .object = {.kind = kind, .id = id, .selector = resource->selector, .body = BYTES(resource->body, resource->body_len)},
	    .labels = resource->labels,
	    .desc = resource->desc,
	    .enabled = resource->enabled,
	};
	rendered = resource_render_parsed(&state, resource, &limits, err);
	if (rendered == NULL)
		return err->code;
	drop_volatile(rendered);
	*ret = rendered;
	return 0;
}

int normal_make_stored(enum kind kind, const char *id, json_t *document, const json_t *expected, json_t **ret, struct error *err)
{
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	json_t *plain = json_copy(document);
	int r;

	if (plain == NULL)
		return error_nomem(err);
	drop_volatile(plain);
	if (json_equal(plain, expected)) {
		*ret = plain;
		return 0;
	}
	r = normal_make(kind, id, document, &findings, ret, err);
	if (r == 0 || r == E_NOMEM) {
		json_decref(plain);
		return r;
	}
	*err = ERROR_NULL;
	*ret = plain;
	return 0;
}
