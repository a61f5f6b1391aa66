/* SPDX-License-Identifier: Apache-2.0 */
/* Fields are compared one by one; certificates, whose PEM says nothing to anybody, by the x509 block beside them. */
#include "ctl/changes.h"

#include "ctl/text.h"

#include <string.h>

#define SHORT_HASH 16 /* hex digits: enough to compare by eye */

/* Set by the control plane, or shown through another field. */
static bool is_skipped(const char *name)
{
	static const char *const names[] = {"id", "uid", "version", "create_time", "update_time", "warnings", "x509", "x509_more", "x509_crls"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static void put_value(struct buf *out, const json_t *value)
{
	size_t len = out->len;

	if (value == NULL) {
		buf_put_str(out, "(none)");
		return;
	}
	text_put_json(out, value);
	if (out->len == len)
		buf_put_str(out, "\"\"");
}

static void put_hash(struct buf *out, const json_t *block, const char *member)
{
	const char *hash = json_string_value(json_object_get(block, member));

	text_put(out, hash != NULL ? hash : "?", hash != NULL ? strnlen(hash, SHORT_HASH) : 1);
}

/* "sha256 2ec2b3e1a3d3f7f8, until 2026-12-01 10:00:00Z" */
static void put_certificate(struct buf *out, const json_t *block)
{
	if (block == NULL) {
		buf_put_str(out, "(none)");
		return;
	}
	buf_put_str(out, "sha256 ");
	put_hash(out, block, "sha256");
	buf_put_str(out, ", until ");
	text_put_time(out, json_object_get(block, "not_after"));
}

static void put_pair(struct buf *out, const char *name, const json_t *before, const json_t *after)
{
	buf_printf(out, "    %s: ", name);
	if (before != NULL) {
		put_certificate(out, before);
		buf_put_str(out, " -> ");
	}
	put_certificate(out, after);
	buf_put_str(out, "\n");
	if (after == NULL || json_equal(json_object_get(before, "spki_sha256"), json_object_get(after, "spki_sha256")))
		return;
	buf_put_str(out, "    key: spki ");
	if (before != NULL) {
		put_hash(out, before, "spki_sha256");
		buf_put_str(out, " -> ");
	}
	put_hash(out, after, "spki_sha256");
	buf_put_str(out, "\n");
}

/* The x509 block of one pair: "cert" has "x509", "certs" the list "x509_more". */
static const json_t *block_of(const json_t *document, const char *name)
{
	const json_t *block = json_object_get(document, "x509");

	return strcmp(name, "cert") == 0 && json_is_object(block) ? block : NULL;
}

static void put_field(struct buf *out, const char *name, const json_t *before, const json_t *after)
{
	const json_t *old = json_object_get(before, name), *new = json_object_get(after, name);

	if (is_skipped(name) || (old != NULL && new != NULL && json_equal(old, new)))
		return;
	if (block_of(before, name) != NULL || block_of(after, name) != NULL) {
		put_pair(out, name, block_of(before, name), block_of(after, name));
		return;
	}
	buf_put_str(out, "    ");
	text_put_cstr(out, name);
	buf_put_str(out, ": ");
	if (json_is_object(before)) {
		put_value(out, old);
		buf_put_str(out, " -> ");
	}
	put_value(out, new);
	if (json_is_object(before) && text_is_pem(json_string_value(old)) && text_is_pem(json_string_value(new)))
		buf_put_str(out, ", another");
	buf_put_str(out, "\n");
}

void changes_put(struct buf *out, const char *kind, const char *id, const json_t *before, const json_t *after)
{
	bool was = json_is_object(before), is = json_is_object(after);
	const char *name;
	json_t *value;

	buf_printf(out, "%s ", !was ? "+" : is ? "~" : "-");
	text_put_cstr(out, kind);
	buf_put_str(out, "/");
	text_put_cstr(out, id);
	buf_put_str(out, "\n");
	if (!is)
		return;
	json_object_foreach((json_t *)after, name, value)
		put_field(out, name, before, after);
	json_object_foreach((json_t *)before, name, value) {
		if (json_object_get(after, name) == NULL)
			put_field(out, name, before, after);
	}
}
