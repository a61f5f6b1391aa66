/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/model: the fields that kinds have in common. Targets and sources of these rows are field_input.resource
 * and field_output.state. */
#pragma once

#include "model/fields.h"

extern const struct field_table field_table_labels;       /* of objects: values of any kind */
extern const struct field_table field_table_agent_labels; /* in the grammar of selectors */
extern const struct field_table field_table_desc;
extern const struct field_table field_table_placement; /* selector, status */
extern const struct field_table field_table_identity;
