/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of kinds. */
#include "model/kind.h"

#include "base/macros.h"
#include "channel.pb-c.h"

#include <string.h>

const struct kind_info kind_table[] = {
	{KIND_SSL, "ssls", "SSL object", true, true, &tlsplane__ssl__descriptor},
	{KIND_TLS_OPTIONS, "tls_options", "TLS options object", true, false, &tlsplane__tls_options__descriptor},
	{KIND_LISTENER, "listeners", "listener", true, false, &tlsplane__listener__descriptor},
	{KIND_UPSTREAM, "upstreams", "upstream", true, false, &tlsplane__upstream__descriptor},
	{KIND_CA_BUNDLE, "ca_bundles", "CA bundle", true, false, &tlsplane__ca_bundle__descriptor},
	{KIND_ROUTE, "routes", "route", true, false, &tlsplane__route__descriptor},
	{KIND_UPSTREAM_TLS, "upstream_tls", "upstream TLS object", true, false, &tlsplane__upstream_tls__descriptor},
	{KIND_AGENT, "agents", "agent", false, false, &tlsplane__agent__descriptor},
	{KIND_JOIN_TOKEN, "join_tokens", "join token", false, false, &tlsplane__join_token__descriptor},
};

const size_t kind_table_len = ARRAY_LEN(kind_table);

const struct kind_info *kind_find(unsigned number)
{
	for (size_t i = 0; i < ARRAY_LEN(kind_table); i++)
		if (kind_table[i].kind == number)
			return &kind_table[i];
	return NULL;
}

const struct kind_info *kind_find_collection(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(kind_table); i++)
		if (strcmp(kind_table[i].collection, word) == 0)
			return &kind_table[i];
	return NULL;
}

static bool kind_is_id_byte(char c, bool first)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')
		return true;
	return !first && (c == '.' || c == '-');
}

bool kind_is_id(const char *id, size_t len)
{
	if (len == 0 || len > ID_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!kind_is_id_byte(id[i], i == 0))
			return false;
	return true;
}
