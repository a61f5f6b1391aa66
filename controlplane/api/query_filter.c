/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters that lists filter and sort by. Words stay as they came, in the request; what they mean is filter.c's. */
#include "api/query_rows.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY UINT64_C(86400)

static const char *parse_label(const char *value, struct query *query)
{
	struct query_filter *filter = &query->filter;

	if (value[0] == 0 || value[0] == '=')
		return "KEY or KEY=VALUE";
	if (filter->labels_len == QUERY_LABELS_MAX)
		return "at most 8 labels";
	filter->labels[filter->labels_len++] = value;
	return NULL;
}

static const char *parse_status(const char *value, struct query *query)
{
	query->filter.status = strcmp(value, "1") == 0 ? QUERY_ENABLED : QUERY_DISABLED;
	return strcmp(value, "1") == 0 || strcmp(value, "0") == 0 ? NULL : "0 or 1";
}

static const char *parse_type(const char *value, struct query *query)
{
	query->filter.type = value;
	return strcmp(value, "server") == 0 || strcmp(value, "client") == 0 ? NULL : "server or client";
}

static const char *parse_name(const char *value, struct query *query)
{
	query->filter.sni = value;
	return value[0] != 0 && strlen(value) <= QUERY_SNI_MAX ? NULL : "a server name";
}

/* "30d": from now on. */
static bool parse_days(const char *value, uint64_t *ret)
{
	size_t digits = strspn(value, "0123456789");

	if (digits == 0 || digits > 6 || strcmp(value + digits, "d") != 0)
		return false;
	*ret = (uint64_t)time(NULL) + strtoull(value, NULL, 10) * DAY;
	return true;
}

static const char *parse_expires_before(const char *value, struct query *query)
{
	uint64_t *moment = &query->filter.expires_before;

	if (!parse_days(value, moment) && query_parse_moment(value, moment) != NULL)
		return "unix seconds, a time as in 2026-11-21T08:00:00Z, or days from now as in 30d";
	if (*moment == 0)
		*moment = 1; /* 0 is no filter */
	return NULL;
}

static const char *parse_issuer(const char *value, struct query *query)
{
	query->filter.issuer = value;
	return value[0] != 0 ? NULL : "the issuer as x509 shows it, or its common name";
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static const char *parse_fingerprint(const char *value, struct query *query)
{
	static const char expected[] = "a SHA-256 in hex, with colons or without";
	struct query_filter *filter = &query->filter;

	for (size_t i = 0; i < sizeof(filter->fingerprint); i++) {
		int high, low;

		value += i > 0 && *value == ':';
		high = hex_digit(value[0]);
		low = high >= 0 ? hex_digit(value[1]) : -1;
		if (low < 0)
			return expected;
		filter->fingerprint[i] = (uint8_t)(high << 4 | low);
		value += 2;
	}
	filter->has_fingerprint = true;
	return *value == 0 ? NULL : expected;
}

static const char *parse_key_type(const char *value, struct query *query)
{
	static const struct {
		const char *name;
		enum cert_key_type type;
	} names[] = {
	    {"rsa", CERT_KEY_RSA},        {"p256", CERT_KEY_EC_P256},      {"ec p-256", CERT_KEY_EC_P256}, {"p384", CERT_KEY_EC_P384},
	    {"ec p-384", CERT_KEY_EC_P384}, {"p521", CERT_KEY_EC_P521},    {"ec p-521", CERT_KEY_EC_P521}, {"ed25519", CERT_KEY_ED25519},
	};
	struct query_filter *filter = &query->filter;
	unsigned bits = 0;
	int used = 0;

	filter->has_key_type = true;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		filter->key_type = names[i].type;
		if (strcasecmp(value, names[i].name) == 0)
			return NULL;
	}
	filter->key_type = CERT_KEY_RSA;
	if (strncasecmp(value, "rsa-", 4) != 0 || sscanf(value + 4, "%5u%n", &bits, &used) != 1 || value[4 + used] != 0 || bits == 0)
		return "rsa, rsa-2048 (any size), p256, p384, p521 or ed25519";
	filter->key_bits = bits;
	return NULL;
}

static const char *parse_sort(const char *value, struct query *query)
{
	static const char *const orders[] = {[STORE_BY_ID] = "id", [STORE_BY_EXPIRY] = "expiry", [STORE_BY_EXPIRY_FALLING] = "-expiry"};

	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		query->filter.order = (enum store_order)i;
		if (strcmp(value, orders[i]) == 0)
			return NULL;
	}
	return "id, expiry or -expiry";
}

const struct parameter_row query_filter_rows[] = {
    {"label", QUERY_LIST, parse_label, true},
    {"status", QUERY_LIST, parse_status},
    {"sni", QUERY_SSLS, parse_name},
    {"type", QUERY_SSLS, parse_type},
    {"expires_before", QUERY_SSLS, parse_expires_before},
    {"issuer", QUERY_SSLS, parse_issuer},
    {"fingerprint", QUERY_SSLS, parse_fingerprint},
    {"key_type", QUERY_SSLS, parse_key_type},
    {"sort", QUERY_SSLS, parse_sort},
};
const size_t query_filter_rows_len = ARRAY_LEN(query_filter_rows);
