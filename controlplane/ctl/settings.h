/* SPDX-License-Identifier: Apache-2.0 */
/* Where the admin API is, and with which credential: the words of deploy/hooks/tlsplane-upload.sh. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/secret.h"
#include "ctl/args.h"

#include <stdbool.h>
#include <stdint.h>

#define SETTINGS_URL "http://127.0.0.1:9180"
#define SETTINGS_TIMEOUT 90 /* seconds */
#define SETTINGS_TIMEOUT_MAX 9999

struct settings {
	char *url;              /* owned; http:// or https://, no slash at the end */
	char *socket;           /* owned; path of a Unix socket, or NULL */
	struct secret *header;  /* owned; "Authorization: Bearer TOKEN", terminated */
	const char *ca_file;    /* borrowed from argv or the environment, or NULL */
	bool is_plain;          /* http, over a socket too: no proxy may be asked */
	bool is_json;           /* -o json */
	uint32_t timeout;       /* seconds */
};

/* E_SYNTAX: a setting is missing or wrong; the text says which, and never quotes a token. */
int settings_load(const struct args *args, struct settings *settings, struct error *err) MUST_USE;
void settings_deinit(struct settings *settings);
DEFINE_CLEANUP_VALUE(struct settings, settings_deinit);
