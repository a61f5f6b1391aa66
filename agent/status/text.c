/* SPDX-License-Identifier: Apache-2.0 */
#include "status/text.h"

#include <string.h>

/* Length of the UTF-8 sequence at text, and its code point; 0: there is none (RFC 3629: no overlong forms, no
 * surrogates). */
static size_t decode(const unsigned char *text, uint32_t *ret)
{
	static const struct {
		unsigned char mask, lead;
		size_t len;
		uint32_t least;
	} forms[] = {{0x80, 0x00, 1, 0}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		uint32_t code = text[0] & (unsigned char)~forms[i].mask;

		if ((text[0] & forms[i].mask) != forms[i].lead)
			continue;
		for (size_t k = 1; k < forms[i].len; k++) {
			if ((text[k] & 0xc0) != 0x80) /* the terminator too */
				return 0;
			code = code << 6 | (text[k] & 0x3f);
		}
		if (code < forms[i].least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
			return 0;
		*ret = code;
		return forms[i].len;
	}
	return 0;
}

static void put_json_character(struct buf *out, const char *text, size_t len, uint32_t code)
{
	if (code == '"' || code == '\\')
		buf_printf(out, "\\%c", (int)code);
	else if (code < 0x20 || (code >= 0x7f && code < 0xa0))
		buf_printf(out, "\\u%04x", code);
	else
		buf_put(out, text, len);
}

static void put_label_character(struct buf *out, const char *text, size_t len, uint32_t code)
{
	if (code == '"' || code == '\\')
		buf_printf(out, "\\%c", (int)code);
	else if (code == '\n')
		buf_put_str(out, "\\n");
	else
		buf_put(out, text, len);
}

static void put_quoted(struct buf *out, const char *text,
                       void (*put)(struct buf *out, const char *text, size_t len, uint32_t code))
{
	buf_put_u8(out, '"');
	while (*text != 0) {
		uint32_t code;
		size_t len = decode((const unsigned char *)text, &code);

		if (len > 0)
			put(out, text, len, code);
		else
			buf_put_str(out, "\xef\xbf\xbd"); /* U+FFFD */
		text += len > 0 ? len : 1;
	}
	buf_put_u8(out, '"');
}

void text_put_json(struct buf *out, const char *text)
{
	put_quoted(out, text, put_json_character);
}

void text_put_json_or_null(struct buf *out, const char *text)
{
	if (text[0] == 0)
		buf_put_str(out, "null");
	else
		text_put_json(out, text);
}

void text_put_label(struct buf *out, const char *value)
{
	put_quoted(out, value, put_label_character);
}
