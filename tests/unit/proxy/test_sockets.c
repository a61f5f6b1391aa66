/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets by address: taken ports, moves, removal; and the group that one address is. */
#include "plane.h"
#include "proxy/group.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct plane plane;

static bool is_served(uint16_t port)
{
	struct peer peer;
	bool served = peer_connect(&peer, port);

	if (served)
		peer_close(&peer);
	return served;
}

static void wait_served(uint16_t port, bool want)
{
	for (int i = 0; is_served(port) != want; i++) {
		ck_assert_int_lt(i, 1000);
		plane_run(&plane, 10);
	}
}

START_TEST(test_group)
{
	char address[32], wild[32];
	struct error err = ERROR_NULL;
	uint16_t port = free_port();
	int fds[4], more[4];

	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	snprintf(wild, sizeof(wild), "0.0.0.0:%u", port);
	ck_assert_msg(group_open(address, 4, fds, &err) == 0, "%s", err.text);
	ck_assert_int_eq(group_open(address, 4, more, &err), E_BUSY); /* another agent of the same user */
	ck_assert_int_eq(group_open(wild, 1, more, &err), E_BUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "Address already in use"));
	for (int i = 0; i < 64; i++) { /* they share: each gets some */
		int fd = connect_to_port(port);

		ck_assert_int_ge(fd, 0);
		close(fd);
	}
	for (int i = 0; i < 4; i++)
		ck_assert_int_ge(accept(fds[i], NULL, NULL), 0);
	group_close(fds, 4);
	ck_assert_int_eq(group_open(address, 2, fds, &err), 0);
	group_close(fds, 2);
	ck_assert_int_eq(group_open("192.0.2.1:8443", 1, fds, &err), E_UNAVAILABLE);
	ck_assert_int_lt(group_open("nonsense:1", 1, fds, &err), 0);
}
END_TEST

START_TEST(test_ipv6)
{
	char address[32];
	struct error err = ERROR_NULL;
	uint16_t port = free_port();
	int fds[2], fd;

	snprintf(address, sizeof(address), "[::]:%u", port);
	if (group_open(address, 2, fds, &err) < 0)
		return;                 /* a machine without IPv6 */
	fd = connect_to_port(port); /* "::" serves IPv4 too */
	ck_assert_int_ge(fd, 0);
	close(fd);
	group_close(fds, 2);
	snprintf(address, sizeof(address), "[::1]:%u", port);
	if (group_open(address, 2, fds, &err) == 0) {
		ck_assert_int_lt(connect_to_port(port), 0);
		group_close(fds, 2);
	}
}
END_TEST

/* A taken port holds nothing else up, is told with its reason, and mends itself. */
START_TEST(test_taken_and_mended)
{
	uint16_t port = free_port();
	int squatter = listen_on(port);

	plane_init(&plane, 2);
	plane_begin(&plane);
	holding_put_listener(&plane.holding, "m", "127.0.0.1", port, "u", NULL, 0);
	plane_publish(&plane);
	ck_assert(is_served(plane.port));
	ck_assert_uint_eq(plane.states_len, 1);
	ck_assert_ptr_nonnull(strstr(plane.states[0], "m: 127.0.0.1:"));
	ck_assert_ptr_nonnull(strstr(plane.states[0], "Address already in use"));
	ck_assert_int_eq((int)plane_connections(&plane, "m"), -1);
	plane_run(&plane, 500); /* tries again, tells nothing new */
	ck_assert_uint_eq(plane.states_len, 1);
	close(squatter);
	for (int i = 0; plane.states_len < 2; i++) {
		ck_assert_int_lt(i, 1000);
		plane_run(&plane, 10);
	}
	ck_assert_str_eq(plane.states[1], "m: well");
	ck_assert(is_served(port));
	plane_deinit(&plane);
}
END_TEST

/* A listener that moves keeps its old address until the new one is bound. */
START_TEST(test_move)
{
	uint16_t port = free_port(), first;
	int squatter = listen_on(port);

	plane_init(&plane, 2);
	first = plane.port;
	plane_begin(&plane);
	holding_put_listener(&plane.holding, "l", "127.0.0.1", port, "u", NULL, 0);
	plane_publish(&plane);
	ck_assert(is_served(first));
	plane_begin(&plane); /* and through further snapshots */
	holding_put_ssl(&plane.holding, "a", &(struct ssl_spec){.snis = {"a.test"}, .pairs = {plane.cert}});
	plane_publish(&plane);
	plane_run(&plane, 100);
	ck_assert(is_served(first));
	ck_assert_int_ge((int)plane_connections(&plane, "l"), 0);
	close(squatter);
	wait_served(port, true);
	wait_served(first, false);
	ck_assert_uint_eq(plane.states_len, 2);
	ck_assert_str_eq(plane.states[1], "l: well");
	plane_deinit(&plane);
}
END_TEST

/* Moved away from a taken port, or deleted: it is well again, since nobody wants that address. */
START_TEST(test_degraded_goes)
{
	uint16_t port = free_port();
	int squatter = listen_on(port);

	plane_init(&plane, 1);
	plane_begin(&plane);
	holding_put_listener(&plane.holding, "m", "127.0.0.1", port, "u", NULL, 0);
	plane_publish(&plane);
	plane_begin(&plane);
	holding_remove(&plane.holding, KIND_LISTENER, "m");
	plane_publish(&plane);
	ck_assert_uint_eq(plane.states_len, 2);
	ck_assert_str_eq(plane.states[1], "m: well");
	close(squatter);
	plane_deinit(&plane);
}
END_TEST

/* Removed and wanted again at once: the address must be free of its own old sockets first. Connections are not cut by
 * either. */
START_TEST(test_remove_and_back)
{
	struct peer peer;
	int backend;

	plane_init(&plane, 2);
	ck_assert(peer_connect(&peer, plane.port));
	backend = accept_on(plane.backend);
	plane_begin(&plane);
	holding_remove(&plane.holding, KIND_LISTENER, "l");
	plane_publish(&plane);
	plane_begin(&plane);
	holding_put_listener(&plane.holding, "l", "127.0.0.1", plane.port, "u", NULL, 0);
	plane_publish(&plane);
	wait_served(plane.port, true);
	peer_write(&peer, "still");
	fd_expect(backend, "still");
	plane_begin(&plane);
	holding_remove(&plane.holding, KIND_LISTENER, "l");
	plane_publish(&plane);
	wait_served(plane.port, false);
	fd_write(backend, "here");
	peer_expect(&peer, "here");
	close(backend);
	peer_close(&peer);
	plane_deinit(&plane);
}
END_TEST

/* Another listener takes the address over: the same sockets go on, with the new one's upstream. */
START_TEST(test_take_over)
{
	int other = listen_on(0), fd;
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	uint16_t port;
	struct peer peer;

	plane_init(&plane, 2);
	ck_assert_int_eq(getsockname(other, (struct sockaddr *)&address, &len), 0);
	port = (uint16_t)(((uint8_t *)&address)[2] << 8 | ((uint8_t *)&address)[3]);
	plane_begin(&plane);
	holding_remove(&plane.holding, KIND_LISTENER, "l");
	holding_put_upstream(&plane.holding, "v", &port, 1);
	holding_put_listener(&plane.holding, "n", "127.0.0.1", plane.port, "v", NULL, 0);
	plane_publish(&plane);
	ck_assert(peer_connect(&peer, plane.port));
	fd = accept_on(other);
	peer_write(&peer, "x");
	fd_expect(fd, "x");
	ck_assert_int_eq((int)plane_connections(&plane, "n"), 1);
	ck_assert_int_eq((int)plane_connections(&plane, "l"), -1);
	close(fd);
	close(other);
	peer_close(&peer);
	plane_deinit(&plane);
}
END_TEST

UNIT_MAIN("proxy/sockets", test_group, test_ipv6, test_taken_and_mended, test_move, test_degraded_goes,
          test_remove_and_back, test_take_over)
