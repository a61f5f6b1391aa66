/* SPDX-License-Identifier: Apache-2.0 */
/* Only members that hold PEM have such a form: a document can't bring another file of the machine into another field. */
#include "ctl/pem_files.h"

#include "base/buf.h"
#include "base/file.h"

#include <stdio.h>
#include <string.h>

static const char *const members[] = {"cert", "key", "certs", "keys", "ca", "crls"};

/* The file's text as a JSON string, in *ret. */
static int load_text(const char *path, const char *name, json_t **ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf file = BUF_NULL;
	CLEANUP(buf_deinit) struct buf text = {.sensitive = true};
	const char *slash = strrchr(path, '/');
	int r;

	if (name[0] != '/' && slash != NULL)
		buf_put(&file, path, (size_t)(slash - path) + 1);
	buf_put_str(&file, name);
	if (buf_cstr(&file) == NULL)
		return error_nomem(err);
	r = file_load((const char *)file.data, PEM_FILE_MAX, &text, err);
	if (r < 0)
		return error_prefix(err, r == E_NOMEM ? r : E_SYNTAX, "%.300s", path);
	*ret = json_stringn((const char *)text.data, text.len);
	if (*ret == NULL)
		return error_set(err, E_SYNTAX, "%s: %s is no text", path, name);
	return 0;
}

static int load_one(const char *path, const char *member, const json_t *name, json_t **ret, struct error *err)
{
	if (!json_is_string(name))
		return error_set(err, E_SYNTAX, "%s: %s_file: the name of a file is expected", path, member);
	return load_text(path, json_string_value(name), ret, err);
}

static int load_list(const char *path, const char *member, const json_t *names, json_t **ret, struct error *err)
{
	json_t *list = json_array(), *name, *text;
	size_t index;
	int r = list != NULL ? 0 : error_nomem(err);

	json_array_foreach(names, index, name) {
		text = NULL;
		if (r == 0 && json_is_null(name))
			text = json_null();
		else if (r == 0)
			r = load_one(path, member, name, &text, err);
		if (r == 0 && json_array_append_new(list, text) < 0)
			r = error_nomem(err);
	}
	if (r == 0)
		*ret = json_incref(list);
	json_decref(list);
	return r;
}

static int load_member(const char *path, const char *member, json_t *object, struct error *err)
{
	char name[32];
	json_t *value, *text = NULL;
	int r;

	snprintf(name, sizeof(name), "%s_file", member);
	value = json_object_get(object, name);
	if (value == NULL)
		return 0;
	if (json_object_get(object, member) != NULL)
		return error_set(err, E_SYNTAX, "%s: both %s and %s", path, member, name);
	r = json_is_array(value) ? load_list(path, member, value, &text, err) : load_one(path, member, value, &text, err);
	if (r < 0)
		return r;
	(void)json_object_del(object, name);
	return json_object_set_new(object, member, text) == 0 ? 0 : error_nomem(err);
}

/* The depth is bounded: the document came through resource_load_json. */
int pem_files_load(const char *path, json_t *document, struct error *err)
{
	const char *name;
	json_t *value;
	size_t index;
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(members) && r == 0 && json_is_object(document); i++)
		r = load_member(path, members[i], document, err);
	json_object_foreach(document, name, value) {
		if (r == 0 && (json_is_object(value) || json_is_array(value)))
			r = pem_files_load(path, value, err);
	}
	json_array_foreach(document, index, value) {
		if (r == 0 && (json_is_object(value) || json_is_array(value)))
			r = pem_files_load(path, value, err);
	}
	return r;
}
