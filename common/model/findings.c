/* SPDX-License-Identifier: Apache-2.0 */
/* The list of findings. The first FINDINGS_MAX are kept, but an error takes the place of a warning, so that a refusal
 * can always be explained. */
#include "model/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void findings_deinit(struct findings *findings)
{
	free(findings->items);
	*findings = FINDINGS_NULL;
}

static void findings_count(struct findings *findings, enum finding_severity severity)
{
	if (severity == FINDING_ERROR)
		findings->errors++;
	else
		findings->warnings++;
}

/* The array doubles from 4; its capacity follows from count. */
static bool findings_grow(struct findings *findings)
{
	size_t count = findings->count;
	struct finding *items;

	if (count != 0 && (count < 4 || (count & (count - 1)) != 0))
		return true;
	items = reallocarray(findings->items, count == 0 ? 4 : 2 * count, sizeof(*items));
	if (items == NULL) {
		findings->failed = true;
		return false;
	}
	findings->items = items;
	return true;
}

/* Takes the newest warning out to make room. */
static bool findings_evict_warning(struct findings *findings)
{
	for (size_t i = findings->count; i-- > 0;) {
		if (findings->items[i].severity != FINDING_WARNING)
			continue;
		findings->count--;
		memmove(&findings->items[i], &findings->items[i + 1], (findings->count - i) * sizeof(*findings->items));
		return true;
	}
	return false;
}

/* A slot at the end, already counted; NULL: not kept. */
static struct finding *findings_new_slot(struct findings *findings, enum finding_severity severity)
{
	findings_count(findings, severity);
	if (findings->count == FINDINGS_MAX) {
		if (severity != FINDING_ERROR || !findings_evict_warning(findings))
			return NULL;
	} else if (!findings_grow(findings)) {
		return NULL;
	}
	return &findings->items[findings->count++];
}

/* Cuts off a character that truncation left half: texts end up in JSON, which takes whole ones only. */
static void trim_partial_character(char *text)
{
	size_t len = strlen(text), tail = 0, need = 0;
	unsigned char lead;

	while (tail < len && tail < 3 && ((unsigned char)text[len - 1 - tail] & 0xc0) == 0x80)
		tail++;
	if (tail == len)
		return;
	lead = (unsigned char)text[len - 1 - tail];
	if (lead >= 0xc0)
		need = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
	if (tail < need)
		text[len - 1 - tail] = '\0';
}

void findings_add(struct findings *findings, enum finding_severity severity, const char *code, const char *pointer,
                  const char *format, ...)
{
	struct finding *slot = findings_new_slot(findings, severity);
	va_list args;

	if (slot == NULL)
		return;
	*slot = (struct finding){.severity = severity, .code = code};
	snprintf(slot->pointer, sizeof(slot->pointer), "%s", pointer);
	trim_partial_character(slot->pointer);
	va_start(args, format);
	vsnprintf(slot->detail, sizeof(slot->detail), format, args);
	va_end(args);
	trim_partial_character(slot->detail);
}

void findings_append(struct findings *findings, const char *prefix, const struct findings *more)
{
	size_t errors = findings->errors + more->errors, warnings = findings->warnings + more->warnings;

	for (size_t i = 0; i < more->count; i++) {
		const struct finding *from = &more->items[i];
		struct finding *slot = findings_new_slot(findings, from->severity);

		if (slot == NULL)
			continue;
		*slot = *from;
		snprintf(slot->pointer, sizeof(slot->pointer), "%s%s", prefix, from->pointer);
		trim_partial_character(slot->pointer);
	}
	findings->errors = errors;
	findings->warnings = warnings;
	findings->failed = findings->failed || more->failed;
}

void findings_make_strict(struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		findings->items[i].severity = FINDING_ERROR;
	findings->errors += findings->warnings;
	findings->warnings = 0;
}
