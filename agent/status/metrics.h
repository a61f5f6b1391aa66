/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics page as text. Names: https://prometheus.io/docs/practices/naming/ ; format: exposition format 0.0.4. */
#pragma once

#include "base/buf.h"
#include "status/status.h"

void metrics_write(const struct status_sources *sources, struct buf *out);
