/* SPDX-License-Identifier: Apache-2.0 */
/* Selectors and agents' labels in canonical text. '=' and ',' are outside the grammar of keys and values, so the text
 * needs no escapes, and being sorted it is compared by one walk over both. Pure. */
#include "model/selector.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define SELECTOR_CONDITIONS_MAX 16
#define SELECTOR_WORD_MAX 63

struct condition {
	struct bytes key, value;
};

/* Splits the next condition off *rest; false at the end. The text is canonical, or has been checked by the caller. */
static bool condition_next(const char **rest, struct condition *ret)
{
	const char *start = *rest;
	size_t len = strcspn(start, ","), key_len = strcspn(start, "=,");

	if (*start == '\0')
		return false;
	ret->key = BYTES(start, key_len);
	ret->value = key_len < len ? BYTES(start + key_len + 1, len - key_len - 1) : BYTES_NULL;
	*rest = start[len] == ',' ? start + len + 1 : start + len;
	return true;
}

static int bytes_compare(struct bytes a, struct bytes b)
{
	size_t shorter = a.len < b.len ? a.len : b.len;
	int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool selector_is_match(const char *selector, const char *labels)
{
	struct condition want, have;

	while (condition_next(&selector, &want)) {
		int order = 1;

		while (order > 0 && condition_next(&labels, &have))
			order = bytes_compare(want.key, have.key);
		if (order != 0 || bytes_compare(want.value, have.value) != 0)
			return false;
	}
	return true;
}

bool selector_is_within(const char *narrow, const char *wide)
{
	return selector_is_match(wide, narrow);
}

bool selector_is_exclusive(const char *a, const char *b)
{
	struct condition in_a, in_b;
	bool has_a = condition_next(&a, &in_a), has_b = condition_next(&b, &in_b);

	while (has_a && has_b) {
		int order = bytes_compare(in_a.key, in_b.key);

		if (order == 0 && bytes_compare(in_a.value, in_b.value) != 0)
			return true;
		if (order <= 0)
			has_a = condition_next(&a, &in_a);
		if (order >= 0)
			has_b = condition_next(&b, &in_b);
	}
	return false;
}

static bool word_is_valid(struct bytes word)
{
	if (word.len == 0 || word.len > SELECTOR_WORD_MAX)
		return false;
	for (size_t i = 0; i < word.len; i++) {
		uint8_t c = word.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
		      c == '-'))
			return false;
	}
	return true;
}

static int condition_check(const struct condition *condition, struct error *err)
{
	if (!word_is_valid(condition->key))
		return error_set(err, E_SYNTAX, "a key must be 1 to 63 of letters, digits, '.', '_' and '-'");
	if (!word_is_valid(condition->value))
		return error_set(err, E_SYNTAX, "the value of \"%.*s\" must be 1 to 63 of letters, digits, '.', '_' and '-'",
		                 (int)condition->key.len, (const char *)condition->key.data);
	return 0;
}

static int condition_order(const void *a, const void *b)
{
	const struct condition *left = a, *right = b;

	return bytes_compare(left->key, right->key);
}

/* Checks sorted conditions: the grammar of each, and that keys rise. */
static int conditions_check(const struct condition *conditions, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		int r = condition_check(&conditions[i], err);

		if (r < 0)
			return r;
		if (i > 0 && bytes_compare(conditions[i - 1].key, conditions[i].key) >= 0)
			return error_set(err, E_SYNTAX, "the key \"%.*s\" stands twice or out of order", (int)conditions[i].key.len,
			                 (const char *)conditions[i].key.data);
	}
	return 0;
}

int selector_make(const char *const *keys, const char *const *values, size_t count, char **ret, struct error *err)
{
	struct condition conditions[SELECTOR_CONDITIONS_MAX];
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;
	char *taken;
	int r;

	if (count > SELECTOR_CONDITIONS_MAX)
		return error_set(err, E_SYNTAX, "at most %d conditions are allowed", SELECTOR_CONDITIONS_MAX);
	for (size_t i = 0; i < count; i++)
		conditions[i] = (struct condition){BYTES(keys[i], strlen(keys[i])), BYTES(values[i], strlen(values[i]))};
	qsort(conditions, count, sizeof(conditions[0]), condition_order);
	r = conditions_check(conditions, count, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_put_u8(&text, ',');
		buf_put(&text, conditions[i].key.data, conditions[i].key.len);
		buf_put_u8(&text, '=');
		buf_put(&text, conditions[i].value.data, conditions[i].value.len);
	}
	taken = buf_take(&text, NULL);
	if (taken == NULL)
		return error_nomem(err);
	*ret = taken;
	return 0;
}

int selector_check(const char *selector, struct error *err)
{
	struct condition conditions[SELECTOR_CONDITIONS_MAX];
	size_t count = 0, len = strlen(selector);

	if (len > 0 && selector[len - 1] == ',')
		return error_set(err, E_SYNTAX, "a selector must not end in ','");
	while (*selector != '\0') {
		if (count == SELECTOR_CONDITIONS_MAX)
			return error_set(err, E_SYNTAX, "at most %d conditions are allowed", SELECTOR_CONDITIONS_MAX);
		if (condition_next(&selector, &conditions[count]))
			count++;
	}
	return conditions_check(conditions, count, err);
}

void selector_each(const char *selector, void (*fn)(struct bytes key, struct bytes value, void *context), void *context)
{
	struct condition condition;

	while (condition_next(&selector, &condition))
		fn(condition.key, condition.value, context);
}

int selector_from_labels(const char *labels_json, char **ret, struct error *err)
{
	const char *keys[SELECTOR_CONDITIONS_MAX], *values[SELECTOR_CONDITIONS_MAX], *key;
	json_error_t reason;
	json_t *labels = json_loads(labels_json == NULL ? "{}" : labels_json, 0, &reason), *value;
	size_t count = 0;
	int r;

	if (labels == NULL)
		return reason.line < 0 ? error_nomem(err) : error_set(err, E_SYNTAX, "labels are not JSON");
	json_object_foreach(labels, key, value)
	{
		if (count == SELECTOR_CONDITIONS_MAX || !json_is_string(value)) {
			json_decref(labels);
			return error_set(err, E_SYNTAX, "labels must be at most %d strings", SELECTOR_CONDITIONS_MAX);
		}
		keys[count] = key;
		values[count++] = json_string_value(value);
	}
	r = selector_make(keys, values, count, ret, err);
	json_decref(labels);
	return r;
}
