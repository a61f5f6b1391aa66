/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs that put load on a server share: sockets on loopback, clocks, the CPU that other processes have
 * used, and command lines. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* On 127.0.0.HOST; ends the process when it can't. */
int listen_on(unsigned host, uint16_t port);
/* To 127.0.0.1 from 127.0.0.SOURCE (0: as the system likes), Nagle off. -1: not connected. */
int connect_to(uint16_t port, unsigned source);
double wall_seconds(void);
/* Of all threads of all of them, since they began. */
double cpu_seconds(const pid_t *pids, int len);
/* --NAME VALUE, or --NAME alone of a flag. */
struct setting {
	const char *name; /* NULL: the end */
	enum { SETTING_PORT, SETTING_LONG, SETTING_DOUBLE, SETTING_TEXT, SETTING_FLAG } kind;
	void *to; /* uint16_t, long, double, const char *, bool */
};

/* Ends the process at what is not among them. The rest of the command line is process ids; how many. */
int read_command_line(int argc, char **argv, const struct setting *settings, pid_t *ret_pids, int max);
