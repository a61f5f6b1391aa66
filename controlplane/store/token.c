/* SPDX-License-Identifier: Apache-2.0 */
#include "store/token.h"

#include "base/secret.h"
#include "crypto/crypto.h"

void token_put_base64url(struct bytes data, struct buf *out)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	unsigned count = 0;

	for (size_t i = 0; i < data.len; i++) {
		bits = bits << 8 | data.data[i];
		for (count += 8; count >= 6; count -= 6)
			buf_put_u8(out, (uint8_t)alphabet[bits >> (count - 6) & 63]);
	}
	if (count > 0)
		buf_put_u8(out, (uint8_t)alphabet[bits << (6 - count) & 63]);
}

int token_make(const char *role, struct buf *out, uint8_t sha256[32], struct error *err)
{
	uint8_t secret[TOKEN_SECRET_LEN];
	size_t start = out->len;
	int code = crypto_random(secret, sizeof(secret), err);

	if (code != 0)
		return code;
	out->sensitive = true;
	buf_put_str(out, "tlsplane_");
	buf_put_str(out, role);
	buf_put_str(out, "_");
	token_put_base64url(BYTES(secret, sizeof(secret)), out);
	secret_wipe(secret, sizeof(secret));
	if (out->failed)
		return error_nomem(err);
	return crypto_sha256(BYTES(out->data + start, out->len - start), sha256, err);
}
