/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/crypto.h"

#include "base/memory.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void *count_alloc(size_t size, const char *file, int line)
{
	return memory_alloc(size);
}

static void *count_realloc(void *old, size_t size, const char *file, int line)
{
	return memory_realloc(old, size);
}

int crypto_init(struct error *err)
{
	(void)CRYPTO_set_mem_functions(count_alloc, count_realloc, NULL); /* refused once OpenSSL has allocated: in a test */
	/* The first call decides: when libssl starts itself later, the configuration counts as done. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return crypto_error(err, "start OpenSSL");
	if (OSSL_LIB_CTX_get0_global_default() == NULL) /* made once; who uses it without having been told this falls over it */
		return error_nomem(err);
	return 0;
}

int crypto_sha256(struct bytes data, uint8_t digest[SHA256_LEN], struct error *err)
{
	uint8_t made[EVP_MAX_MD_SIZE];

	if (EVP_Digest(data.data, data.len, made, NULL, EVP_sha256(), NULL) != 1)
		return crypto_error(err, "SHA-256");
	memcpy(digest, made, SHA256_LEN);
	return 0;
}

int crypto_random(void *data, size_t len, struct error *err)
{
	uint8_t *at = data;

	while (len > 0) {
		int part = len > 1 << 20 ? 1 << 20 : (int)len;

		if (RAND_priv_bytes(at, part) != 1)
			return crypto_error(err, "random bytes");
		at += part;
		len -= (size_t)part;
	}
	return 0;
}

int crypto_hash_key(struct hash_key *key, struct error *err)
{
	struct hash_key made;
	int r = crypto_random(&made, sizeof(made), err);

	if (r < 0)
		return r;
	*key = made;
	return 0;
}

int crypto_error(struct error *err, const char *format, ...)
{
	char what[256], detail[256] = "";
	const char *data = NULL, *reason;
	int flags = 0, code;
	unsigned long newest = ERR_peek_last_error_data(&data, &flags);
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	code = ERR_GET_REASON(newest) == ERR_R_MALLOC_FAILURE ? E_NOMEM : E_CRYPTO;
	reason = newest != 0 ? ERR_reason_error_string(newest) : NULL;
	if (data != NULL && (flags & ERR_TXT_STRING) != 0 && data[0] != 0)
		snprintf(detail, sizeof(detail), " (%s)", data);
	error_set(err, code, "%s: %s%s", what, reason != NULL ? reason : "OpenSSL gave no reason", detail);
	ERR_clear_error();
	return code;
}

void crypto_hex(const void *data, size_t len, char *text)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	text[2 * len] = 0;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool crypto_unhex(const char *text, size_t len, void *ret)
{
	uint8_t *bytes = ret;

	for (size_t i = 0; i + 1 < len; i += 2) {
		int high = hex_value(text[i]), low = hex_value(text[i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i / 2] = (uint8_t)(high << 4 | low);
	}
	return len % 2 == 0;
}
