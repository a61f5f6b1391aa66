/* SPDX-License-Identifier: Apache-2.0 */
/* tlsplane-agent: options, what the process owes its secrets, signals, exit codes (0 ended in order, 1 could not start,
 * 2 usage). */
#include "agent.h"
#include "base/log.h"
#include "base/options.h"
#include "crypto/crypto.h"
#include "model/kind.h"
#include "net/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define PROGRAM "tlsplane-agent"
#define DRAIN_MS 5000
#define WORKERS_MAX 256
#define DECODED_LIMIT 10000000

enum {
	OPTION_CONTROLPLANE,
	OPTION_JOIN_TOKEN_FILE,
	OPTION_DATA_DIR,
	OPTION_WORKERS,
	OPTION_DECODED_MAX,
	OPTION_STATUS_LISTEN,
	OPTION_STATUS_TLS,
	OPTION_SYSTEM_CA_FILE,
	OPTION_LOG_LEVEL,
	OPTION_LOG_FORMAT,
	OPTION_HELP,
	OPTION_VERSION,
	OPTIONS_
};

static const struct option_row option_rows[OPTIONS_ + 1] = {
    [OPTION_CONTROLPLANE] = {"controlplane", "HOST:PORT[,...]", NULL, "channel addresses of the control plane"},
    [OPTION_JOIN_TOKEN_FILE] = {"join-token-file", "FILE", NULL,
                                "token to enrol with; read only while there is no identity"},
    [OPTION_DATA_DIR] = {"data-dir", "DIR", "/var/lib/tlsplane-agent", "identity, keyring, last known good snapshot"},
    [OPTION_WORKERS] = {"workers", "N", NULL, "threads that serve connections (default: one per CPU)"},
    [OPTION_DECODED_MAX] = {"decoded-max", "N", "16384", "SSL objects kept ready for handshakes, about 6 KiB each and more with a chain"},
    [OPTION_STATUS_LISTEN] = {"status-listen", "HOST:PORT", "127.0.0.1:9191",
                              "metrics, health, connections; without --status-tls loopback alone; off: none"},
    [OPTION_STATUS_TLS] = {"status-tls", "SSL_ID", NULL,
                           "HTTPS there, with the certificate of this SSL object of the holding"},
    [OPTION_SYSTEM_CA_FILE] = {"system-ca-file", "FILE", "/etc/ssl/certs/ca-certificates.crt",
                               "PEM of the CAs that upstream TLS with system_ca trusts"},
    [OPTION_LOG_LEVEL] = {"log-level", "LEVEL", "info", "debug, info, warning or error"},
    [OPTION_LOG_FORMAT] = {"log-format", "FORMAT", "kv", "kv (key=value) or json"},
    [OPTION_HELP] = {"help", NULL, NULL, "print this and exit"},
    [OPTION_VERSION] = {"version", NULL, NULL, "print the version and exit"},
};

struct process {
	uv_loop_t loop;
	uv_signal_t signals[2];
	struct agent *agent;
	bool stopping;
};

/* No core dump may hold a key; nor may another process of the same user read this one's memory. */
static int guard_process(struct error *err)
{
	struct rlimit none = {0, 0}, files;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return error_set(err, E_IO, "disabling core dumps: %s", strerror(errno));
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur =
		    files.rlim_max; /* a connection is two descriptors; a refusal shows later, and there it is handled */
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	umask(077); /* the cache, too, is nobody else's */
	signal(SIGPIPE, SIG_IGN);
	return crypto_init(err);
}

static int read_workers(const char *value, unsigned *ret, struct error *err)
{
	uint32_t workers = uv_available_parallelism();
	int r = value != NULL ? options_parse_u32(value, 1, WORKERS_MAX, &workers, err) : 0;

	if (r < 0)
		return error_prefix(err, r, "--workers");
	*ret = workers < WORKERS_MAX ? workers : WORKERS_MAX;
	return 0;
}

/* host: a buffer that config borrows. */
static int read_status(const char *const *values, char host[256], struct agent_config *config, struct error *err)
{
	const char *listen = values[OPTION_STATUS_LISTEN], *tls = values[OPTION_STATUS_TLS];
	int r;

	config->status_host = NULL;
	if (tls != NULL && !kind_is_id(tls, strlen(tls)))
		return error_set(err, E_SYNTAX, "--status-tls: expected the id of an SSL object");
	config->status_tls = tls;
	if (strcmp(listen, "off") == 0)
		return tls == NULL ? 0
		                   : error_set(err, E_SYNTAX, "--status-tls: there is no status page with --status-listen off");
	r = options_parse_host_port(listen, host, &config->status_port, err);
	if (r < 0)
		return error_prefix(err, r, "--status-listen");
	config->status_host = host;
	return 0;
}

static int read_config(const char *const *values, char host[256], struct agent_config *config, struct error *err)
{
	int r = log_set_level(values[OPTION_LOG_LEVEL], err);

	if (r < 0)
		return error_prefix(err, r, "--log-level");
	r = log_set_format(values[OPTION_LOG_FORMAT], err);
	if (r < 0)
		return error_prefix(err, r, "--log-format");
	r = options_parse_u32(values[OPTION_DECODED_MAX], 1, DECODED_LIMIT, &config->decoded_max, err);
	if (r < 0)
		return error_prefix(err, r, "--decoded-max");
	r = read_workers(values[OPTION_WORKERS], &config->workers, err);
	if (r == 0)
		r = read_status(values, host, config, err);
	if (r < 0)
		return r;
	if (values[OPTION_CONTROLPLANE] == NULL)
		return error_set(err, E_SYNTAX, "--controlplane is needed");
	config->controlplane = values[OPTION_CONTROLPLANE];
	config->token_path = values[OPTION_JOIN_TOKEN_FILE];
	config->data_dir = values[OPTION_DATA_DIR];
	config->system_ca_file = values[OPTION_SYSTEM_CA_FILE];
	return 0;
}

static void print_help(void)
{
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;

	options_print_help(option_rows, PROGRAM, "The agent of tlsplane: serves what the control plane sends.", &text);
	fwrite(text.data, 1, text.len, stdout);
}

static int complain(int status, const struct error *err)
{
	fprintf(stderr, PROGRAM ": %s\n", err->text);
	return status;
}

static void on_agent_closed(void *owner)
{
	struct process *process = owner;

	for (size_t i = 0; i < ARRAY_LEN(process->signals); i++)
		uv_close((uv_handle_t *)&process->signals[i], NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct process *process = handle->data;

	if (process->stopping)
		return;
	process->stopping = true;
	log_event(LOG_INFO, "stopping", LOG_I64("signal", number));
	agent_close(process->agent, DRAIN_MS, on_agent_closed, process);
}

static void start_signals(struct process *process)
{
	static const int numbers[] = {SIGTERM, SIGINT};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uv_signal_init(&process->loop, &process->signals[i]);
		process->signals[i].data = process;
		uv_signal_start(&process->signals[i], on_signal, numbers[i]);
	}
}

static int run(const struct agent_config *config)
{
	struct agent_config complete = *config;
	struct process process = {0};
	struct error err = ERROR_NULL;
	int r;

	r = loop_init(&process.loop, &err);
	if (r < 0)
		return complain(1, &err);
	complete.loop = &process.loop;
	r = agent_start(&complete, &process.agent, &err);
	if (r == 0)
		start_signals(&process);
	uv_run(&process.loop, UV_RUN_DEFAULT);
	uv_loop_close(&process.loop);
	if (r < 0)
		return complain(r == E_SYNTAX ? 2 : 1, &err);
	log_event(LOG_INFO, "stopped");
	return 0;
}

int main(int argc, char **argv)
{
	const char *values[OPTIONS_];
	char host[256];
	struct agent_config config = {0};
	struct error err = ERROR_NULL;

	if (options_parse(option_rows, argc, argv, values, &err) < 0)
		return complain(2, &err);
	if (values[OPTION_HELP] != NULL) {
		print_help();
		return 0;
	}
	if (values[OPTION_VERSION] != NULL) {
		printf(PROGRAM " %s\n", TLSPLANE_VERSION);
		return 0;
	}
	if (read_config(values, host, &config, &err) < 0)
		return complain(2, &err);
	if (guard_process(&err) < 0)
		return complain(1, &err);
	return run(&config);
}
