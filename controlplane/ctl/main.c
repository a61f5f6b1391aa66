/* SPDX-License-Identifier: Apache-2.0 */
/* tlsplanectl: the admin API on a command line. Exit status: see enum ctl_exit. */
#include "base/memory.h"
#include "crypto/crypto.h"
#include "ctl/commands.h"
#include "ctl/text.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PROGRAM "tlsplanectl"
#define COMPLETE "__complete" /* asked by the shells' completion files */

static void on_signal(int number)
{
	static const char text[] = "\n" PROGRAM ": interrupted; whether it was done is not known\n";

	if (client_is_writing)
		(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	raise(number); /* which is no longer caught */
}

static int start(struct error *err)
{
	const struct sigaction stop = {.sa_handler = on_signal, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER)};
	const struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none); /* a dump would hold keys */
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	json_set_alloc_funcs(memory_alloc, memory_free_wiped); /* it copies private keys about */
	if (crypto_init(err) < 0)
		return err->code;
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : error_set(err, E_INTERNAL, "libcurl can't be started");
}

static int run(struct ctl *ctl, const struct command *command, size_t used, struct error *err)
{
	uint64_t failures;
	int r, flushed;

	ctl->words = ctl->args.words + used;
	ctl->words_len = ctl->args.words_len - used;
	ctl->is_terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	r = settings_load(&ctl->args, &ctl->settings, err);
	if (r == 0)
		r = start(err);
	if (r == 0)
		r = client_new(&ctl->settings, isatty(STDERR_FILENO), &ctl->client, err);
	failures = memory_failures();
	if (r == 0)
		r = memory_judge(failures, command->run(ctl, err), err); /* half a table, or a key that only looks wrong */
	if (r < 0 && !ctl->settings.is_json) /* half of a table; programs get the refusal */
		return r;
	flushed = ctl_flush(ctl, r < 0 ? NULL : err);
	return r >= 0 && flushed < 0 ? flushed : r;
}

static int exit_status(int r)
{
	switch (r) {
	case 0:
		return CTL_OK;
	case CTL_DIFFERENT:
		return CTL_DIFFERENT;
	case E_SYNTAX:
		return CTL_USAGE;
	case E_TIMEOUT:
		return CTL_AWAY;
	default:
		return CTL_REFUSED;
	}
}

static void tell_failure(struct ctl *ctl, const struct error *err)
{
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;

	client_progress(ctl->client, NULL);
	buf_put_str(&text, PROGRAM ": ");
	text_put_cstr(&text, err->text);
	buf_put_str(&text, "\n");
	if (text.failed)
		fputs(PROGRAM ": out of memory\n", stderr);
	ctl_say(&text);
	if (err->code != E_NOMEM)
		ctl_say(&ctl->details);
}

static int print(struct buf *text)
{
	bool ok = !text->failed && fwrite(text->data, 1, text->len, stdout) == text->len && fflush(stdout) == 0;

	buf_deinit(text);
	return ok ? CTL_OK : CTL_REFUSED;
}

static int print_help(const struct command *command)
{
	struct buf text = BUF_NULL;

	command_print_help(command, &text);
	return print(&text);
}

int main(int argc, char **argv)
{
	struct ctl ctl = {0};
	struct error err = ERROR_NULL;
	const struct command *command = NULL;
	struct buf text = BUF_NULL;
	size_t used = 0;
	int r;

	if (argc > 1 && strcmp(argv[1], COMPLETE) == 0) {
		bool is_file = command_complete((const char *const *)argv + 2, (size_t)argc - 2, &text);

		return print(&text) == CTL_OK && !is_file ? CTL_OK : CTL_REFUSED;
	}
	r = args_parse(argc, argv, &ctl.args, &err);
	if (r == 0 && args_has(&ctl.args, OPTION_VERSION)) {
		buf_put_str(&text, PROGRAM " " TLSPLANE_VERSION "\n");
		return print(&text);
	}
	if (r == 0)
		r = command_find(&ctl.args, &command, &used, &err);
	if (r == 0 && args_has(&ctl.args, OPTION_HELP))
		return print_help(command);
	if (r == 0 && command == NULL)
		r = error_set(&err, E_SYNTAX, "which command? (see --help)");
	if (r == 0)
		r = run(&ctl, command, used, &err);
	if (r < 0)
		tell_failure(&ctl, &err);
	ctl_deinit(&ctl);
	return exit_status(r);
}
