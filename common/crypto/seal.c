/* SPDX-License-Identifier: Apache-2.0 */
/* Keyring file and AES-256-GCM. The nonce is random: with 96 bits and one key, 2^32 seals keep the chance of a repeat
 * below 2^-32 (NIST SP 800-38D 8.3); rotate before. */
#include "crypto/seal.h"

#include "base/file.h"
#include "crypto/crypto.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_LEN 32
#define NONCE_LEN 12
#define TAG_LEN 16
#define SEAL_VERSION 1
#define FILE_MAX (64 * 1024)
#define FILE_HEADER "tlsplane-keyring-v1\n"

DEFINE_CLEANUP(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free);

struct keyring_key {
	struct keyring_entry entry;
	uint8_t key[KEY_LEN];
};

struct keyring {
	struct keyring_key keys[KEYRING_KEYS_MAX]; /* oldest first */
	size_t count;
};

struct keyring *keyring_free(struct keyring *keyring)
{
	if (keyring != NULL) {
		secret_wipe(keyring, sizeof(*keyring));
		free(keyring);
	}
	return NULL;
}

static const struct keyring_key *keyring_find(const struct keyring *keyring, uint32_t id)
{
	for (size_t i = 0; i < keyring->count; i++) {
		if (keyring->keys[i].entry.id == id)
			return &keyring->keys[i];
	}
	return NULL;
}

/* "ID HEX64\n" from [*text, end). False: not that. */
static bool keyring_read_line(struct keyring *keyring, const char **text, const char *end)
{
	struct keyring_key *key = &keyring->keys[keyring->count];
	const char *at = *text;
	uint64_t id = 0;

	if (keyring->count == KEYRING_KEYS_MAX || at == end || *at < '0' || *at > '9')
		return false;
	for (; at < end && *at >= '0' && *at <= '9' && id <= UINT32_MAX; at++)
		id = id * 10 + (uint64_t)(*at - '0');
	if (id > UINT32_MAX || end - at < 1 + 2 * KEY_LEN + 1 || *at++ != ' ' ||
	    keyring_find(keyring, (uint32_t)id) != NULL)
		return false;
	if (!crypto_unhex(at, 2 * KEY_LEN, key->key) || at[2 * KEY_LEN] != '\n')
		return false;
	at += 2 * KEY_LEN + 1;
	key->entry.id = (uint32_t)id;
	keyring->count++;
	*text = at;
	return true;
}

static int key_set_fingerprint(struct keyring_key *key, struct error *err)
{
	CLEANUP(buf_deinit) struct buf input = {.sensitive = true};
	uint8_t digest[SHA256_LEN];
	int r;

	buf_put(&input, "tlsplane/keyring/v1", sizeof("tlsplane/keyring/v1"));
	buf_put_u32(&input, key->entry.id);
	buf_put(&input, key->key, KEY_LEN);
	if (input.failed)
		return error_nomem(err);
	r = crypto_sha256(BYTES(input.data, input.len), digest, err);
	if (r < 0)
		return r;
	memcpy(key->entry.fingerprint, digest, sizeof(key->entry.fingerprint));
	return 0;
}

static int keyring_parse(const char *text, size_t len, struct keyring **ret, struct error *err)
{
	CLEANUP(keyring_free) struct keyring *keyring = calloc(1, sizeof(*keyring));
	const char *end = text + len;
	int r;

	if (keyring == NULL)
		return error_nomem(err);
	if (len < strlen(FILE_HEADER) || memcmp(text, FILE_HEADER, strlen(FILE_HEADER)) != 0)
		return error_set(err, E_CORRUPT, "not a keyring: the first line is not tlsplane-keyring-v1");
	text += strlen(FILE_HEADER);
	while (text < end) {
		if (!keyring_read_line(keyring, &text, end))
			return error_set(err, E_CORRUPT, "not a keyring: key %zu is not \"ID HEX64\" with a new id",
			                 keyring->count + 1);
	}
	if (keyring->count == 0)
		return error_set(err, E_CORRUPT, "a keyring without a key");
	for (size_t i = 0; i < keyring->count; i++) {
		r = key_set_fingerprint(&keyring->keys[i], err);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(keyring);
	return 0;
}

static int keyring_read(int fd, struct keyring **ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf text = {.sensitive = true};
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return error_set(err, E_IO, "stat: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, E_CORRUPT, "not a regular file");
	if ((st.st_mode & 077) != 0)
		return error_set(err, E_CORRUPT, "open to others (mode %03o); make it 0600", (unsigned)st.st_mode & 0777);
	r = file_load_fd(fd, "it", FILE_MAX, &text, err);
	if (r == E_TOO_LARGE)
		return error_set(err, E_CORRUPT, "not a keyring: larger than %d bytes", FILE_MAX);
	if (r < 0)
		return r;
	return keyring_parse((const char *)text.data, text.len, ret, err);
}

static void put_line(const struct keyring_key *key, struct buf *text)
{
	char hex[2 * KEY_LEN + 1], id[16];

	crypto_hex(key->key, KEY_LEN, hex);
	snprintf(id, sizeof(id), "%u ", (unsigned)key->entry.id);
	buf_put_str(text, id);
	buf_put(text, hex, 2 * KEY_LEN);
	buf_put_str(text, "\n");
	secret_wipe(hex, sizeof(hex));
}

int keyring_save(const struct keyring *keyring, const char *path, bool replace, struct error *err)
{
	CLEANUP(buf_deinit) struct buf text = {.sensitive = true};

	buf_put_str(&text, FILE_HEADER);
	for (size_t i = 0; i < keyring->count; i++)
		put_line(&keyring->keys[i], &text);
	if (text.failed)
		return error_nomem(err);
	return replace ? file_replace(path, 0600, BYTES(text.data, text.len), err)
	               : file_create(path, 0600, BYTES(text.data, text.len), err);
}

/* Appends a random key with this id. */
static int put_random(struct keyring *keyring, uint32_t id, struct error *err)
{
	struct keyring_key *key = &keyring->keys[keyring->count];
	int r = crypto_random(key->key, KEY_LEN, err);

	if (r < 0)
		return r;
	key->entry.id = id;
	keyring->count++;
	return key_set_fingerprint(key, err);
}

int keyring_make(struct keyring **ret, struct error *err)
{
	CLEANUP(keyring_free) struct keyring *keyring = calloc(1, sizeof(*keyring));
	int r = keyring == NULL ? error_nomem(err) : put_random(keyring, 1, err);

	if (r == 0)
		*ret = TAKE_PTR(keyring);
	return r;
}

/* One that exists is never replaced. */
static int keyring_make_file(const char *path, struct error *err)
{
	CLEANUP(keyring_free) struct keyring *keyring = NULL;
	int r = keyring_make(&keyring, err);

	if (r == 0)
		r = keyring_save(keyring, path, false, err);
	return r == E_EXISTS ? 0 : r;
}

static int keyring_open_file(const char *path, struct keyring **ret, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r;

	if (fd < 0)
		return error_set(err, error_from_errno(errno), "%s", strerror(errno));
	r = keyring_read(fd, ret, err);
	close(fd);
	return r;
}

int keyring_load(const char *path, bool create, struct keyring **ret, struct error *err)
{
	int r = keyring_open_file(path, ret, err);

	if (r == E_NOT_FOUND && create) {
		r = keyring_make_file(path, err);
		if (r == 0)
			r = keyring_open_file(path, ret, err);
	}
	return r < 0 ? error_prefix(err, r, "keyring %s", path) : 0;
}

void keyring_fingerprint(const struct keyring *keyring, uint8_t fingerprint[KEYRING_FINGERPRINT_LEN])
{
	memcpy(fingerprint, keyring->keys[0].entry.fingerprint, KEYRING_FINGERPRINT_LEN);
}

size_t keyring_size(const struct keyring *keyring)
{
	return keyring->count;
}

struct keyring_entry keyring_entry(const struct keyring *keyring, size_t index)
{
	assert(index < keyring->count);
	return keyring->keys[index].entry;
}

int keyring_add(const struct keyring *keyring, struct keyring **ret, struct error *err)
{
	CLEANUP(keyring_free) struct keyring *more = malloc(sizeof(*more));
	uint32_t newest = 0;
	int r;

	if (more == NULL)
		return error_nomem(err);
	*more = *keyring;
	for (size_t i = 0; i < more->count; i++)
		newest = more->keys[i].entry.id > newest ? more->keys[i].entry.id : newest;
	if (more->count == KEYRING_KEYS_MAX || newest == UINT32_MAX)
		return error_set(err, E_TOO_LARGE, "the keyring is full (%zu keys, the newest is %u)", more->count, (unsigned)newest);
	r = put_random(more, newest + 1, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(more);
	return 0;
}

int keyring_select(const struct keyring *keyring, bool (*is_wanted)(const struct keyring_entry *entry, void *context), void *context,
                   struct keyring **ret, struct error *err)
{
	struct keyring *some = calloc(1, sizeof(*some));

	if (some == NULL)
		return error_nomem(err);
	for (size_t i = 0; i < keyring->count; i++) {
		if (is_wanted(&keyring->keys[i].entry, context))
			some->keys[some->count++] = keyring->keys[i];
	}
	assert(some->count > 0);
	*ret = some;
	return 0;
}

/* Encrypts data[0, len) in place and makes the tag. */
static int seal_in_place(const struct keyring_key *key, const uint8_t *nonce, struct bytes aad, uint8_t *data,
                         size_t len, uint8_t *tag, struct error *err)
{
	CLEANUP(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t rest[16];
	int n;

	if (ctx == NULL)
		return error_nomem(err);
	if (EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->key, nonce) != 1 ||
	    EVP_EncryptUpdate(ctx, NULL, &n, aad.data, (int)aad.len) != 1 ||
	    (len > 0 && EVP_EncryptUpdate(ctx, data, &n, data, (int)len) != 1) || EVP_EncryptFinal_ex(ctx, rest, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) != 1)
		return crypto_error(err, "seal");
	return 0;
}

int keyring_seal(const struct keyring *keyring, struct bytes aad, struct bytes plain, struct buf *out,
                 struct error *err)
{
	const struct keyring_key *key = &keyring->keys[keyring->count - 1];
	uint8_t nonce[NONCE_LEN], tag[TAG_LEN];
	size_t before = out->len, start;
	int r;

	if (plain.len > INT_MAX || aad.len > INT_MAX)
		return error_set(err, E_TOO_LARGE, "too large to seal");
	r = crypto_random(nonce, sizeof(nonce), err);
	if (r < 0)
		return r;
	buf_put_u8(out, SEAL_VERSION);
	buf_put_u32(out, key->entry.id);
	buf_put(out, nonce, sizeof(nonce));
	start = out->len;
	buf_put(out, plain.data, plain.len);
	if (out->failed)
		return error_nomem(err);
	r = seal_in_place(key, nonce, aad, out->data + start, plain.len, tag, err);
	if (r < 0) {
		secret_wipe(out->data + start, plain.len);
		out->len = before;
		return r;
	}
	buf_put(out, tag, sizeof(tag)); /* only now: growing may leave a copy behind, so no plain text may be in it */
	return out->failed ? error_nomem(err) : 0;
}

static int open_with(const struct keyring_key *key, const uint8_t *nonce, struct bytes aad, struct bytes cipher,
                     const uint8_t *tag, struct secret **ret, struct error *err)
{
	CLEANUP(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	CLEANUP(secret_free) struct secret *plain = secret_new(cipher.len);
	uint8_t rest[16], expected[TAG_LEN];
	int n;

	if (ctx == NULL || plain == NULL)
		return error_nomem(err);
	memcpy(expected, tag, TAG_LEN);
	if (EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->key, nonce) != 1 ||
	    EVP_DecryptUpdate(ctx, NULL, &n, aad.data, (int)aad.len) != 1 ||
	    (cipher.len > 0 && EVP_DecryptUpdate(ctx, plain->data, &n, cipher.data, (int)cipher.len) != 1) ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, expected) != 1)
		return crypto_error(err, "open a sealed secret");
	if (EVP_DecryptFinal_ex(ctx, rest, &n) != 1)
		return error_set(err, E_CORRUPT, "a sealed secret was changed, or belongs elsewhere");
	*ret = TAKE_PTR(plain);
	return 0;
}

int keyring_open(const struct keyring *keyring, struct bytes aad, struct bytes sealed, struct secret **ret,
                 struct error *err)
{
	struct cursor cursor = {.data = sealed.data, .left = sealed.len};
	const struct keyring_key *key;
	struct bytes nonce, cipher, tag;
	uint8_t version;
	uint32_t id;

	if (sealed.len < SEAL_OVERHEAD || sealed.len > INT_MAX || aad.len > INT_MAX)
		return error_set(err, E_CORRUPT, "a sealed secret of %zu bytes", sealed.len);
	version = cursor_u8(&cursor);
	id = cursor_u32(&cursor);
	nonce = cursor_bytes(&cursor, NONCE_LEN);
	cipher = cursor_bytes(&cursor, sealed.len - SEAL_OVERHEAD);
	tag = cursor_bytes(&cursor, TAG_LEN);
	if (version != SEAL_VERSION)
		return error_set(err, E_CORRUPT, "a sealed secret of unknown form %u", version);
	key = keyring_find(keyring, id);
	if (key == NULL)
		return error_set(err, E_CORRUPT, "sealed with key %u, which the keyring lacks", (unsigned)id);
	return open_with(key, nonce.data, aad, cipher, tag.data, ret, err);
}

bool seal_key_id(struct bytes sealed, uint32_t *ret)
{
	struct cursor cursor = {.data = sealed.data, .left = sealed.len};

	if (sealed.len < SEAL_OVERHEAD || cursor_u8(&cursor) != SEAL_VERSION)
		return false;
	*ret = cursor_u32(&cursor);
	return true;
}
