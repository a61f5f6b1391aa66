/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs that put load on a server share: sockets on loopback, clocks, and the CPU that other processes have used. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* On 127.0.0.HOST; ends the process when it can't. */
int listen_on(unsigned host, uint16_t port);
/* To 127.0.0.1 from 127.0.0.SOURCE (0: as the system likes), Nagle off. -1: not connected. */
int connect_to(uint16_t port, unsigned source);
double wall_seconds(void);
/* Of all threads of all of them, since they began. */
double cpu_seconds(const pid_t *pids, int len);
/* The rest of the command line as process ids; how many. */
int read_pids(int argc, char **argv, int from, pid_t *ret, int max);
