/* SPDX-License-Identifier: Apache-2.0 */
/* Documents of others that become text, or tokens: answers that tlsplanectl shows on a terminal (nothing of them may steer it), and the
 * document of POST /v1/tokens. */
#include "api/token_input.h"
#include "ctl/problem_text.h"
#include "ctl/text.h"
#include "model/resource.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_item(struct buf *out, size_t index, void *context)
{
	if (index == 1)
		buf_put_str(out, "ssls/a (a.json)");
}

static void check_text(const struct buf *text)
{
	for (size_t i = 0; i < text->len; i++) {
		if ((text->data[i] < 0x20 && text->data[i] != '\n') || text->data[i] == 0x7f)
			abort();
	}
}

static void show(const json_t *document)
{
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;

	problem_put(&out, document, put_item, NULL);
	problem_put_warnings(&out, document, NULL, NULL);
	problem_put_names(&out, json_object_get(document, "names"));
	text_put_lines(&out, document, 0);
	text_put_json(&out, document);
	text_put_time(&out, json_object_get(document, "time"));
	if (text_put_pretty(&out, document) < 0)
		abort();
	check_text(&out);
}

static void as_token(json_t *document)
{
	struct findings findings = FINDINGS_NULL;
	struct error err = ERROR_NULL;
	CLEANUP(store_token_deinit) struct store_token token = {0};

	if (token_input_parse(document, 1800000000, &findings, &token, &err) == 0)
		json_decref(token_render(&token, 1800000000));
	else if (findings.errors == 0)
		abort();
	findings_deinit(&findings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_NULL;
	json_t *document = NULL;

	if (resource_load_json(BYTES(data, size), &document, &err) != 0)
		return 0;
	show(document);
	as_token(document);
	json_decref(document);
	return 0;
}
