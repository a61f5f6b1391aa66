/* SPDX-License-Identifier: Apache-2.0 */
/* What clients of APISIX's admin API send: refused with a reason, or made a document that /v1's own reader judges without being surprised;
 * and what that accepts comes back as a document. */
#include "apisix/input.h"
#include "model/resource.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reason(int r, const struct error *err)
{
	if (r < 0 && (r != E_SYNTAX || err->text[0] == '\0'))
		abort();
}

static void as_ours(json_t *document, const char *id)
{
	const struct resource_limits limits = {.rsa_bits_max = 4096, .now = 1800000000};
	struct findings findings = FINDINGS_NULL;
	struct resource *resource = NULL;
	struct error err = ERROR_NULL;

	if (resource_parse(KIND_SSL, id, document, &limits, &findings, &resource, &err) != 0 && findings.errors == 0)
		abort();
	resource_free(resource);
	findings_deinit(&findings);
	input_restore(document);
}

static void as_put(json_t *document)
{
	struct error err = ERROR_NULL;
	char id[ID_MAX + 1];
	int r = input_take_id(document, "", id, &err);

	check_reason(r, &err);
	if (r == 0)
		check_reason(input_has_no_times(document, &err), &err);
	check_reason(input_check_schema(document, NULL, &err), &err);
	r = input_translate(document, NULL, &err);
	check_reason(r, &err);
	if (r == 0)
		as_ours(document, "id");
}

static void as_sub_path(json_t *value)
{
	static const char *const path[] = {"client", "ca"};
	json_t *document = json_object();
	struct error err = ERROR_NULL;

	check_reason(input_set_at(document, path, ARRAY_LEN(path), value, &err), &err);
	check_reason(input_translate(document, NULL, &err), &err);
	json_decref(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_NULL;
	json_t *document = NULL;
	int r = input_load(BYTES(data, size), &document, &err);

	check_reason(r, &err);
	if (r < 0 || document == NULL)
		return 0;
	as_sub_path(document);
	if (json_is_object(document))
		as_put(document);
	json_decref(document);
	return 0;
}
