/* SPDX-License-Identifier: Apache-2.0 */
/* tlsplane-controlplane: options, what the process owes its secrets, exit codes (0 ended in order, 1 could not start, 2
 * usage). */
#include "api/names.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "controlplane.h"
#include "crypto/crypto.h"
#include "store/store_backup.h"
#include "http/http.h"
#include "model/kind.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define PROGRAM "tlsplane-controlplane"

/* jemalloc reads it. What a large request took goes back to the system within seconds, also when no other comes: a
 * document is some fifteen times its text, and each thread of the pool would keep that of the largest it ever saw. */
extern const char *malloc_conf;
__attribute__((visibility("default"))) const char *malloc_conf =
    "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0";

#define TICKET_PERIOD_MAX (30 * 86400)

enum {
	OPTION_DATA_DIR,
	OPTION_ADMIN_LISTEN,
	OPTION_ADMIN_TLS,
	OPTION_ADMIN_SSL,
	OPTION_ADMIN_NAME,
	OPTION_ADMIN_SOCKET,
	OPTION_INSECURE_PLAIN_HTTP,
	OPTION_CHANNEL_LISTEN,
	OPTION_ADMIN_RATE,
	OPTION_TRUST_DOMAIN,
	OPTION_CA_CERT,
	OPTION_CA_KEY,
	OPTION_RSA_MAX,
	OPTION_TICKET_PERIOD,
	OPTION_HISTORY_REVISIONS,
	OPTION_HISTORY_DAYS,
	OPTION_NEW_EPOCH,
	OPTION_BACKUP,
	OPTION_BACKUP_KEYRING,
	OPTION_RESTORE,
	OPTION_RESTORE_KEYRING,
	OPTION_LOG_LEVEL,
	OPTION_LOG_FORMAT,
	OPTION_HELP,
	OPTION_VERSION,
	OPTIONS_
};

static const struct option_row option_rows[OPTIONS_ + 1] = {
    [OPTION_DATA_DIR] = {"data-dir", "DIR", "/var/lib/tlsplane", "store, keyring, CA, first admin token"},
    [OPTION_ADMIN_LISTEN] = {"admin-listen", "HOST:PORT", "127.0.0.1:9180", "admin API: plain HTTP on loopback, HTTPS elsewhere"},
    [OPTION_ADMIN_TLS] = {"admin-tls", NULL, NULL, "HTTPS on loopback as well"},
    [OPTION_ADMIN_SSL] = {"admin-ssl", "ID", NULL, "HTTPS with the certificate of this SSL object, not the internal CA's"},
    [OPTION_ADMIN_NAME] = {"admin-name", "NAME[,NAME...]", NULL, "names of the admin API: in its certificate, and as Host"},
    [OPTION_ADMIN_SOCKET] = {"admin-socket", "PATH", NULL, "admin API on a Unix socket too, for its owner alone"},
    [OPTION_INSECURE_PLAIN_HTTP] = {"insecure-plain-http", NULL, NULL, "plain HTTP on any address: all can read along"},
    [OPTION_CHANNEL_LISTEN] = {"channel-listen", "HOST:PORT", "0.0.0.0:9190", "where agents connect"},
    [OPTION_ADMIN_RATE] = {"admin-rate", "N", "1000", "requests a second that one token may make; 0: any number"},
    [OPTION_TRUST_DOMAIN] = {"trust-domain", "NAME", "tlsplane.local", "of the CA that the first start makes"},
    [OPTION_CA_CERT] = {"ca-cert", "FILE", NULL, "first start: use this CA (PEM) instead of making one"},
    [OPTION_CA_KEY] = {"ca-key", "FILE", NULL, "its private key (PEM)"},
    [OPTION_RSA_MAX] = {"rsa-max", "4096|8192", "4096", "largest RSA key that is accepted"},
    [OPTION_TICKET_PERIOD] = {"ticket-period", "SECONDS", "43200", "how often session ticket keys are rotated"},
    [OPTION_HISTORY_REVISIONS] = {"history-revisions", "N", "10000", "how many revisions back objects can be had again; 0: all"},
    [OPTION_HISTORY_DAYS] = {"history-days", "D", "90", "and how many days; 0: any number"},
    [OPTION_NEW_EPOCH] = {"new-epoch", NULL, NULL, "after the data was restored from a copy: begin a new epoch"},
    [OPTION_BACKUP] = {"backup", "FILE", NULL, "copy the store to FILE, while a control plane runs on it or not, and exit"},
    [OPTION_BACKUP_KEYRING] = {"backup-keyring", "FILE", NULL, "with --backup: the keys that the copy is sealed with"},
    [OPTION_RESTORE] = {"restore", "FILE", NULL, "with --new-epoch: make a store of this copy, in an empty data directory, and exit"},
    [OPTION_RESTORE_KEYRING] = {"restore-keyring", "FILE", NULL, "with --restore: the keys of the copy"},
    [OPTION_LOG_LEVEL] = {"log-level", "LEVEL", "info", "debug, info, warning or error"},
    [OPTION_LOG_FORMAT] = {"log-format", "FORMAT", "kv", "kv (key=value) or json"},
    [OPTION_HELP] = {"help", NULL, NULL, "print this and exit"},
    [OPTION_VERSION] = {"version", NULL, NULL, "print the version and exit"},
};

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
	signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes refuses writes, as a full disk does */
	json_set_alloc_funcs(memory_alloc, memory_free_wiped); /* it copies private keys about */
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

static int check_names(const char *option, const char *host, struct error *err)
{
	struct names names;
	int r = names_init(&names, option, host, err);

	if (r < 0)
		return error_prefix(err, r, "--admin-name");
	names_deinit(&names);
	return 0;
}

/* Off loopback there is TLS, unless it is asked not to be in so many words. */
static int read_admin(const char *const *values, char host[256], struct api_front *admin, struct error *err)
{
	int r = options_parse_host_port(values[OPTION_ADMIN_LISTEN], host, &admin->port, err);

	if (r < 0)
		return error_prefix(err, r, "--admin-listen");
	r = read_switch(values[OPTION_ADMIN_TLS], &admin->is_tls, err);
	if (r < 0)
		return error_prefix(err, r, "--admin-tls");
	r = read_switch(values[OPTION_INSECURE_PLAIN_HTTP], &admin->is_insecure, err);
	if (r < 0)
		return error_prefix(err, r, "--insecure-plain-http");
	admin->host = host;
	admin->ssl_id = values[OPTION_ADMIN_SSL];
	admin->names = values[OPTION_ADMIN_NAME];
	admin->socket_path = values[OPTION_ADMIN_SOCKET];
	if (admin->ssl_id != NULL && !kind_is_id(admin->ssl_id, strlen(admin->ssl_id)))
		return error_set(err, E_SYNTAX, "--admin-ssl: expected the id of an SSL object");
	admin->is_tls = admin->is_tls || admin->ssl_id != NULL;
	if (admin->is_tls && admin->is_insecure)
		return error_set(err, E_SYNTAX, "--insecure-plain-http goes with neither --admin-tls nor --admin-ssl");
	admin->is_tls = admin->is_tls || (!http_is_loopback(host) && !admin->is_insecure);
	return check_names(admin->names, host, err);
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
	r = read_admin(values, hosts[0], &config->admin, err);
	if (r < 0)
		return r;
	r = options_parse_host_port(values[OPTION_CHANNEL_LISTEN], hosts[1], &config->channel_port, err);
	if (r < 0)
		return error_prefix(err, r, "--channel-listen");
	r = read_rsa_max(values[OPTION_RSA_MAX], &config->rsa_bits_max, err);
	if (r < 0)
		return error_prefix(err, r, "--rsa-max");
	r = options_parse_u32(values[OPTION_TICKET_PERIOD], 1, TICKET_PERIOD_MAX, &config->ticket_period_seconds, err);
	if (r < 0)
		return error_prefix(err, r, "--ticket-period");
	r = options_parse_u32(values[OPTION_HISTORY_REVISIONS], 0, UINT32_MAX, &config->history_revisions, err);
	if (r < 0)
		return error_prefix(err, r, "--history-revisions");
	r = options_parse_u32(values[OPTION_HISTORY_DAYS], 0, UINT32_MAX, &config->history_days, err);
	if (r < 0)
		return error_prefix(err, r, "--history-days");
	r = options_parse_u32(values[OPTION_ADMIN_RATE], 0, 1000000, &config->admin_rate, err);
	if (r < 0)
		return error_prefix(err, r, "--admin-rate");
	r = read_switch(values[OPTION_NEW_EPOCH], &config->store.new_epoch, err);
	if (r < 0)
		return error_prefix(err, r, "--new-epoch");
	if ((values[OPTION_CA_CERT] == NULL) != (values[OPTION_CA_KEY] == NULL))
		return error_set(err, E_SYNTAX, "--ca-cert and --ca-key go together");
	config->channel_host = hosts[1];
	config->store.dir = values[OPTION_DATA_DIR];
	config->store.trust_domain = values[OPTION_TRUST_DOMAIN];
	config->store.ca_cert = values[OPTION_CA_CERT];
	config->store.ca_key = values[OPTION_CA_KEY];
	return 0;
}

static bool is_copying(const char *const *values)
{
	return values[OPTION_BACKUP] != NULL || values[OPTION_RESTORE] != NULL;
}

static int check_copying(const char *const *values, bool new_epoch, struct error *err)
{
	if (values[OPTION_BACKUP] != NULL && values[OPTION_RESTORE] != NULL)
		return error_set(err, E_SYNTAX, "--backup and --restore: one of them");
	if (values[OPTION_BACKUP] == NULL && values[OPTION_BACKUP_KEYRING] != NULL)
		return error_set(err, E_SYNTAX, "--backup-keyring goes with --backup");
	if (values[OPTION_RESTORE] == NULL && values[OPTION_RESTORE_KEYRING] != NULL)
		return error_set(err, E_SYNTAX, "--restore-keyring goes with --restore");
	if (values[OPTION_BACKUP] != NULL && new_epoch)
		return error_set(err, E_SYNTAX, "--new-epoch goes with --restore, not with --backup");
	if (values[OPTION_RESTORE] != NULL && !new_epoch)
		return error_set(err, E_SYNTAX, "--restore goes only with --new-epoch: what was written after the copy is given up, "
		                                "and agents have to follow the restored store");
	return 0;
}

static int copy_store(const char *const *values, struct error *err)
{
	bool backup = values[OPTION_BACKUP] != NULL;
	const struct store_backup copy = {
		.dir = values[OPTION_DATA_DIR],
		.file = backup ? values[OPTION_BACKUP] : values[OPTION_RESTORE],
		.keyring = backup ? values[OPTION_BACKUP_KEYRING] : values[OPTION_RESTORE_KEYRING],
	};
	int r = backup ? store_backup(&copy, err) : store_restore(&copy, err);

	if (r < 0)
		return error_prefix(err, r, backup ? "backup" : "restore");
	log_event(LOG_INFO, backup ? "backed up" : "restored", LOG_STR("data_dir", copy.dir), LOG_STR("file", copy.file),
	          LOG_STR("keyring", copy.keyring != NULL ? copy.keyring : ""));
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
	if (check_copying(values, config.store.new_epoch, &err) < 0)
		return usage(&err);
	if (guard_process(&err) == 0 && (is_copying(values) ? copy_store(values, &err) : controlplane_run(&config, &err)) == 0)
		return 0;
	log_event(LOG_ERROR, is_copying(values) ? "copy failed" : "start failed", LOG_STR("code", error_name(err.code)), LOG_ERR(&err));
	return 1;
}
