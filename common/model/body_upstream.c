/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of upstreams. */
#include "model/address.h"
#include "model/body_tls.h"

#include <string.h>

#define NODES_MAX 64

static bool node_is_again(const Tlsplane__Upstream *upstream, size_t index)
{
	const Tlsplane__Node *node = upstream->nodes[index];

	for (size_t i = 0; i < index; i++)
		if (upstream->nodes[i]->port == node->port && strcmp(upstream->nodes[i]->host, node->host) == 0)
			return true;
	return false;
}

static void find_node(const Tlsplane__Upstream *upstream, size_t index, struct findings *findings)
{
	const Tlsplane__Node *node = upstream->nodes[index];

	if (!address_is_normal(node->host))
		BODY_ERROR(findings, "invalid-value", "/nodes",
		          "the host of node %zu is neither a name nor an IP address in normal form", index + 1);
	if (node->port < 1 || node->port > 65535)
		BODY_ERROR(findings, "out-of-range", "/nodes", "the port of node %zu must be 1 to 65535, is %u", index + 1,
		          node->port);
	if (node->weight > 1000)
		BODY_ERROR(findings, "out-of-range", "/nodes", "the weight of node %zu must be 0 to 1000, is %u", index + 1,
		          node->weight);
	if (node_is_again(upstream, index))
		BODY_ERROR(findings, "duplicate", "/nodes", "node %zu names a host and port that stand before it", index + 1);
}

static void find_nodes(const Tlsplane__Upstream *upstream, struct findings *findings)
{
	bool takes = false;

	body_find_count(findings, "/nodes", upstream->n_nodes, 1, NODES_MAX);
	for (size_t i = 0; i < upstream->n_nodes && i < NODES_MAX; i++) {
		find_node(upstream, i, findings);
		takes = takes || upstream->nodes[i]->weight > 0;
	}
	if (upstream->n_nodes > 0 && !takes)
		BODY_ERROR(findings, "out-of-range", "/nodes", "at least one node must have a weight above 0");
}

void body_find_upstream(const ProtobufCMessage *body, struct findings *findings)
{
	const Tlsplane__Upstream *upstream = (const Tlsplane__Upstream *)body;

	find_nodes(upstream, findings);
	if (upstream->has_connect_timeout_ms)
		body_find_number(findings, "/connect_timeout", upstream->connect_timeout_ms, 1, 300000);
	body_find_id(findings, "/upstream_tls", upstream->upstream_tls);
	if (upstream->upstream_tls != NULL && upstream->has_tls && !upstream->tls)
		BODY_ERROR(findings, "conflicting-fields", "/upstream_tls",
		           "the scheme is \"tcp\", which speaks no TLS: use \"tls\", or leave upstream_tls out");
	if (upstream->has_send_proxy_protocol)
		body_find_number(findings, "/send_proxy_protocol", upstream->send_proxy_protocol, 1, 2);
	if (upstream->has_max_fails)
		body_find_number(findings, "/max_fails", upstream->max_fails, 0, 100);
	if (upstream->has_fail_timeout_ms)
		body_find_number(findings, "/fail_timeout", upstream->fail_timeout_ms, 100, 3600000);
}
