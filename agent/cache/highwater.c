/* SPDX-License-Identifier: Apache-2.0 */
/* Two places, far enough apart that no write touches both; the one with the lower mark is written over, in place, which
 * costs one fdatasync where a rename costs two syncs and a new file each time. A record says its mark twice: what was
 * torn does not read as a mark, and the other place still has the one before. */
#include "cache/highwater.h"

#include "base/file.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PLACES 2
#define PLACE_SIZE 4096
#define PREFIX "tlsplane-high-water-v2"
#define NUMBER_LEN 20
#define RECORD_LEN (sizeof(PREFIX) - 1 + 4 * (1 + NUMBER_LEN) + 1)

struct places {
	bool is_there; /* the file */
	bool holds[PLACES];
	struct revision marks[PLACES];
};

static void record_encode(struct revision mark, char record[RECORD_LEN + 1])
{
	snprintf(record, RECORD_LEN + 1, PREFIX " %020" PRIu64 " %020" PRIu64 " %020" PRIu64 " %020" PRIu64 "\n", mark.epoch,
	         mark.number, mark.epoch, mark.number);
}

static bool record_decode(const char *text, size_t len, struct revision *ret)
{
	char record[RECORD_LEN + 1];
	struct revision mark;

	if (len < RECORD_LEN || sscanf(text, PREFIX " %" SCNu64 " %" SCNu64, &mark.epoch, &mark.number) != 2)
		return false;
	record_encode(mark, record);
	if (memcmp(text, record, RECORD_LEN) != 0)
		return false;
	*ret = mark;
	return true;
}

static int places_load(const char *path, struct places *ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf content = BUF_NULL;
	struct places places = {0};
	const char *text;
	int r = file_load(path, (size_t)PLACES * PLACE_SIZE, &content, err);

	if (r < 0 && r != E_NOT_FOUND)
		return r;
	places.is_there = r == 0;
	text = buf_cstr(&content);
	if (text == NULL)
		return error_nomem(err);
	for (size_t i = 0; i < PLACES; i++) {
		size_t at = i * PLACE_SIZE;

		places.holds[i] = at < content.len && record_decode(text + at, content.len - at, &places.marks[i]);
	}
	*ret = places;
	return 0;
}

/* marks[i] of a place that holds none is zero. */
static size_t lower_of(const struct places *places)
{
	return revision_compare(places->marks[0], places->marks[1]) <= 0 ? 0 : 1;
}

int highwater_read(const char *path, struct revision *ret, struct error *err)
{
	struct places places;
	int r = places_load(path, &places, err);

	if (r < 0)
		return r;
	if (places.is_there && !places.holds[0] && !places.holds[1])
		return error_set(err, E_CORRUPT, "%s is not a high-water mark", path);
	*ret = places.marks[1 - lower_of(&places)];
	return 0;
}

/* Whatever is wrong with the file, or with writing into it: a new one takes its place. */
int highwater_write(const char *path, struct revision revision, struct error *err)
{
	struct places places = {0};
	char record[RECORD_LEN + 1];
	bool is_sound = places_load(path, &places, NULL) == 0 && (places.holds[0] || places.holds[1]);
	off_t at = (off_t)(lower_of(&places) * PLACE_SIZE);

	record_encode(revision, record);
	if (is_sound && file_overwrite(path, at, BYTES(record, RECORD_LEN), NULL) == 0)
		return 0;
	return file_replace(path, 0600, BYTES(record, RECORD_LEN), err);
}
