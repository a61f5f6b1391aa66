/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that stand in files: what `apply -f` and `diff -f` want to be so.
 *
 * Every *.json below a folder (names that begin with a dot are passed over) holds one object or an array of objects, as PUT takes
 * them, each with "kind" and "id" beside its fields. Left out, the kind is the name of the folder that the file stands in, and the
 * id of a single object the file's name without ".json": ssls/shop.json.
 *
 * PEM stands in files of its own: "cert_file": "shop.crt" means "cert" with that file's text, and so for key, ca, certs, keys and crls, at
 * any depth; an array of names (null: none) means an array of texts. Relative names begin at the file's own folder. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "model/kind.h"

#include <jansson.h>
#include <stddef.h>

#define FOLDER_OBJECTS_MAX 1000000
#define FOLDER_FILE_MAX (8u << 20)
#define FOLDER_DEPTH_MAX 8

struct wanted {
	enum kind kind;
	char id[ID_MAX + 1];
	char *file;       /* owned; where it stands, for texts */
	json_t *document; /* owned; without kind and id, PEM in its place: holds keys */
};

struct folder {
	struct wanted *items; /* owned; in order of (kind, id) once loaded */
	size_t len, cap;
};

void folder_deinit(struct folder *folder);
DEFINE_CLEANUP_VALUE(struct folder, folder_deinit);

/* Adds what path (a folder, or a file of any name) holds. E_SYNTAX names the file and what is wrong with it. */
int folder_load(struct folder *folder, const char *path, struct error *err) MUST_USE;
/* Sorts. E_SYNTAX: an object stands there twice. */
int folder_finish(struct folder *folder, struct error *err) MUST_USE;
const struct wanted *folder_find(const struct folder *folder, enum kind kind, const char *id); /* NULL: none */
