/* SPDX-License-Identifier: Apache-2.0 */
/* A request body, from bytes to resource: the first byte chooses the kind. What is accepted must survive the way back. Behind a NUL stands
 * a merge patch for it, whose outcome is judged like any other document and stays what it is when patched again. */
#include "model/resource.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct resource *resource, const struct resource_limits *limits)
{
	struct resource_state state = {.object = {.kind = resource->kind,
	                                          .id = resource->id,
	                                          .selector = resource->selector,
	                                          .body = BYTES(resource->body, resource->body_len)},
	                               .labels = resource->labels,
	                               .desc = resource->desc,
	                               .enabled = resource->enabled};
	struct findings findings = FINDINGS_NULL;
	struct resource *again = NULL;
	struct error err = ERROR_NULL;
	json_t *document;

	if (resource->body == NULL)
		return;
	document = resource_render(&state, limits, &err);
	if (document == NULL ||
	    resource_parse(resource->kind, resource->id, document, limits, &findings, &again, &err) != 0)
		abort();
	if (again->body_len != resource->body_len || __builtin_memcmp(again->body, resource->body, again->body_len) != 0)
		abort();
	resource_free(again);
	findings_deinit(&findings);
	json_decref(document);
}

static void check_kind(enum kind kind, json_t *document)
{
	const struct resource_limits limits = {.rsa_bits_max = 4096, .now = 1800000000};
	struct findings findings = FINDINGS_NULL;
	struct resource *resource = NULL;
	struct error err = ERROR_NULL;

	if (resource_parse(kind, "id", document, &limits, &findings, &resource, &err) == 0)
		check_round_trip(resource, &limits);
	else if (findings.errors == 0)
		abort();
	resource_free(resource);
	findings_deinit(&findings);
}

static void check_patch(enum kind kind, json_t *document, struct bytes text)
{
	struct error err = ERROR_NULL;
	json_t *patch = NULL, *merged, *again;

	if (resource_load_json(text, &patch, &err) != 0)
		return;
	merged = resource_merge_patch(document, patch);
	again = merged != NULL ? resource_merge_patch(merged, patch) : NULL;
	if (again == NULL || !json_equal(merged, again))
		abort();
	check_kind(kind, merged);
	json_decref(again);
	json_decref(merged);
	json_decref(patch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size > 1 ? memchr(data + 1, 0, size - 1) : NULL;
	const uint8_t *end = nul != NULL ? nul : data + size;
	struct error err = ERROR_NULL;
	json_t *document = NULL;
	enum kind kind;

	if (size == 0 || resource_load_json(BYTES(data + 1, (size_t)(end - data) - 1), &document, &err) != 0)
		return 0;
	kind = kind_table[data[0] % kind_table_len].kind;
	if (nul != NULL)
		check_patch(kind, document, BYTES(nul + 1, (size_t)(data + size - nul) - 1));
	else
		json_decref(resource_merge_patch(document, document));
	check_kind(kind, document);
	json_decref(document);
	return 0;
}
