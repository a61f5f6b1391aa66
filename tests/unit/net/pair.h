/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of a channel's two ends share: certificates, one loop, and how an end is judged. */
#pragma once

#include "ends.h"

#include "unit.h"

#include <string.h>

static struct pki pki;
static uv_loop_t loop;

static struct channel_tls *server_tls(void)
{
	return tls_server(pki.controlplane, pki.key, pki.ca, false);
}

static struct channel_tls *client_tls(void)
{
	return tls_client(NULL, pki.agent, pki.key, pki.ca, NULL);
}

static void run_out(const struct end *server, const struct end *client)
{
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	ck_assert_int_eq(server->closed, 1);
	ck_assert_int_eq(client->closed, 1);
}

static void check_why(const struct end *end, int code, const char *words)
{
	ck_assert_msg(end->why.code == code && strstr(end->why.text, words) != NULL, "%d %s (wanted %d %s)", end->why.code,
	              end->why.text, code, words);
}
