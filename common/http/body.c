/* SPDX-License-Identifier: Apache-2.0 */
#include "http/body.h"

#include "base/secret.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LATER_SIZE (1u << 20) /* wiping so much takes a tenth of a millisecond */

static size_t page_size(void)
{
	static size_t size;

	if (size == 0)
		size = (size_t)sysconf(_SC_PAGESIZE);
	return size;
}

static bool make_large(struct body *body, size_t max)
{
	size_t size = (max + page_size() - 1) / page_size() * page_size();
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	body->large = memory;
	body->mapped = size;
	if (body->small.len > 0)
		memcpy(body->large, body->small.data, body->small.len);
	buf_deinit(&body->small);
	return true;
}

bool body_put(struct body *body, const void *data, size_t len, size_t max)
{
	assert(len <= max && body->len <= max - len);
	if (body->large == NULL && body->len + len > BODY_SMALL_MAX && !make_large(body, max))
		return false;
	if (body->large != NULL)
		memcpy(body->large + body->len, data, len);
	else
		buf_put(&body->small, data, len);
	body->len += len;
	return !body->small.failed;
}

struct bytes body_bytes(const struct body *body)
{
	return BYTES(body->large != NULL ? body->large : body->small.data, body->len);
}

void body_drop(struct body *body, size_t len)
{
	size_t whole = len == body->len ? body->mapped : len / page_size() * page_size();

	if (body->large == NULL || whole <= body->dropped)
		return;
	secret_wipe(body->large + body->dropped, (len < whole ? len : whole) - body->dropped);
	(void)madvise(body->large + body->dropped, whole - body->dropped, MADV_DONTNEED); /* what stays is wiped */
	body->dropped = whole;
}

void body_deinit(struct body *body)
{
	if (body->large != NULL) {
		body_drop(body, body->len);
		(void)munmap(body->large, body->mapped);
	}
	buf_deinit(&body->small);
	*body = BODY_NULL;
}

struct removal {
	uv_work_t work;
	struct body body;
};

static void on_remove(uv_work_t *work)
{
	struct removal *removal = container_of(work, struct removal, work);

	body_deinit(&removal->body);
}

static void on_removed(uv_work_t *work, int status)
{
	struct removal *removal = container_of(work, struct removal, work);

	body_deinit(&removal->body); /* again: nothing, unless the work was cancelled */
	free(removal);
}

void body_deinit_later(struct body *body, uv_loop_t *loop)
{
	bool slow = body->large != NULL && body->dropped < body->len && body->len - body->dropped > LATER_SIZE;
	struct removal *removal = slow ? malloc(sizeof(*removal)) : NULL;

	if (removal == NULL) {
		body_deinit(body);
		return;
	}
	removal->body = *body;
	*body = BODY_NULL;
	(void)uv_queue_work(loop, &removal->work, on_remove, on_removed); /* fails only without a work function */
}
