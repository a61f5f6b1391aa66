/* SPDX-License-Identifier: Apache-2.0 */
/* References between objects: (kind, id), resolved in the holding; none may dangle. Private to the snapshot layer. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/trie.h"
#include "snapshot/entry.h"
#include "snapshot/snapshot.h"

#include <protobuf-c/protobuf-c.h>

struct views;

/* What an object that is not an SSL object refers to. objects: tries of entries by kind. E_REFUSED. */
int references_check_own(const struct trie *objects, const struct entry *entry, const ProtobufCMessage *body,
                         struct snapshot_refusal *refusal, struct error *err) MUST_USE;
/* What an SSL object refers to. E_REFUSED. */
int references_check_ssl(const struct trie *objects, const struct entry *entry, struct snapshot_refusal *refusal,
                         struct error *err) MUST_USE;
/* Who refers to one of `gone` that has no successor, or one of another type? A walk over the kinds that may, so only
 * for changes that are rare. views: of objects. E_REFUSED. */
int references_check_gone(const struct trie *objects, const struct views *views, const struct entry_list *gone,
                          struct snapshot_refusal *refusal, struct error *err) MUST_USE;
