/* SPDX-License-Identifier: Apache-2.0 */
/* A store in a directory of its own, and resources made by hand: the store does not look into bodies. */
#pragma once

#include "crypto/crypto.h"
#include "store/store_write.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char test_dir[64];

static struct error test_error;

#define OK(call)                                                                                                       \
	do {                                                                                                               \
		test_error = ERROR_NULL;                                                                                       \
		int ok_code_ = (call);                                                                                         \
		ck_assert_msg(ok_code_ == 0, "%s: %d %s", #call, ok_code_, test_error.text);                                   \
	} while (0)

#define FAILS(expected, call)                                                                                          \
	do {                                                                                                               \
		test_error = ERROR_NULL;                                                                                       \
		int got_code_ = (call);                                                                                        \
		ck_assert_msg(got_code_ == (expected), "%s: %d %s", #call, got_code_, test_error.text);                        \
	} while (0)

static inline int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	return remove(path);
}

static inline void fixture_setup(void)
{
	OK(crypto_init(&test_error));
	snprintf(test_dir, sizeof(test_dir), "/tmp/tlsplane-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(test_dir));
}

static inline void fixture_teardown(void)
{
	nftw(test_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline struct store *open_store(void)
{
	struct store_config config = {.dir = test_dir, .trust_domain = "test.example"};
	struct store *store = NULL;

	OK(store_open(&config, &store, &test_error));
	return store;
}

/* A resource whose body is the text. */
static inline struct resource *make_resource(enum kind kind, const char *id, const char *selector, bool enabled,
                                             const char *body)
{
	struct resource *resource = calloc(1, sizeof(*resource));

	ck_assert_ptr_nonnull(resource);
	resource->kind = kind;
	snprintf(resource->id, sizeof(resource->id), "%s", id);
	resource->selector = strdup(selector);
	resource->enabled = enabled;
	resource->body = (uint8_t *)strdup(body);
	resource->body_len = strlen(body);
	return resource;
}

static inline int put_resource(struct store_writer *writer, const struct resource *resource, struct error *err)
{
	struct store_put put = {resource, BYTES(resource->body, resource->body_len), resource->secret};

	return store_put(writer, &put, NULL, err);
}

static inline int put_object(struct store_writer *writer, enum kind kind, const char *id, const char *selector,
                             bool enabled, const char *body)
{
	struct resource *resource = make_resource(kind, id, selector, enabled, body);
	int code = put_resource(writer, resource, &test_error);

	resource_free(resource);
	return code;
}

static const struct store_author test_author = {"tester", "req-1", "127.0.0.1", 1000};

/* One put, one revision, one commit. */
static inline struct store_revision put_alone(struct store_writer *writer, enum kind kind, const char *id,
                                              const char *selector, bool enabled, const char *body)
{
	struct store_revision revision;

	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(put_object(writer, kind, id, selector, enabled, body));
	OK(store_revision_end(writer, &revision, &test_error));
	OK(store_write_commit(writer, &test_error));
	return revision;
}
