/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

struct secret *secret_new(size_t len)
{
	struct secret *secret = calloc(1, sizeof(*secret) + len);

	if (secret != NULL)
		secret->len = len;
	return secret;
}

struct secret *secret_new_copy(const void *data, size_t len)
{
	struct secret *secret = secret_new(len);

	if (secret != NULL && len > 0)
		memcpy(secret->data, data, len);
	return secret;
}

struct secret *secret_free(struct secret *secret)
{
	if (secret != NULL) {
		secret_wipe(secret->data, secret->len);
		free(secret);
	}
	return NULL;
}

bool secret_is_equal(struct bytes a, struct bytes b)
{
	volatile uint8_t differ = 0;

	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		differ |= (uint8_t)(a.data[i] ^ b.data[i]);
	return differ == 0;
}

void secret_wipe(void *data, size_t len)
{
	if (len > 0)
		explicit_bzero(data, len);
}
