/* SPDX-License-Identifier: Apache-2.0 */
/* Walking folders, and telling which object a document is. */
#include "ctl/folder.h"

#include "base/buf.h"
#include "base/file.h"
#include "ctl/pem_files.h"
#include "model/resource.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void folder_deinit(struct folder *folder)
{
	for (size_t i = 0; i < folder->len; i++) {
		free(folder->items[i].file);
		json_decref(folder->items[i].document);
	}
	free(folder->items);
	*folder = (struct folder){0};
}

/* Documents -------------------------------------------------------------------------------------------------------- */

/* One file's place: "DIR/ssls/shop.json". */
struct place {
	const char *path;
	char folder[256]; /* "ssls"; "": none */
	char name[256];   /* "shop" */
};

static void find_place(const char *path, struct place *place)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path, *begin = slash;
	size_t len = strlen(name);

	*place = (struct place){.path = path};
	if (len > 5 && strcmp(name + len - 5, ".json") == 0)
		len -= 5;
	snprintf(place->name, sizeof(place->name), "%.*s", (int)len, name);
	while (begin != NULL && begin > path && begin[-1] != '/')
		begin--;
	if (begin != NULL)
		snprintf(place->folder, sizeof(place->folder), "%.*s", (int)(slash - begin), begin);
}

static int find_kind(const struct place *place, json_t *document, enum kind *ret, struct error *err)
{
	json_t *value = json_object_get(document, "kind");
	const char *word = value != NULL ? json_string_value(value) : place->folder;
	const struct kind_info *info = word != NULL ? kind_find_collection(word) : NULL;

	if (info == NULL && value == NULL)
		return error_set(err, E_SYNTAX, "%s: no \"kind\", and the folder is none", place->path);
	if (info == NULL || !info->travels)
		return error_set(err, E_SYNTAX, "%s: \"kind\" is none of ssls, tls_options, ca_bundles, listeners, upstreams, routes, "
		                                "upstream_tls", place->path);
	*ret = info->kind;
	return 0;
}

static int find_id(const struct place *place, json_t *document, bool single, char id[ID_MAX + 1], struct error *err)
{
	json_t *value = json_object_get(document, "id");
	const char *text = value != NULL ? json_string_value(value) : single ? place->name : NULL;

	if (text == NULL && value == NULL)
		return error_set(err, E_SYNTAX, "%s: an object without \"id\"", place->path);
	if (text == NULL || !kind_is_id(text, strlen(text)))
		return error_set(err, E_SYNTAX, "%s: an id is 1 to 64 of [a-zA-Z0-9._-], not starting with . or -", place->path);
	snprintf(id, ID_MAX + 1, "%s", text);
	return 0;
}

static int grow(struct folder *folder, struct error *err)
{
	size_t cap = folder->cap > 0 ? folder->cap * 2 : 64;
	struct wanted *items;

	if (folder->len < folder->cap)
		return 0;
	if (folder->len >= FOLDER_OBJECTS_MAX)
		return error_set(err, E_SYNTAX, "more than %d objects", FOLDER_OBJECTS_MAX);
	items = realloc(folder->items, cap * sizeof(*items));
	if (items == NULL)
		return error_nomem(err);
	folder->items = items;
	folder->cap = cap;
	return 0;
}

static int add_object(struct folder *folder, const struct place *place, json_t *document, bool single, struct error *err)
{
	struct wanted *item;
	int r = grow(folder, err);

	if (r < 0)
		return r;
	item = &folder->items[folder->len];
	*item = (struct wanted){0};
	if (!json_is_object(document))
		return error_set(err, E_SYNTAX, "%s: an object, or an array of objects, is expected", place->path);
	r = find_kind(place, document, &item->kind, err);
	if (r == 0)
		r = find_id(place, document, single, item->id, err);
	if (r == 0)
		r = pem_files_load(place->path, document, err);
	if (r < 0)
		return r;
	(void)json_object_del(document, "kind");
	(void)json_object_del(document, "id");
	item->file = strdup(place->path);
	if (item->file == NULL)
		return error_nomem(err);
	item->document = json_incref(document);
	folder->len++;
	return 0;
}

static int load_file(struct folder *folder, const char *path, struct error *err)
{
	CLEANUP(buf_deinit) struct buf text = {.sensitive = true};
	struct place place;
	json_t *whole = NULL, *item;
	size_t index;
	int r = file_load(path, FOLDER_FILE_MAX, &text, err);

	if (r < 0)
		return r == E_NOMEM ? r : E_SYNTAX; /* the text names the file */
	find_place(path, &place);
	r = resource_load_json(BYTES(text.data, text.len), &whole, err);
	if (r < 0)
		return error_prefix(err, r, "%s", path);
	if (!json_is_array(whole))
		r = add_object(folder, &place, whole, true, err);
	json_array_foreach(whole, index, item) {
		if (r == 0)
			r = add_object(folder, &place, item, false, err);
	}
	json_decref(whole);
	return r;
}

/* Folders ---------------------------------------------------------------------------------------------------------- */

static int load_folder(struct folder *folder, const char *path, unsigned depth, struct error *err);

static bool is_json(const char *name)
{
	size_t len = strlen(name);

	return len > 5 && strcmp(name + len - 5, ".json") == 0;
}

static int load_entry(struct folder *folder, const char *path, const char *name, unsigned depth, struct error *err)
{
	CLEANUP(buf_deinit) struct buf whole = BUF_NULL;
	struct stat found;

	buf_printf(&whole, "%s/%s", path, name);
	if (buf_cstr(&whole) == NULL)
		return error_nomem(err);
	if (stat((const char *)whole.data, &found) < 0)
		return error_set(err, E_SYNTAX, "%s: %s", (const char *)whole.data, strerror(errno));
	if (S_ISDIR(found.st_mode))
		return load_folder(folder, (const char *)whole.data, depth + 1, err);
	return is_json(name) ? load_file(folder, (const char *)whole.data, err) : 0;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int load_folder(struct folder *folder, const char *path, unsigned depth, struct error *err)
{
	struct dirent **entries = NULL;
	int count, r = 0;

	if (depth > FOLDER_DEPTH_MAX)
		return error_set(err, E_SYNTAX, "%s: folders more than %d deep", path, FOLDER_DEPTH_MAX);
	count = scandir(path, &entries, is_visible, alphasort);
	if (count < 0)
		return error_set(err, E_SYNTAX, "%s: %s", path, strerror(errno));
	for (int i = 0; i < count; i++) {
		if (r == 0)
			r = load_entry(folder, path, entries[i]->d_name, depth, err);
		free(entries[i]);
	}
	free(entries);
	return r;
}

int folder_load(struct folder *folder, const char *path, struct error *err)
{
	CLEANUP(buf_deinit) struct buf plain = BUF_NULL;
	size_t len = strlen(path);
	struct stat found;

	while (len > 1 && path[len - 1] == '/')
		len--;
	buf_put(&plain, path, len);
	if (buf_cstr(&plain) == NULL)
		return error_nomem(err);
	if (stat((const char *)plain.data, &found) < 0)
		return error_set(err, E_SYNTAX, "%s: %s", path, strerror(errno));
	if (S_ISDIR(found.st_mode))
		return load_folder(folder, (const char *)plain.data, 0, err);
	return load_file(folder, (const char *)plain.data, err);
}

static int compare(const void *a, const void *b)
{
	const struct wanted *first = a, *second = b;

	return first->kind != second->kind ? (first->kind < second->kind ? -1 : 1) : strcmp(first->id, second->id);
}

int folder_finish(struct folder *folder, struct error *err)
{
	if (folder->len > 0)
		qsort(folder->items, folder->len, sizeof(*folder->items), compare);
	for (size_t i = 1; i < folder->len; i++) {
		const struct wanted *item = &folder->items[i];

		if (compare(item - 1, item) == 0)
			return error_set(err, E_SYNTAX, "%s/%s stands in %s and in %s", kind_find(item->kind)->collection, item->id,
			                 item[-1].file, item->file);
	}
	return 0;
}

const struct wanted *folder_find(const struct folder *folder, enum kind kind, const char *id)
{
	struct wanted key = {.kind = kind};

	snprintf(key.id, sizeof(key.id), "%s", id);
	return folder->len > 0 ? bsearch(&key, folder->items, folder->len, sizeof(key), compare) : NULL;
}
