/* SPDX-License-Identifier: Apache-2.0 */
/* Serve waits inside the layer. */
#pragma once

#include "publisher.h"

/* Ends all of them with PUBLISHER_WAIT_CLOSED. */
void serve_close_all(struct publisher *publisher);
