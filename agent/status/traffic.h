/* SPDX-License-Identifier: Apache-2.0 */
/* What the data plane has counted, for the metrics page. */
#pragma once

#include "base/buf.h"
#include "proxy/proxy.h"

void traffic_write(const struct proxy *proxy, struct buf *out);
