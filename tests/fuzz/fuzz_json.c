/* SPDX-License-Identifier: Apache-2.0 */
/* A request body, from bytes to resource: the first byte chooses the kind. What is accepted must survive the way back.
 */
#include "model/resource.h"

#include <stdlib.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_NULL;
	json_t *document = NULL;

	if (size == 0 || resource_load_json(BYTES(data + 1, size - 1), &document, &err) != 0)
		return 0;
	check_kind(kind_table[data[0] % kind_table_len].kind, document);
	json_decref(resource_merge_patch(document, document));
	json_decref(document);
	return 0;
}
