/* SPDX-License-Identifier: Apache-2.0 */
/* Our refusals and answers in the form of APISIX's admin API. Pure. */
#pragma once

#include "api/problem.h"
#include "base/macros.h"
#include "model/findings.h"
#include "model/object.h"

#include <jansson.h>
#include <stdbool.h>

#define WORDS_MAX 768
#define WORDS_KEY "/apisix/ssls/"

/* The status there of what is `status` here. */
int words_status(int status);
/* A finding as an error_msg; `skip` bytes of its pointer lead to the object. True: APISIX says the same; false: these are our words. */
bool words_of_finding(const struct finding *finding, size_t skip, char text[WORDS_MAX]);
/* {"error_msg", and where it says less than we know "details"}. New reference; NULL without memory. */
json_t *words_of_problem(const struct problem *problem);

/* A rendered object (changed; the reference is taken over) as a value there: no computed fields, and of the defaults those that
 * were written out. */
json_t *words_value(json_t *rendered);
/* {"key", "value", "warnings" when there are some} from a rendered object, whose reference is taken over. NULL without memory. */
json_t *words_written(json_t *rendered);
/* {"key", "value", "createdIndex", "modifiedIndex"}; the same. */
json_t *words_read(json_t *rendered, const struct object_view *object);
