/* SPDX-License-Identifier: Apache-2.0 */
/* What an object is beneath its kind: identity, age, selector, digest. channel.proto writes the formats down. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "model/kind.h"

#include <stdbool.h>
#include <stdint.h>

#define UID_LEN 20
#define DIGEST_LEN 32

/* A point in history; orders lexicographically. {0, 0} is before everything. */
struct revision {
	uint64_t epoch;
	uint64_t number;
};

int revision_compare(struct revision a, struct revision b);

struct uid {
	uint8_t bytes[UID_LEN]; /* u64 epoch, u64 revision, u32 ordinal; memcmp order is age */
};

struct uid uid_make(uint64_t epoch, uint64_t revision, uint32_t ordinal);
/* Who wins where two objects claim the same name: higher priority, then the younger (creation, not last edit). */
bool uid_is_better(int32_t priority_a, const struct uid *a, int32_t priority_b, const struct uid *b);
struct revision uid_revision(const struct uid *uid); /* that made the object */
void uid_format(const struct uid *uid, char text[2 * UID_LEN + 1]); /* lower-case hex */

/* A 256-bit sum of object digests. */
struct digest {
	uint8_t bytes[DIGEST_LEN];
};

#define DIGEST_NULL ((struct digest){{0}})

void digest_add(struct digest *sum, const struct digest *term);
void digest_subtract(struct digest *sum, const struct digest *term);
bool digest_is_equal(const struct digest *a, const struct digest *b);

/* One state of one object, borrowed from wherever it rests. */
struct object_view {
	enum kind kind;
	const char *id;
	struct uid uid;
	uint64_t version;
	const char *selector; /* canonical */
	struct bytes body;
	uint64_t epoch; /* of the version; filled by the store alone (ETags), no part of the digest */
};

int object_digest(const struct object_view *object, struct digest *ret, struct error *err) MUST_USE;

/* One change of a revision for the chain hash; digest is zeros for a deletion. */
struct chain_change {
	enum kind kind;
	const char *id;
	struct uid uid;
	bool deleted;
	struct digest digest;
};

/* changes must be in order of (kind, id bytes). *chain: that of the revision before, becomes that of `revision`. */
int chain_extend(struct digest *chain, struct revision revision, const struct chain_change *changes, size_t count,
                 struct error *err) MUST_USE;
