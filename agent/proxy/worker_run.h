/* SPDX-License-Identifier: Apache-2.0 */
/* Between worker.c (life and messages) and accept.c (its listening sockets). */
#pragma once

#include "proxy/worker.h"

void acceptor_open(struct worker *worker, struct point *point, int fd); /* takes fd and the reference over */
void acceptor_close(struct worker *worker, struct point *point);
void acceptors_close(struct worker *worker);
void acceptors_resume(struct worker *worker);
