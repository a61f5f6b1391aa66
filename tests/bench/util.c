/* SPDX-License-Identifier: Apache-2.0 */
#include "util.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 4096

/* 127.0.0.HOST */
static struct sockaddr_in address_of(unsigned host, uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host)};
}

int listen_on(unsigned host, uint16_t port)
{
	struct sockaddr_in address = address_of(host, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, BACKLOG) != 0) {
		perror("backend");
		exit(1);
	}
	return fd;
}

int connect_to(uint16_t port, unsigned source)
{
	struct sockaddr_in to = address_of(1, port), from = address_of(source, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if ((source != 0 && bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0) || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static double seconds_of(clockid_t clock)
{
	struct timespec now;

	return clock_gettime(clock, &now) == 0 ? (double)now.tv_sec + (double)now.tv_nsec * 1e-9 : 0;
}

double wall_seconds(void)
{
	return seconds_of(CLOCK_MONOTONIC);
}

double cpu_seconds(const pid_t *pids, int len)
{
	double sum = 0;

	for (int i = 0; i < len; i++) {
		clockid_t clock;

		if (clock_getcpuclockid(pids[i], &clock) == 0)
			sum += seconds_of(clock);
	}
	return sum;
}

static void set(const struct setting *setting, const char *value)
{
	switch (setting->kind) {
	case SETTING_PORT:
		*(uint16_t *)setting->to = (uint16_t)strtoul(value, NULL, 10);
		break;
	case SETTING_LONG:
		*(long *)setting->to = strtol(value, NULL, 10);
		break;
	case SETTING_DOUBLE:
		*(double *)setting->to = strtod(value, NULL);
		break;
	case SETTING_TEXT:
		*(const char **)setting->to = value;
		break;
	case SETTING_FLAG:
		*(bool *)setting->to = true;
		break;
	}
}

int read_command_line(int argc, char **argv, const struct setting *settings, pid_t *ret_pids, int max)
{
	int at = 1, len = 0;

	for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
		const struct setting *setting = settings;

		while (setting->name != NULL && strcmp(setting->name, argv[at] + 2) != 0)
			setting++;
		if (setting->name == NULL || (setting->kind != SETTING_FLAG && at + 1 == argc)) {
			fprintf(stderr, "%s: %s?\n", argv[0], argv[at]);
			exit(2);
		}
		set(setting, setting->kind == SETTING_FLAG ? NULL : argv[++at]);
	}
	for (; at < argc && len < max; at++)
		ret_pids[len++] = (pid_t)strtol(argv[at], NULL, 10);
	return len;
}
