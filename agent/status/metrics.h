/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics page as text. Names: https://prometheus.io/docs/practices/naming/ ; format: exposition format 0.0.4. */
#pragma once

#include "base/buf.h"
#include "status/expiries.h"
#include "status/status.h"

/* "# HELP" and "# TYPE": once, before the samples of name. */
void metrics_put_head(struct buf *out, const char *name, const char *type, const char *help);
void metrics_write(const struct status_sources *sources, struct expiries *expiries, struct buf *out);
