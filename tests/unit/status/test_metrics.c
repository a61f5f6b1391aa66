/* SPDX-License-Identifier: Apache-2.0 */
/* The page of an agent that holds nothing yet: every metric has its HELP and TYPE before its samples, and stands once.
 */
#include "status/metrics.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int on_send(Tlsplane__MessageType type, const ProtobufCMessage *message, void *owner, struct error *err)
{
	return 0;
}

static void on_listener_state(const char *listener_id, const char *reason, void *owner)
{
}

static void on_closed(void *owner)
{
	(*(unsigned *)owner)++;
}

static void check_line(const char *line, const char *text, const char *at)
{
	char name[128], head[160];

	if (line[0] == '#') {
		/* "# HELP NAME ..." stands once. */
		ck_assert(sscanf(line, "# %*s %127s", name) == 1);
		snprintf(head, sizeof(head), "# HELP %s ", name);
		ck_assert_ptr_nonnull(strstr(text, head));
		ck_assert_ptr_null(strstr(strstr(text, head) + 1, head));
		return;
	}
	ck_assert(sscanf(line, "%127[a-z_]", name) == 1);
	snprintf(head, sizeof(head), "# TYPE %s ", name);
	ck_assert_msg(strstr(text, head) != NULL && strstr(text, head) < at, "%s", line);
}

START_TEST(page_is_well_formed)
{
	static struct expiries expiries;
	struct status_sources sources = {0};
	struct apply_config config = {.ports = {.send = on_send}};
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;
	struct degraded degraded;
	const struct link *none = NULL;
	struct site_cache *sites;
	struct proxy *proxy;
	struct apply *apply;
	unsigned closed = 0;
	const char *text;
	uv_loop_t loop;
	char *copy, *save = NULL;

	uv_loop_init(&loop);
	config.snapshot.loop = &loop;
	degraded_init(&degraded, (struct hash_key){1, 2});
	ck_assert_int_eq(site_cache_new(NULL, 4, &sites, NULL), 0);
	ck_assert_int_eq(apply_start(&config, &apply, NULL), 0);
	ck_assert_int_eq(
	    proxy_start(
	        &(struct proxy_config){
	            .loop = &loop, .workers = 1, .sites = sites, .on_listener_state = on_listener_state, .owner = &closed},
	        &proxy, NULL),
	    0);
	sources =
	    (struct status_sources){.proxy = proxy, .apply = apply, .degraded = &degraded, .sites = sites, .link = &none};
	metrics_write(&sources, &expiries, &out);
	text = buf_cstr(&out);
	ck_assert_ptr_nonnull(text);
	ck_assert_ptr_nonnull(strstr(text, "\ntlsplane_agent_ready 0\n"));
	ck_assert_ptr_nonnull(strstr(text, "\ntlsplane_agent_connected 0\n"));
	copy = strdup(text);
	for (char *line = strtok_r(copy, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
		check_line(line, text, text + (line - copy));
	free(copy);
	proxy_close(proxy, 0, on_closed);
	apply_close(apply, on_closed, &closed);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_uint_eq(closed, 2);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	degraded_deinit(&degraded);
	site_cache_free(sites);
}
END_TEST

UNIT_MAIN("status/metrics", page_is_well_formed)
