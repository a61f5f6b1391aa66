/* SPDX-License-Identifier: Apache-2.0 */
/* The presets: TLS options that exist without being stored, written as a user would write them and read by the same code.
 *   modern        TLS 1.3 alone; holds when nothing else is chosen
 *   intermediate  1.2 and 1.3, forward secrecy and AEAD only (Mozilla's "intermediate" without its DHE suites)
 *   old           everything this OpenSSL still has, for clients that can't be helped
 *   krakend       what sslscan says of KrakenD's defaults: TLS 1.3, the server's order, P-521 before P-384 before P-256 */
#include "model/resource.h"

#include "model/fields.h"

#include <string.h>

#define SUITES_13 "\"TLS_AES_128_GCM_SHA256\", \"TLS_AES_256_GCM_SHA384\", \"TLS_CHACHA20_POLY1305_SHA256\""
#define SUITES_12                                                                                                      \
	"\"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\", \"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\", "                         \
	"\"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\", \"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\", "                         \
	"\"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256\", \"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256\""
#define SUITES_OLD                                                                                                     \
	"\"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256\", \"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256\", "                         \
	"\"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA\", \"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA\", "                               \
	"\"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384\", \"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384\", "                         \
	"\"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA\", \"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA\", "                               \
	"\"TLS_RSA_WITH_AES_128_GCM_SHA256\", \"TLS_RSA_WITH_AES_256_GCM_SHA384\", \"TLS_RSA_WITH_AES_128_CBC_SHA256\", "  \
	"\"TLS_RSA_WITH_AES_256_CBC_SHA256\", \"TLS_RSA_WITH_AES_128_CBC_SHA\", \"TLS_RSA_WITH_AES_256_CBC_SHA\""
#define GROUPS "\"x25519\", \"secp256r1\", \"secp384r1\", \"secp521r1\""

static const struct preset {
	const char *id;
	const char *document;
} presets[] = {
	{"modern", "{\"min_version\": \"TLSv1.3\", \"max_version\": \"TLSv1.3\", \"cipher_suites\": [" SUITES_13 "],"
               " \"curve_preferences\": [" GROUPS "]}"},
	{"intermediate",
     "{\"min_version\": \"TLSv1.2\", \"max_version\": \"TLSv1.3\", \"cipher_suites\": [" SUITES_13 ", " SUITES_12 "],"
     " \"curve_preferences\": [" GROUPS "]}"},
	{"old", "{\"min_version\": \"TLSv1.0\", \"max_version\": \"TLSv1.3\", \"prefer_server_ciphers\": true,"
            " \"cipher_suites\": [" SUITES_13 ", " SUITES_12 ", " SUITES_OLD "], \"curve_preferences\": [" GROUPS "]}"},
	{"krakend",
     "{\"min_version\": \"TLSv1.3\", \"max_version\": \"TLSv1.3\", \"prefer_server_ciphers\": true,"
     " \"cipher_suites\": [" SUITES_13 "], \"curve_preferences\": [\"secp521r1\", \"secp384r1\", \"secp256r1\"]}"},
};

bool resource_is_preset(enum kind kind, const char *id)
{
	for (size_t i = 0; i < ARRAY_LEN(presets) && kind == KIND_TLS_OPTIONS; i++)
		if (strcmp(presets[i].id, id) == 0)
			return true;
	return false;
}

int resource_preset(size_t index, struct resource **ret, struct error *err)
{
	json_t *document;
	int r;

	if (index >= ARRAY_LEN(presets))
		return error_set(err, E_NOT_FOUND, "there are %zu presets", ARRAY_LEN(presets));
	r = resource_load_json(BYTES(presets[index].document, strlen(presets[index].document)), &document, err);
	if (r < 0)
		return r;
	r = resource_parse_builtin(presets[index].id, document, ret, err);
	json_decref(document);
	return r;
}
