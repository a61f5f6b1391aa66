/* SPDX-License-Identifier: Apache-2.0 */
/* Objects in files: where they may stand, what they are called, PEM beside them; and what is wrong with each mistake. */
#include "ctl/folder.h"

#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];
static struct folder folder;
static struct error err;

/* Below root; makes the folders on the way. */
static void write_file(const char *name, const char *content)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = 0;
		mkdir(path, 0700);
		*at = '/';
	}
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(content, file);
	fclose(file);
}

static void begin(void)
{
	strcpy(root, "/tmp/ctl-folder-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	folder_deinit(&folder);
}

/* Loads root/name ("": root itself), then removes everything. */
static int load(const char *name)
{
	char path[PATH_MAX], command[128];
	int r;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	err = ERROR_NULL;
	r = folder_load(&folder, path, &err);
	if (r == 0)
		r = folder_finish(&folder, &err);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	ck_assert_int_eq(system(command), 0);
	return r;
}

static const char *text_of(const struct wanted *wanted, const char *member)
{
	return json_string_value(json_object_get(wanted->document, member));
}

START_TEST(names_from_places)
{
	const struct wanted *found;

	begin();
	write_file("ssls/shop.json", "{\"sni\": \"a\"}");
	write_file("deep/er/ssls/other.json", "{\"id\": \"named\", \"sni\": \"b\"}");
	write_file("all.json", "[{\"kind\": \"upstreams\", \"id\": \"web\", \"nodes\": {}}, {\"kind\": \"listeners\", \"id\": \"https\"}]");
	write_file("ssls/.hidden.json", "broken");
	write_file(".git/x.json", "broken");
	write_file("readme.txt", "broken");
	ck_assert_int_eq(load(""), 0);
	ck_assert_uint_eq(folder.len, 4);
	found = folder_find(&folder, KIND_SSL, "shop");
	ck_assert_ptr_nonnull(found);
	ck_assert_str_eq(text_of(found, "sni"), "a");
	ck_assert_ptr_nonnull(strstr(found->file, "ssls/shop.json"));
	found = folder_find(&folder, KIND_SSL, "named");
	ck_assert_ptr_nonnull(found);
	ck_assert_ptr_null(json_object_get(found->document, "id"));
	ck_assert_ptr_nonnull(folder_find(&folder, KIND_UPSTREAM, "web"));
	ck_assert_ptr_nonnull(folder_find(&folder, KIND_LISTENER, "https"));
	ck_assert_ptr_null(folder_find(&folder, KIND_ROUTE, "https"));
	for (size_t i = 1; i < folder.len; i++)
		ck_assert_int_le((int)folder.items[i - 1].kind, (int)folder.items[i].kind);
	folder_deinit(&folder);
}
END_TEST

START_TEST(one_file)
{
	begin();
	write_file("site.data", "{\"kind\": \"ssls\", \"id\": \"x\"}");
	ck_assert_int_eq(load("site.data"), 0);
	ck_assert_uint_eq(folder.len, 1);
	folder_deinit(&folder);
}
END_TEST

START_TEST(nothing_in_it)
{
	begin();
	ck_assert_int_eq(load(""), 0);
	ck_assert_uint_eq(folder.len, 0);
	ck_assert_ptr_null(folder_find(&folder, KIND_SSL, "x"));
}
END_TEST

START_TEST(pem_files)
{
	const struct wanted *found;
	json_t *list;

	begin();
	write_file("ssls/x.json", "{\"cert_file\": \"x.crt\", \"key_file\": \"../keys/x.key\","
	                          "\"certs_file\": [\"x.crt\"], \"keys_file\": [null],"
	                          "\"client\": {\"ca_file\": \"x.crt\"}}");
	write_file("ssls/x.crt", "CERT\n");
	write_file("keys/x.key", "KEY\n");
	ck_assert_int_eq(load(""), 0);
	found = folder_find(&folder, KIND_SSL, "x");
	ck_assert_str_eq(text_of(found, "cert"), "CERT\n");
	ck_assert_str_eq(text_of(found, "key"), "KEY\n");
	list = json_object_get(found->document, "certs");
	ck_assert_str_eq(json_string_value(json_array_get(list, 0)), "CERT\n");
	ck_assert(json_is_null(json_array_get(json_object_get(found->document, "keys"), 0)));
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(found->document, "client"), "ca")), "CERT\n");
	ck_assert_ptr_null(json_object_get(found->document, "cert_file"));
	folder_deinit(&folder);
}
END_TEST

START_TEST(mistakes)
{
	static const struct {
		const char *name, *content, *says;
	} cases[] = {
	    {"ssls/x.json", "{", "ssls/x.json"},
	    {"ssls/x.json", "5", "ssls/x.json"},
	    {"ssls/x.json", "[5]", "an object"},
	    {"ssls/x.json", "[{}]", "without \"id\""},
	    {"ssls/x.json", "{\"a\": 1, \"a\": 2}", "twice"},
	    {"ssls/x.json", "{\"id\": \"-x\"}", "an id is"},
	    {"ssls/x.json", "{\"id\": 5}", "an id is"},
	    {"ssls/b c.json", "{}", "an id is"},
	    {"ssls/x.json", "{\"kind\": \"agents\"}", "\"kind\" is none of"},
	    {"ssls/x.json", "{\"kind\": 5}", "\"kind\" is none of"},
	    {"other/x.json", "{}", "no \"kind\""},
	    {"x.json", "{}", "no \"kind\""},
	    {"ssls/x.json", "{\"cert_file\": \"missing.crt\"}", "ssls/missing.crt: No such file"},
	    {"ssls/x.json", "{\"cert_file\": \"\"}", "ssls/x.json: "},
	    {"ssls/x.json", "{\"cert_file\": 5}", "the name of a file"},
	    {"ssls/x.json", "{\"keys_file\": [5]}", "the name of a file"},
	    {"ssls/x.json", "{\"cert\": \"x\", \"cert_file\": \"x.json\"}", "both cert and cert_file"},
	    {"ssls/x.json", "[{\"id\": \"a\"}, {\"id\": \"a\"}]", "ssls/a stands in"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		begin();
		write_file(cases[i].name, cases[i].content);
		ck_assert_msg(load("") == E_SYNTAX, "%s", cases[i].content);
		ck_assert_msg(strstr(err.text, cases[i].says) != NULL, "%s: %s", cases[i].content, err.text);
		folder_deinit(&folder);
	}
	begin();
	ck_assert_int_eq(load("nowhere"), E_SYNTAX);
}
END_TEST

START_TEST(a_key_file_that_is_no_text_is_not_quoted)
{
	begin();
	write_file("ssls/x.json", "{\"key_file\": \"x.key\"}");
	write_file("ssls/x.key", "S3CRET\xff");
	ck_assert_int_eq(load(""), E_SYNTAX);
	ck_assert_ptr_nonnull(strstr(err.text, "x.key is no text"));
	ck_assert_ptr_null(strstr(err.text, "S3CRET"));
	folder_deinit(&folder);
}
END_TEST

START_TEST(depth)
{
	begin();
	write_file("1/2/3/4/5/6/7/ssls/x.json", "{}");
	ck_assert_int_eq(load(""), 0);
	folder_deinit(&folder);
	begin();
	write_file("1/2/3/4/5/6/7/8/ssls/x.json", "{}");
	ck_assert_int_eq(load(""), E_SYNTAX);
	folder_deinit(&folder);
}
END_TEST

UNIT_MAIN("ctl/folder", names_from_places, one_file, nothing_in_it, pem_files, mistakes, a_key_file_that_is_no_text_is_not_quoted, depth)
