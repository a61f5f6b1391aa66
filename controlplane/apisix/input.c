/* SPDX-License-Identifier: Apache-2.0 */
#include "apisix/input.h"

#include "apisix/schema.h"
#include "model/resource.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Loading -------------------------------------------------------------------------------------------------------------- */

static bool is_scalar(struct bytes body)
{
	size_t i = 0;

	while (i < body.len && strchr(" \t\r\n", body.data[i]) != NULL && body.data[i] != 0)
		i++;
	return i < body.len && body.data[i] != '{' && body.data[i] != '[';
}

/* A number, a string, a word: read as the one entry of an array. */
static int load_scalar(struct bytes body, json_t **ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf wrapped = {.sensitive = true};
	json_t *array;
	int r;

	buf_put(&wrapped, "[", 1);
	buf_put(&wrapped, body.data, body.len);
	buf_put(&wrapped, "]", 1);
	if (wrapped.failed)
		return error_nomem(err);
	r = resource_load_json(BYTES(wrapped.data, wrapped.len), &array, err);
	if (r < 0)
		return r;
	if (json_array_size(array) == 1)
		*ret = json_incref(json_array_get(array, 0));
	else
		r = error_set(err, E_SYNTAX, "the JSON text has bytes behind its end");
	json_decref(array);
	return r;
}

int input_load(struct bytes body, json_t **ret, struct error *err)
{
	json_t *document = NULL;
	int r;

	if (body.len == 0) {
		*ret = NULL;
		return 0;
	}
	r = is_scalar(body) ? load_scalar(body, &document, err) : resource_load_json(body, &document, err);
	if (r < 0)
		return r == E_SYNTAX ? error_prefix(err, r, "invalid request body") : r;
	if (json_is_null(document))
		json_decref(TAKE_PTR(document));
	*ret = document;
	return 0;
}

/* Ids and times ------------------------------------------------------------------------------------------------------- */

/* The body's id as text; "" when it has none. An integer is its digits. */
static int read_id(json_t *document, char id[ID_MAX + 1], struct error *err)
{
	json_t *value = json_object_get(document, "id");

	id[0] = 0;
	if (value == NULL)
		return 0;
	if (json_is_integer(value) && json_integer_value(value) >= 1)
		snprintf(id, ID_MAX + 1, "%lld", (long long)json_integer_value(value));
	else if (json_is_string(value) && kind_is_id(json_string_value(value), json_string_length(value)))
		snprintf(id, ID_MAX + 1, "%s", json_string_value(value));
	else
		return error_set(err, E_SYNTAX,
		                 "invalid configuration: property \"id\" validation failed: must be an integer from 1, or 1 to %d of "
		                 "[a-zA-Z0-9-_.] that begin with neither '-' nor '.'",
		                 ID_MAX);
	return 0;
}

int input_take_id(json_t *document, const char *path_id, char ret_id[ID_MAX + 1], struct error *err)
{
	char id[ID_MAX + 1];
	int r = read_id(document, id, err);

	if (r < 0)
		return r;
	if (path_id[0] == 0 && id[0] == 0)
		return error_set(err, E_SYNTAX, "missing ssl id");
	if (path_id[0] != 0 && id[0] != 0 && strcmp(path_id, id) != 0)
		return error_set(err, E_SYNTAX, "wrong ssl id");
	if (id[0] != 0 && json_object_set_new(document, "id", json_string(id)) < 0)
		return error_nomem(err);
	snprintf(ret_id, ID_MAX + 1, "%s", id[0] != 0 ? id : path_id);
	return 0;
}

int input_has_no_id(json_t *document, const char *path_id, struct error *err)
{
	if (path_id[0] != 0 || json_object_get(document, "id") != NULL)
		return error_set(err, E_SYNTAX, "wrong ssl id, do not need it");
	return 0;
}

int input_has_no_times(json_t *document, struct error *err)
{
	static const char *const names[] = {"create_time", "update_time"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (json_object_get(document, names[i]) != NULL)
			return error_set(err, E_SYNTAX, "the property is forbidden:  %s", names[i]);
	}
	return 0;
}

/* What APISIX has and we don't ----------------------------------------------------------------------------------------- */

static const struct foreign {
	const char *name, *reason;
} foreign[] = {
	{"gm", "OpenSSL 3.0 does not speak TLCP; a pair of RSA and ECDSA certificates stands in \"certs\" and \"keys\""},
	{"ocsp_stapling", "no OCSP response is stapled here"},
};

static bool is_reference(const json_t *value)
{
	const char *text = json_string_value(value);

	return text != NULL && (strncmp(text, "$secret://", 10) == 0 || strncasecmp(text, "$env://", 7) == 0);
}

static int refuse_reference(const char *where, struct error *err)
{
	return error_set(err, E_SYNTAX,
	                 "invalid configuration: %s: secret references are not resolved here: send the PEM text, it is kept sealed", where);
}

/* Before the schema, which would find a short one too short. */
static int find_references(json_t *document, struct error *err)
{
	static const char *const names[] = {"cert", "key"}, *const lists[] = {"certs", "keys"};
	char where[96];
	json_t *item;
	size_t k;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(where, sizeof(where), "property \"%s\" validation failed", names[i]);
		if (is_reference(json_object_get(document, names[i])))
			return refuse_reference(where, err);
		json_array_foreach(json_object_get(document, lists[i]), k, item)
		{
			snprintf(where, sizeof(where), "property \"%s\" validation failed: failed to validate item %zu", lists[i], k + 1);
			if (is_reference(item))
				return refuse_reference(where, err);
		}
	}
	if (is_reference(json_object_get(json_object_get(document, "client"), "ca")))
		return refuse_reference("property \"client\" validation failed: property \"ca\" validation failed", err);
	return 0;
}

static int find_foreign(json_t *document, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		if (json_object_get(document, foreign[i].name) != NULL)
			return error_set(err, E_SYNTAX, "invalid configuration: additional properties forbidden, found %s (%s)", foreign[i].name,
			                 foreign[i].reason);
	}
	return find_references(document, err);
}

/* The schema ------------------------------------------------------------------------------------------------------------ */

int input_check_schema(json_t *document, json_t *schema, struct error *err)
{
	char text[SCHEMA_TEXT_MAX];
	json_t *rules = schema != NULL ? json_incref(schema) : schema_load();
	bool fits = rules != NULL && schema_fits(rules, document, text);

	json_decref(rules);
	if (rules == NULL)
		return error_nomem(err);
	return fits ? 0 : error_set(err, E_SYNTAX, "%s", text);
}

/* A key that is left out may be stored, which only the transaction knows: the schema is shown one in its place. */
static int check_without_key(json_t *document, json_t *schema, struct error *err)
{
	static const char stand_in[] = "----------------------------------------------------------------";
	bool left_out = json_is_object(document) && json_object_get(document, "key") == NULL;
	int r;

	if (left_out && json_object_set_new(document, "key", json_string(stand_in)) < 0)
		return error_nomem(err);
	r = input_check_schema(document, schema, err);
	if (left_out)
		(void)json_object_del(document, "key");
	return r;
}

/* APISIX lets a name stand twice in one list; it means the same as once. */
static void drop_repeated_names(json_t *names)
{
	for (size_t i = json_array_size(names); i-- > 1;) {
		for (size_t k = 0; k < i; k++) {
			if (strcasecmp(json_string_value(json_array_get(names, k)), json_string_value(json_array_get(names, i))) == 0) {
				(void)json_array_remove(names, i);
				break;
			}
		}
	}
}

/* Defaults that are written out are answered, others are not, so that what is read is what was sent. */
static const struct preset {
	const char *name, *text; /* text NULL: the number 1 */
} presets[] = {{"status", NULL}, {"type", "server"}};

static bool is_default(const json_t *value, const struct preset *preset)
{
	if (preset->text == NULL)
		return json_is_integer(value) && json_integer_value(value) == 1;
	return json_is_string(value) && strcmp(json_string_value(value), preset->text) == 0;
}

static int note_defaults(json_t *document, struct error *err)
{
	json_t *names = json_array();
	int r = names != NULL ? 0 : -1;

	for (size_t i = 0; i < ARRAY_LEN(presets) && r == 0; i++) {
		if (is_default(json_object_get(document, presets[i].name), &presets[i]))
			r = json_array_append_new(names, json_string(presets[i].name));
	}
	if (r == 0 && json_array_size(names) > 0)
		r = json_object_set(document, "spelled", names);
	json_decref(names);
	return r == 0 ? 0 : error_nomem(err);
}

static bool is_noted(json_t *document, const char *name)
{
	json_t *noted;
	size_t i;

	json_array_foreach(json_object_get(document, "spelled"), i, noted)
	{
		if (strcmp(json_string_value(noted), name) == 0)
			return true;
	}
	return false;
}

void input_restore(json_t *document)
{
	for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
		if (is_default(json_object_get(document, presets[i].name), &presets[i]) && !is_noted(document, presets[i].name))
			(void)json_object_del(document, presets[i].name);
	}
	(void)json_object_del(document, "spelled");
}

int input_translate(json_t *document, json_t *schema, struct error *err)
{
	int r = find_foreign(document, err);

	if (r == 0) {
		r = check_without_key(document, schema, err);
		r = r == E_SYNTAX ? error_prefix(err, r, "invalid configuration") : r;
	}
	if (r < 0)
		return r;
	if (json_array_size(json_object_get(document, "snis")) <= 1000) /* more are refused by the model */
		drop_repeated_names(json_object_get(document, "snis"));
	if (json_array_size(json_object_get(document, "ssl_protocols")) == 0) /* no list, no limit */
		(void)json_object_del(document, "ssl_protocols");
	return note_defaults(document, err);
}

/* Sub-paths ------------------------------------------------------------------------------------------------------------- */

static int refuse_path(const char *const *path, size_t len, struct error *err)
{
	char text[300] = "";
	size_t used = 0;

	for (size_t i = 0; i < len && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "/%s", path[i]);
	return error_set(err, E_SYNTAX, "invalid sub-path: %s", text);
}

int input_set_at(json_t *document, const char *const *path, size_t len, json_t *value, struct error *err)
{
	json_t *node = document;

	for (size_t i = 0; i + 1 < len; i++) {
		json_t *next = json_object_get(node, path[i]);

		if (next == NULL) {
			next = json_object();
			if (json_object_set_new(node, path[i], next) < 0)
				return error_nomem(err);
		}
		if (!json_is_object(next))
			return refuse_path(path, i + 1, err);
		node = next;
	}
	return json_object_set(node, path[len - 1], value) < 0 ? error_nomem(err) : 0;
}
