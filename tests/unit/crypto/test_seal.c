/* SPDX-License-Identifier: Apache-2.0 */
/* The keyring file (what is refused, that it is made once) and sealing (round trip, every byte matters). */
#include "crypto/seal.h"

#include "crypto/crypto.h"

#include "allocations.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEADER "tlsplane-keyring-v1\n"

static char folder[64];
static char path[128];

static void make_folder(void)
{
	snprintf(folder, sizeof(folder), "/tmp/test_seal.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/keyring", folder);
}

static void remove_folder(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0); /* nothing else was left in it */
}

static void write_file(const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
	ck_assert_int_eq(chmod(path, mode), 0);
}

static struct keyring *load(const char *text)
{
	struct keyring *keyring = NULL;
	struct error err = ERROR_NULL;

	write_file(text, 0600);
	ck_assert_msg(keyring_load(path, false, &keyring, &err) == 0, "%s", err.text);
	return keyring;
}

START_TEST(is_made_once)
{
	CLEANUP(keyring_free) struct keyring *first = NULL, *second = NULL;
	uint8_t a[8], b[8];
	struct stat st;
	struct error err = ERROR_NULL;

	make_folder();
	ck_assert_int_eq(keyring_load(path, false, &first, &err), E_NOT_FOUND);
	ck_assert_msg(keyring_load(path, true, &first, &err) == 0, "%s", err.text);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(keyring_load(path, true, &second, &err), 0);
	keyring_fingerprint(first, a);
	keyring_fingerprint(second, b);
	ck_assert_mem_eq(a, b, 8);
	remove_folder();
}
END_TEST

START_TEST(folder_is_missing)
{
	struct keyring *keyring = NULL;
	struct error err = ERROR_NULL;

	ck_assert_int_eq(keyring_load("/nonexistent/keyring", true, &keyring, &err), E_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/keyring"));
}
END_TEST

START_TEST(refuses_what_is_no_keyring)
{
	static const char *const texts[] = {
	    "",
	    "tlsplane-keyring-v1",
	    HEADER,
	    "tlsplane-keyring-v2\n1 " HEX_A "\n",
	    HEADER "1 " HEX_A,
	    HEADER "1 " HEX_A "\n1 " HEX_B "\n",
	    HEADER "1 " HEX_A "a\n",
	    HEADER "x " HEX_A "\n",
	    HEADER "4294967296 " HEX_A "\n",
	    HEADER "1 AAAAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
	    HEADER "1  " HEX_A "\n",
	    HEADER "1 " HEX_A "\n\n",
	    HEADER "1 " HEX_A "\n2",
	    HEADER "1 aa\n",
	};
	struct keyring *keyring = NULL;
	struct error err = ERROR_NULL;

	make_folder();
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		write_file(texts[i], 0600);
		ck_assert_msg(keyring_load(path, true, &keyring, &err) == E_CORRUPT, "%s", texts[i]);
		ck_assert_ptr_null(keyring);
		ck_assert_ptr_null(strstr(err.text, "aaaa"));
	}
	write_file(HEADER "1 " HEX_A "\n", 0640);
	ck_assert_int_eq(keyring_load(path, true, &keyring, &err), E_CORRUPT);
	ck_assert_ptr_nonnull(strstr(err.text, "0600"));
	remove_folder();
	ck_assert_int_eq(keyring_load("/tmp", true, &keyring, &err), E_CORRUPT);
}
END_TEST

START_TEST(opens_what_it_sealed)
{
	CLEANUP(keyring_free) struct keyring *keyring = NULL;
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	uint8_t plain[3000];
	struct error err = ERROR_NULL;

	make_folder();
	keyring = load(HEADER "1 " HEX_A "\n");
	ck_assert_int_eq(crypto_random(plain, sizeof(plain), &err), 0);
	for (size_t len = 0; len <= sizeof(plain); len += 750) {
		CLEANUP(secret_free) struct secret *opened = NULL;

		buf_reset(&sealed);
		buf_put_str(&sealed, "before");
		ck_assert_int_eq(keyring_seal(keyring, BYTES("place", 5), BYTES(plain, len), &sealed, &err), 0);
		ck_assert_uint_eq(sealed.len, 6 + len + SEAL_OVERHEAD);
		ck_assert_int_eq(
		    keyring_open(keyring, BYTES("place", 5), BYTES(sealed.data + 6, sealed.len - 6), &opened, &err), 0);
		ck_assert_uint_eq(opened->len, len);
		ck_assert(memcmp(opened->data, plain, len) == 0);
	}
	remove_folder();
}
END_TEST

START_TEST(every_byte_matters)
{
	CLEANUP(keyring_free) struct keyring *keyring = NULL;
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	struct secret *opened = NULL;
	struct error err = ERROR_NULL;

	make_folder();
	keyring = load(HEADER "1 " HEX_A "\n");
	ck_assert_int_eq(keyring_seal(keyring, BYTES("place", 5), BYTES("secret", 6), &sealed, &err), 0);
	for (size_t i = 0; i < sealed.len; i++) {
		sealed.data[i] ^= 0x10;
		ck_assert_int_eq(keyring_open(keyring, BYTES("place", 5), BYTES(sealed.data, sealed.len), &opened, &err),
		                 E_CORRUPT);
		sealed.data[i] ^= 0x10;
	}
	for (size_t len = 0; len < sealed.len; len++)
		ck_assert_int_eq(keyring_open(keyring, BYTES("place", 5), BYTES(sealed.data, len), &opened, &err), E_CORRUPT);
	ck_assert_int_eq(keyring_open(keyring, BYTES("elsewhere", 9), BYTES(sealed.data, sealed.len), &opened, &err),
	                 E_CORRUPT);
	ck_assert_int_eq(keyring_open(keyring, BYTES_NULL, BYTES(sealed.data, sealed.len), &opened, &err), E_CORRUPT);
	ck_assert_ptr_null(opened);
	remove_folder();
}
END_TEST

START_TEST(rotates)
{
	CLEANUP(keyring_free) struct keyring *old = NULL, *both = NULL, *newer = NULL;
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL, again = BUF_NULL;
	CLEANUP(secret_free) struct secret *opened = NULL;
	struct secret *none = NULL;
	uint8_t a[8], b[8], c[8];
	struct error err = ERROR_NULL;

	make_folder();
	old = load(HEADER "1 " HEX_A "\n");
	both = load(HEADER "1 " HEX_A "\n7 " HEX_B "\n");
	newer = load(HEADER "7 " HEX_B "\n");
	ck_assert_int_eq(keyring_seal(old, BYTES_NULL, BYTES("x", 1), &sealed, &err), 0);
	ck_assert_int_eq(keyring_open(both, BYTES_NULL, BYTES(sealed.data, sealed.len), &opened, &err), 0);
	ck_assert_int_eq(keyring_open(newer, BYTES_NULL, BYTES(sealed.data, sealed.len), &none, &err), E_CORRUPT);
	ck_assert_int_eq(keyring_seal(both, BYTES_NULL, BYTES("x", 1), &again, &err), 0);
	ck_assert_mem_eq(again.data, "\1\0\0\0\7", 5);
	keyring_fingerprint(old, a);
	keyring_fingerprint(both, b);
	keyring_fingerprint(newer, c);
	ck_assert_mem_eq(a, b, 8);
	ck_assert_mem_ne(a, c, 8);
	remove_folder();
}
END_TEST

static bool is_entry(const struct keyring_entry *entry, void *context)
{
	return entry->id == *(const uint32_t *)context;
}

START_TEST(sets_are_made_of_sets)
{
	CLEANUP(keyring_free) struct keyring *one = NULL, *two = NULL, *loaded = NULL, *last = NULL;
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	CLEANUP(secret_free) struct secret *opened = NULL;
	struct keyring_entry first, second;
	struct error err = ERROR_NULL;
	uint32_t id = 0, wanted = 8;

	make_folder();
	one = load(HEADER "7 " HEX_A "\n");
	ck_assert_int_eq(keyring_add(one, &two, &err), 0);
	ck_assert_uint_eq(keyring_size(one), 1);
	ck_assert_uint_eq(keyring_size(two), 2);
	first = keyring_entry(two, 0);
	second = keyring_entry(two, 1);
	ck_assert_uint_eq(first.id, 7);
	ck_assert_uint_eq(second.id, 8);
	ck_assert_mem_ne(first.fingerprint, second.fingerprint, 8);
	ck_assert_mem_eq(first.fingerprint, keyring_entry(one, 0).fingerprint, 8);

	ck_assert_int_eq(keyring_save(two, path, false, &err), E_EXISTS);
	ck_assert_int_eq(keyring_save(two, path, true, &err), 0);
	ck_assert_int_eq(keyring_load(path, false, &loaded, &err), 0);
	ck_assert_uint_eq(keyring_size(loaded), 2);
	ck_assert_mem_eq(keyring_entry(loaded, 1).fingerprint, second.fingerprint, 8);

	ck_assert_int_eq(keyring_select(loaded, is_entry, &wanted, &last, &err), 0);
	ck_assert_uint_eq(keyring_size(last), 1);
	ck_assert_uint_eq(keyring_entry(last, 0).id, 8);
	ck_assert_int_eq(keyring_seal(two, BYTES_NULL, BYTES("x", 1), &sealed, &err), 0);
	ck_assert_int_eq(keyring_open(last, BYTES_NULL, BYTES(sealed.data, sealed.len), &opened, &err), 0);
	ck_assert(seal_key_id(BYTES(sealed.data, sealed.len), &id));
	ck_assert_uint_eq(id, 8);
	ck_assert(!seal_key_id(BYTES(sealed.data, SEAL_OVERHEAD - 1), &id));
	sealed.data[0] = 2;
	ck_assert(!seal_key_id(BYTES(sealed.data, sealed.len), &id));
	remove_folder();
}
END_TEST

START_TEST(a_full_set_takes_no_more)
{
	CLEANUP(keyring_free) struct keyring *keyring = NULL, *highest = NULL;
	struct keyring *none = NULL;
	struct error err = ERROR_NULL;

	make_folder();
	keyring = load(HEADER "1 " HEX_A "\n");
	for (size_t i = 1; i < KEYRING_KEYS_MAX; i++) {
		struct keyring *more = NULL;

		ck_assert_int_eq(keyring_add(keyring, &more, &err), 0);
		keyring_free(keyring);
		keyring = more;
	}
	ck_assert_int_eq(keyring_add(keyring, &none, &err), E_TOO_LARGE);
	ck_assert_ptr_null(none);
	highest = load(HEADER "4294967295 " HEX_A "\n");
	ck_assert_int_eq(keyring_add(highest, &none, &err), E_TOO_LARGE);
	remove_folder();
}
END_TEST

START_TEST(no_memory)
{
	CLEANUP(keyring_free) struct keyring *keyring = NULL;
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	struct error err = ERROR_NULL;
	struct secret *opened = NULL;
	bool failed;
	int r;

	make_folder();
	for (size_t n = 1;; n++) {
		allocations_fail_at(n);
		r = keyring_load(path, true, &keyring, &err);
		failed = allocations_stop();
		if (r == 0)
			break;
		ck_assert(failed);
		ck_assert_int_eq(r, E_NOMEM);
		ck_assert_ptr_null(keyring);
	}
	allocations_fail_at(1);
	r = keyring_seal(keyring, BYTES_NULL, BYTES("x", 1), &sealed, &err);
	ck_assert(allocations_stop());
	ck_assert_int_eq(r, E_NOMEM);
	buf_reset(&sealed);
	ck_assert_int_eq(keyring_seal(keyring, BYTES_NULL, BYTES("x", 1), &sealed, &err), 0);
	allocations_fail_at(1);
	r = keyring_open(keyring, BYTES_NULL, BYTES(sealed.data, sealed.len), &opened, &err);
	ck_assert(allocations_stop());
	ck_assert_int_eq(r, E_NOMEM);
	remove_folder();
}
END_TEST

UNIT_MAIN("crypto/seal", is_made_once, folder_is_missing, refuses_what_is_no_keyring, opens_what_it_sealed,
          every_byte_matters, rotates, sets_are_made_of_sets, a_full_set_takes_no_more, no_memory)
