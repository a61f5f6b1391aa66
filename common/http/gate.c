/* SPDX-License-Identifier: Apache-2.0 */
/* The framing of requests: lines, body lengths, chunks. What one head says is head.c's. */
#include "http/gate.h"

#include "base/secret.h"
#include "http/head.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_ 1024u /* a chunk's size and extensions, a trailer field */
#define TRAILER_MAX (8u << 10)
#define CHUNK_DIGITS_MAX 15

static const struct gate_refusal refusals[HEAD_REFUSALS_] = {
	[HEAD_MALFORMED] = {400, "this is no HTTP/1.1 request"},
	[HEAD_BAD_LINE] = {400, "a line of the head does not end with CR LF, or has a control character"},
	[HEAD_BAD_FIELD] = {400, "a header field is malformed"},
	[HEAD_BAD_HOST] = {400, "a request has exactly one Host field, with a host name or address"},
	[HEAD_BAD_LENGTH] = {400, "Content-Length is one number"},
	[HEAD_TWO_LENGTHS] = {400, "Content-Length and Transfer-Encoding exclude each other"},
	[HEAD_RESERVED] = {400, "the field " GATE_FIELD " is not for requests"},
	[HEAD_BAD_CHUNK] = {400, "a chunk of the body is malformed"},
	[HEAD_LATE] = {408, "the head of the request did not come in time"},
	[HEAD_TOO_LONG] = {413, "the body's length is out of range"},
	[HEAD_TARGET_TOO_LONG] = {414, "the request target is longer than 8192 bytes"},
	[HEAD_BAD_EXPECT] = {417, "Expect: only 100-continue is understood"},
	[HEAD_TOO_LARGE] = {431, "the head is larger than 16384 bytes or has more than 100 fields"},
	[HEAD_BAD_METHOD] = {501, "this method is not known"},
	[HEAD_BAD_CODING] = {501, "Transfer-Encoding: only chunked is understood"},
	[HEAD_BAD_VERSION] = {505, "HTTP/1.1 and HTTP/1.0 are spoken here"},
};

const struct gate_refusal *gate_refusal_of(const char *value)
{
	unsigned long number = strtoul(value, NULL, 10);

	return &refusals[number > 0 && number < ARRAY_LEN(refusals) ? number : HEAD_MALFORMED];
}

static void empty_line(struct gate *gate)
{
	gate->line.sensitive = true; /* it may hold a credential */
	buf_deinit(&gate->line);
	gate->line = BUF_NULL;
	gate->scanned = 0;
}

/* within_chunks: a request is under way whose body MHD reads by chunks. */
static void refuse(struct gate *gate, enum head_refusal why, bool within_chunks, struct buf *out)
{
	if (within_chunks)
		buf_printf(out, "0\r\n" GATE_FIELD ": %d\r\n\r\n", (int)why);
	else
		buf_printf(out, "GET / HTTP/1.1\r\nHost: -\r\nConnection: close\r\n" GATE_FIELD ": %d\r\n\r\n", (int)why);
	gate->state = GATE_REFUSED;
	empty_line(gate);
}

/* Heads ------------------------------------------------------------------------------------------------------------ */

/* Where the head ends (behind the empty line, or behind a bare LF, for which it is refused); 0: not yet. */
static size_t find_end(struct gate *gate)
{
	const char *text = (const char *)gate->line.data;

	for (size_t i = gate->scanned; i < gate->line.len; i++) {
		if (text[i] != '\n')
			continue;
		if (i == 0 || text[i - 1] != '\r' || (i >= 3 && text[i - 2] == '\n'))
			return i + 1;
	}
	gate->scanned = gate->line.len;
	return 0;
}

static void pass_head(struct gate *gate, struct buf *out)
{
	struct head head;
	enum head_refusal why = head_read((const char *)gate->line.data, gate->line.len, &head);

	if (why != HEAD_OK) {
		refuse(gate, why, false, out);
		return;
	}
	buf_put(out, gate->line.data, gate->line.len);
	empty_line(gate);
	gate->heads++;
	gate->left = head.length;
	if (head.is_chunked)
		gate->state = GATE_SIZE;
	else if (head.length > 0)
		gate->state = GATE_LENGTH;
}

/* RFC 9112 section 2.2: empty lines before a request are skipped. */
static struct bytes skip_empty_lines(struct gate *gate, struct bytes in)
{
	while (gate->line.len == 0 && in.len > 0 && (in.data[0] == '\r' || in.data[0] == '\n'))
		in = BYTES(in.data + 1, in.len - 1);
	return in;
}

static struct bytes take_head(struct gate *gate, struct bytes in, struct buf *out)
{
	size_t old, end, room;

	in = skip_empty_lines(gate, in);
	old = gate->line.len;
	room = GATE_HEAD_MAX - old < in.len ? GATE_HEAD_MAX - old : in.len;
	if (room == 0)
		return in;
	gate->line.sensitive = true;
	buf_put(&gate->line, in.data, room);
	if (gate->line.failed)
		return BYTES_NULL;
	end = find_end(gate);
	if (end > 0) {
		gate->line.len = end;
		in = BYTES(in.data + (end - old), in.len - (end - old));
		pass_head(gate, out);
		return in;
	}
	if (head_is_hopeless((const char *)gate->line.data, gate->line.len))
		refuse(gate, HEAD_MALFORMED, false, out);
	else if (gate->line.len == GATE_HEAD_MAX)
		refuse(gate, memchr(gate->line.data, '\r', gate->line.len) != NULL ? HEAD_TOO_LARGE : HEAD_TARGET_TOO_LONG,
		       false, out);
	return BYTES(in.data + room, in.len - room);
}

bool gate_is_within_head(const struct gate *gate)
{
	return gate->state == GATE_HEAD && gate->line.len > 0;
}

void gate_expire(struct gate *gate, struct buf *out)
{
	if (gate_is_within_head(gate))
		refuse(gate, HEAD_LATE, false, out);
}

/* Bodies ----------------------------------------------------------------------------------------------------------- */

static struct bytes take_length(struct gate *gate, struct bytes in, struct buf *out)
{
	size_t len = in.len < gate->left ? in.len : (size_t)gate->left;

	buf_put(out, in.data, len);
	gate->left -= len;
	if (gate->left == 0)
		gate->state = GATE_HEAD;
	return BYTES(in.data + len, in.len - len);
}

static struct bytes take_data(struct gate *gate, struct bytes in, struct buf *out)
{
	size_t len = in.len < gate->left ? in.len : (size_t)gate->left;

	buf_printf(out, "%zx\r\n", len);
	buf_put(out, in.data, len);
	buf_put(out, "\r\n", 2);
	gate->left -= len;
	if (gate->left == 0)
		gate->state = GATE_DATA_END;
	return BYTES(in.data + len, in.len - len);
}

/* Digits, then the end or an extension. */
static enum head_refusal read_size(const char *line, size_t len, uint64_t *ret)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	size_t count = 0;

	while (count < len && line[count] != '\0' && strchr(digits, line[count]) != NULL)
		count++;
	if (count > CHUNK_DIGITS_MAX)
		return HEAD_TOO_LONG;
	if (count == 0 || (count < len && strchr("; \t", line[count]) == NULL) || !head_is_clean(line, len))
		return HEAD_BAD_CHUNK;
	*ret = strtoull(line, NULL, 16); /* ends where the digits do: a CR stands behind the line */
	return HEAD_OK;
}

/* A complete line, without its CR LF. */
static void take_body_line(struct gate *gate, struct buf *out)
{
	const char *line = (const char *)gate->line.data;
	size_t len = gate->line.len - 2;
	enum head_refusal why = HEAD_OK;

	if (gate->state == GATE_SIZE) {
		why = read_size(line, len, &gate->left);
		gate->trailer_size = 0;
		gate->state = gate->left > 0 ? GATE_DATA : GATE_TRAILER;
	} else if (gate->state == GATE_DATA_END) {
		why = len == 0 ? HEAD_OK : HEAD_BAD_CHUNK;
		gate->state = GATE_SIZE;
	} else if (len > 0) {
		gate->trailer_size += gate->line.len;
		why = gate->trailer_size <= TRAILER_MAX && head_is_clean(line, len) ? HEAD_OK : HEAD_BAD_CHUNK;
	} else {
		buf_put_str(out, "0\r\n\r\n");
		gate->state = GATE_HEAD;
	}
	empty_line(gate);
	if (why != HEAD_OK)
		refuse(gate, why, true, out);
}

static struct bytes take_line(struct gate *gate, struct bytes in, struct buf *out)
{
	const uint8_t *newline = memchr(in.data, '\n', in.len);
	size_t len = newline != NULL ? (size_t)(newline - in.data) + 1 : in.len;
	size_t limit = gate->state == GATE_DATA_END ? 2 : LINE_MAX_;

	if (gate->line.len + len > limit) {
		refuse(gate, HEAD_BAD_CHUNK, true, out);
		return BYTES_NULL;
	}
	buf_put(&gate->line, in.data, len);
	if (gate->line.failed)
		return BYTES_NULL;
	if (newline != NULL && (gate->line.len < 2 || gate->line.data[gate->line.len - 2] != '\r'))
		refuse(gate, HEAD_BAD_CHUNK, true, out);
	else if (newline != NULL)
		take_body_line(gate, out);
	return BYTES(in.data + len, in.len - len);
}

void gate_feed(struct gate *gate, struct bytes in, struct buf *out)
{
	while (in.len > 0 && !gate->line.failed) {
		switch (gate->state) {
		case GATE_HEAD:
			in = take_head(gate, in, out);
			break;
		case GATE_LENGTH:
			in = take_length(gate, in, out);
			break;
		case GATE_DATA:
			in = take_data(gate, in, out);
			break;
		case GATE_REFUSED:
			return;
		default:
			in = take_line(gate, in, out);
		}
	}
}

void gate_deinit(struct gate *gate)
{
	empty_line(gate);
}
