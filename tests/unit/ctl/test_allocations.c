/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of tlsplanectl fails once: it is an error or the same result as ever, nothing half-made comes out, nothing leaks. */
#include "allocations.h"
#include "ctl/commands.h"
#include "ctl/folder.h"
#include "ctl/plan.h"
#include "ctl/problem_text.h"
#include "ctl/text.h"
#include "ctl/views.h"
#include "pki.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* strdup and strndup call libc's own malloc; the linker sends ours here. */
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t max);

char *__wrap_strndup(const char *text, size_t max)
{
	size_t len = strnlen(text, max);
	char *copy = malloc(len + 1);

	if (copy == NULL)
		return NULL;
	copy[len] = 0;
	return memcpy(copy, text, len);
}

char *__wrap_strdup(const char *text)
{
	return __wrap_strndup(text, strlen(text));
}

/* One try of what is tested: what it made, as text, to compare. Below 0: an error, and out is of no use. */
typedef int try_fn(struct buf *out, struct error *err);

/* ret_tries: how many allocations could fail. */
static size_t fail_each(try_fn *try, bool tells_by_code)
{
	CLEANUP(buf_deinit) struct buf expected = BUF_NULL;
	struct error err = ERROR_NULL;

	ck_assert_msg(try(&expected, &err) >= 0, "%s", err.text);
	for (size_t n = 1;; n++) {
		CLEANUP(buf_deinit) struct buf out = BUF_NULL;
		bool failed;
		int r;

		err = ERROR_NULL;
		allocations_fail_at(n);
		r = try(&out, &err);
		failed = allocations_stop();
		if (r < 0) {
			ck_assert_msg(failed, "%zu: %s", n, err.text);
			ck_assert_msg(!tells_by_code || r == E_NOMEM, "%zu: %d %s", n, r, err.text);
		} else if (!out.failed) {
			ck_assert_uint_eq(out.len, expected.len);
			ck_assert_mem_eq(out.data, expected.data, out.len);
		}
		if (!failed)
			return n - 1;
	}
}

/* A folder with a certificate, a list and a label; made once. */
static char root[] = "/tmp/ctl-allocations-XXXXXX";

static void write_file(const char *name, const char *content)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	file = fopen(path, "w");
	if (file == NULL || fputs(content, file) < 0 || fclose(file) != 0)
		abort();
}

static void setup(void)
{
	struct pki_cert *cert = pki_make(&(struct pki_spec){.name = "x", .sans = "DNS:x.test"});

	if (mkdtemp(root) == NULL)
		abort();
	write_file("x.crt", cert->pem);
	write_file("x.key", cert->key_pem);
	write_file("a.json", "{\"kind\": \"ssls\", \"id\": \"x\", \"sni\": \"x.test\", \"cert_file\": \"x.crt\", \"key_file\": \"x.key\","
	                     "\"labels\": {\"team\": \"a\"}}");
	write_file("b.json", "[{\"kind\": \"upstreams\", \"id\": \"u\", \"nodes\": {\"127.0.0.1:1\": 1}},"
	                     "{\"kind\": \"listeners\", \"id\": \"l\", \"bind\": \"127.0.0.1:1\", \"upstream\": \"u\"}]");
	pki_free(cert);
}

static void teardown(void)
{
	static const char *const names[] = {"x.crt", "x.key", "a.json", "b.json"};
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		unlink(path);
	}
	rmdir(root);
}

static int load(struct folder *folder, struct error *err)
{
	int r = folder_load(folder, root, err);

	return r == 0 ? folder_finish(folder, err) : r;
}

static int try_folder(struct buf *out, struct error *err)
{
	CLEANUP(folder_deinit) struct folder folder = {0};
	int r = load(&folder, err);

	for (size_t i = 0; i < folder.len && r == 0; i++)
		buf_printf(out, "%s %s %zu\n", folder.items[i].id, folder.items[i].file, json_object_size(folder.items[i].document));
	return r;
}

/* What would be sent, and what is shown of it. */
static int try_plan(struct buf *out, struct error *err)
{
	CLEANUP(folder_deinit) struct folder folder = {0};
	CLEANUP(plan_deinit) struct plan plan = {0};
	struct ctl ctl = {0};
	json_t *rendered;
	int r = load(&folder, err);

	if (r == 0)
		r = plan_check(&ctl, &folder, &plan, err);
	buf_deinit(&ctl.details);
	if (r < 0)
		return r;
	plan_put(&plan, out);
	rendered = plan_render(&plan);
	r = rendered != NULL ? text_put_pretty(out, rendered) : E_NOMEM;
	json_decref(rendered);
	return r == 0 ? plan_encode(&plan, true, out, err) : r;
}

static json_t *problem, *item;

static int try_texts(struct buf *out, struct error *err)
{
	problem_put(out, problem, NULL, NULL);
	text_put_lines(out, item, 0);
	return text_put_pretty(out, item);
}

static int try_table(struct buf *out, struct error *err)
{
	const struct view *view = view_find("ssls");
	CLEANUP(table_deinit) struct table table = view_begin(view);
	int r = view_put_row(view, &table, item, err);

	return r == 0 ? table_print(&table, out) : r;
}

static int try_words(struct buf *out, struct error *err)
{
	const char *words[] = {"apply", "--"};

	command_print_help(NULL, out);
	for (size_t i = 0; i < command_table_len; i++)
		command_print_help(&command_table[i], out);
	return command_complete(words, ARRAY_LEN(words), out) ? E_INTERNAL : 0;
}

static int try_settings(struct buf *out, struct error *err)
{
	const char *argv[] = {"ctl", "--url", "unix:/run/x.sock", "--token-file", "/proc/self/comm", "-l", "a=b,c=d"};
	struct ctl ctl = {0};
	json_t *labels = NULL;
	int r = args_parse(ARRAY_LEN(argv), (char *const *)(uintptr_t)argv, &ctl.args, err);

	if (r == 0)
		r = settings_load(&ctl.args, &ctl.settings, err);
	if (r == 0)
		r = ctl_take_labels(&ctl, &labels, err);
	if (r == 0) {
		buf_printf(out, "%s %s %zu ", ctl.settings.url, ctl.settings.socket, ctl.settings.header->len);
		text_put_json(out, labels);
	}
	json_decref(labels);
	settings_deinit(&ctl.settings);
	return r;
}

START_TEST(each)
{
	static const struct {
		try_fn *try;
		size_t at_least;
		bool tells_by_code; /* Jansson does not always tell why */
	} rows[] = {{try_folder, 50, false}, {try_plan, 100, false}, {try_texts, 5, true},
	            {try_table, 3, true},    {try_words, 5, true},   {try_settings, 5, false}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t count = fail_each(rows[i].try, rows[i].tells_by_code);

		ck_assert_msg(count >= rows[i].at_least, "row %zu: %zu", i, count);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {each};
	int failed;

	json_set_alloc_funcs(malloc, free);
	setup();
	problem = json_pack("{s:[{s:s, s:s, s:s, s:i}], s:[{s:s, s:s, s:[{s:s, s:s, s:s}]}]}", "errors", "code", "c", "pointer", "/x",
	                    "detail", "a longer text, so that it grows", "index", 3, "agents", "id", "a", "state", "nacked", "objects",
	                    "kind", "ssls", "id", "x", "reason", "r");
	item = json_loads("{\"id\": \"x\", \"snis\": [\"a.test\", \"b.test\"], \"x509\": {\"key_type\": \"EC P-256\", \"not_after\":"
	                  "\"2030-01-01T00:00:00Z\"}, \"labels\": {\"team\": \"a\"}, \"desc\": \"\\u001b\"}", 0, NULL);
	if (problem == NULL || item == NULL)
		abort();
	failed = unit_run("ctl/allocations", tests, 1);
	json_decref(problem);
	json_decref(item);
	teardown();
	return failed;
}
