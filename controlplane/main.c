/* SPDX-License-Identifier: Apache-2.0 */
/* tlsplane-controlplane: options, what the process owes its secrets, exit codes (0 ended in order, 1 could not start, 2
 * usage). */
#include "base/log.h"
#include "base/options.h"
#include "base/secret.h"
#include "controlplane.h"
#include "crypto/crypto.h"

#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define PROGRAM "tlsplane-controlplane"
#define TICKET_PERIOD_MAX (30 * 86400)

enum {
	OPTION_DATA_DIR,
	OPTION_ADMIN_LISTEN,
	OPTION_CHANNEL_LISTEN,
	OPTION_ADMIN_RATE,
	OPTION_TRUST_DOMAIN,
	OPTION_CA_CERT,
	OPTION_CA_KEY,
	OPTION_RSA_MAX,
	OPTION_TICKET_PERIOD,
	OPTION_NEW_EPOCH,
	OPTION_LOG_LEVEL,
	OPTION_LOG_FORMAT,
	OPTION_HELP,
	OPTION_VERSION,
	OPTIONS_
};

static const struct option_row option_rows[OPTIONS_ + 1] = {
    [OPTION_DATA_DIR] = {"data-dir", "DIR", "/var/lib/tlsplane", "store, keyring, CA, first admin token"},
    [OPTION_ADMIN_LISTEN] = {"admin-listen", "HOST:PORT", "127.0.0.1:9180", "admin API; loopback alone"},
    [OPTION_CHANNEL_LISTEN] = {"channel-listen", "HOST:PORT", "0.0.0.0:9190", "where agents connect"},
    [OPTION_ADMIN_RATE] = {"admin-rate", "N", "1000", "requests a second that one token may make; 0: any number"},
    [OPTION_TRUST_DOMAIN] = {"trust-domain", "NAME", "tlsplane.local", "of the CA that the first start makes"},
    [OPTION_CA_CERT] = {"ca-cert", "FILE", NULL, "first start: use this CA (PEM) instead of making one"},
    [OPTION_CA_KEY] = {"ca-key", "FILE", NULL, "its private key (PEM)"},
    [OPTION_RSA_MAX] = {"rsa-max", "4096|8192", "4096", "largest RSA key that is accepted"},
    [OPTION_TICKET_PERIOD] = {"ticket-period", "SECONDS", "43200", "how often session ticket keys are rotated"},
    [OPTION_NEW_EPOCH] = {"new-epoch", NULL, NULL, "after the data was restored from a copy: begin a new epoch"},
    [OPTION_LOG_LEVEL] = {"log-level", "LEVEL", "info", "debug, info, warning or error"},
    [OPTION_LOG_FORMAT] = {"log-format", "FORMAT", "kv", "kv (key=value) or json"},
    [OPTION_HELP] = {"help", NULL, NULL, "print this and exit"},
    [OPTION_VERSION] = {"version", NULL, NULL, "print the version and exit"},
};

/* Requests hold private keys, and Jansson copies them about: what it frees is wiped. */
static void free_wiped(void *memory)
{
	if (memory != NULL)
		secret_wipe(memory, malloc_usable_size(memory));
	free(memory);
}

/* No core dump may hold a key; nor may another process of the same user read this one's memory. */
static int guard_process(struct error *err)
{
	struct rlimit none = {0, 0}, files;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return error_set(err, E_IO, "disabling core dumps: %s", strerror(errno));
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max; /* an agent is a descriptor; a refusal shows later, and there it is handled */
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	json_set_alloc_funcs(malloc, free_wiped);
	return crypto_init(err);
}

static int read_switch(const char *value, bool *ret, struct error *err)
{
	bool on = value != NULL && (strcmp(value, "1") == 0 || strcmp(value, "true") == 0);

	if (!on && value != NULL && strcmp(value, "0") != 0 && strcmp(value, "false") != 0 && value[0] != 0)
		return error_set(err, E_SYNTAX, "expected 1 or 0");
	*ret = on;
	return 0;
}

static int read_rsa_max(const char *value, uint32_t *ret, struct error *err)
{
	int r = options_parse_u32(value, 4096, 8192, ret, err);

	if (r < 0 || (*ret != 4096 && *ret != 8192))
		return error_set(err, E_SYNTAX, "expected 4096 or 8192");
	return 0;
}

/* hosts: two buffers that config borrows. */
static int read_config(const char *const *values, char hosts[2][256], struct controlplane_config *config,
                       struct error *err)
{
	int r = log_set_level(values[OPTION_LOG_LEVEL], err);

	if (r < 0)
		return error_prefix(err, r, "--log-level");
	r = log_set_format(values[OPTION_LOG_FORMAT], err);
	if (r < 0)
		return error_prefix(err, r, "--log-format");
	r = options_parse_host_port(values[OPTION_ADMIN_LISTEN], hosts[0], &config->admin_port, err);
	if (r < 0)
		return error_prefix(err, r, "--admin-listen");
	r = options_parse_host_port(values[OPTION_CHANNEL_LISTEN], hosts[1], &config->channel_port, err);
	if (r < 0)
		return error_prefix(err, r, "--channel-listen");
	r = read_rsa_max(values[OPTION_RSA_MAX], &config->rsa_bits_max, err);
	if (r < 0)
		return error_prefix(err, r, "--rsa-max");
	r = options_parse_u32(values[OPTION_TICKET_PERIOD], 1, TICKET_PERIOD_MAX, &config->ticket_period_seconds, err);
	if (r < 0)
		return error_prefix(err, r, "--ticket-period");
	r = options_parse_u32(values[OPTION_ADMIN_RATE], 0, 1000000, &config->admin_rate, err);
	if (r < 0)
		return error_prefix(err, r, "--admin-rate");
	r = read_switch(values[OPTION_NEW_EPOCH], &config->store.new_epoch, err);
	if (r < 0)
		return error_prefix(err, r, "--new-epoch");
	if ((values[OPTION_CA_CERT] == NULL) != (values[OPTION_CA_KEY] == NULL))
		return error_set(err, E_SYNTAX, "--ca-cert and --ca-key go together");
	config->admin_host = hosts[0];
	config->channel_host = hosts[1];
	config->store.dir = values[OPTION_DATA_DIR];
	config->store.trust_domain = values[OPTION_TRUST_DOMAIN];
	config->store.ca_cert = values[OPTION_CA_CERT];
	config->store.ca_key = values[OPTION_CA_KEY];
	return 0;
}

static void print_help(void)
{
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;

	options_print_help(option_rows, PROGRAM,
	                   "The control plane of tlsplane: admin API, store, and the channel to agents.", &text);
	fwrite(text.data, 1, text.len, stdout);
}

static int usage(const struct error *err)
{
	fprintf(stderr, PROGRAM ": %s\n", err->text);
	return 2;
}

int main(int argc, char **argv)
{
	const char *values[OPTIONS_];
	char hosts[2][256];
	struct controlplane_config config = {0};
	struct error err = ERROR_NULL;

	if (options_parse(option_rows, argc, argv, values, &err) < 0)
		return usage(&err);
	if (values[OPTION_HELP] != NULL) {
		print_help();
		return 0;
	}
	if (values[OPTION_VERSION] != NULL) {
		puts(PROGRAM " " TLSPLANE_VERSION);
		return 0;
	}
	if (read_config(values, hosts, &config, &err) < 0)
		return usage(&err);
	if (guard_process(&err) == 0 && controlplane_run(&config, &err) == 0)
		return 0;
	log_event(LOG_ERROR, "start failed", LOG_STR("code", error_name(err.code)), LOG_ERR(&err));
	return 1;
}
