/* SPDX-License-Identifier: Apache-2.0 */
/* The only macros of the product: compiler attributes, cleanup on scope exit, hand-over of ownership. */
#pragma once

#include <stddef.h>

/* The result must be looked at. Every fallible function carries it. */
#define MUST_USE __attribute__((warn_unused_result))

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* DEFINE_CLEANUP(struct x, x_free) once beside x_free's declaration, then
 *     CLEANUP(x_free) struct x *x = NULL;
 * frees x when the scope ends; `*ret = TAKE_PTR(x);` hands it over instead. */
#define DEFINE_CLEANUP(type, fn)                                                                                       \
	__attribute__((unused)) static inline void fn##_cleanup(type **pointer)                                            \
	{                                                                                                                  \
		if (*pointer != NULL)                                                                                          \
			fn(*pointer);                                                                                              \
	}                                                                                                                  \
	struct fn##_cleanup_semicolon

/* For embedded values: DEFINE_CLEANUP_VALUE(struct buf, buf_deinit). */
#define DEFINE_CLEANUP_VALUE(type, fn)                                                                                 \
	__attribute__((unused)) static inline void fn##_cleanup(type *value)                                               \
	{                                                                                                                  \
		fn(value);                                                                                                     \
	}                                                                                                                  \
	struct fn##_cleanup_semicolon

#define CLEANUP(fn) __attribute__((cleanup(fn##_cleanup)))

#define TAKE_PTR(pointer)                                                                                              \
	({                                                                                                                 \
		__typeof__(pointer) taken_ = (pointer);                                                                        \
		(pointer) = NULL;                                                                                              \
		taken_;                                                                                                        \
	})

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))
