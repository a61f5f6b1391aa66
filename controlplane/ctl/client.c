/* SPDX-License-Identifier: Apache-2.0 */
/* One transfer, and when it is worth another. */
#include "ctl/client.h"

#include "crypto/crypto.h"
#include "ctl/text.h"
#include "model/resource.h"

#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ANSWER_MAX (256u << 20)
#define CONNECT_SECONDS 10
#define PAUSE_MAX 30

struct client {
	CURL *curl;
	const struct settings *settings;
	uint64_t deadline, begun; /* milliseconds of the monotonic clock */
	bool shows_progress, is_line_open;
	bool has_left; /* of a request, in one of its tries */
	char curl_text[CURL_ERROR_SIZE];
};

volatile sig_atomic_t client_is_writing;

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint32_t client_seconds_left(const struct client *client)
{
	uint64_t now = now_ms();

	return now >= client->deadline ? 0 : (uint32_t)((client->deadline - now) / 1000);
}

void client_extend(struct client *client, uint32_t seconds)
{
	client->deadline = now_ms() + ((uint64_t)client->settings->timeout + seconds) * 1000;
}

/* Progress --------------------------------------------------------------------------------------------------------- */

void client_progress(struct client *client, const char *format, ...)
{
	va_list arguments;

	if (client == NULL || !client->shows_progress || (format == NULL && !client->is_line_open))
		return;
	fputs("\r\033[K", stderr);
	client->is_line_open = format != NULL;
	if (format == NULL)
		return;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fflush(stderr);
}

static int on_transfer(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	struct client *client = context;
	uint64_t seconds = (now_ms() - client->begun) / 1000;

	if (seconds < 1)
		return 0;
	if (up < up_total)
		client_progress(client, "sending: %lld of %lld KiB", (long long)up / 1024, (long long)up_total / 1024);
	else if (down == 0)
		client_progress(client, "waiting for the answer: %llu s", (unsigned long long)seconds);
	return 0;
}

/* The handle ------------------------------------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
	struct answer *answer = context;

	if (answer->body.len + count > ANSWER_MAX)
		return 0;
	buf_put(&answer->body, data, count);
	return answer->body.failed ? 0 : count;
}

/* Copies a header's value when the line is of that name. */
static bool take_header(const char *line, size_t len, const char *name, char *ret, size_t ret_max)
{
	size_t skip = strlen(name);

	if (len <= skip || strncasecmp(line, name, skip) != 0 || line[skip] != ':')
		return false;
	for (skip++; skip < len && (line[skip] == ' ' || line[skip] == '\t');)
		skip++;
	while (len > skip && isspace((unsigned char)line[len - 1]))
		len--;
	snprintf(ret, ret_max, "%.*s", (int)(len - skip), line + skip);
	return true;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
	struct answer *answer = context;
	char number[16];

	if (take_header(line, count, "Retry-After", number, sizeof(number)))
		answer->retry_after = (uint32_t)strtoul(number, NULL, 10);
	else if (!take_header(line, count, "ETag", answer->etag, sizeof(answer->etag)))
		(void)take_header(line, count, "Tlsplane-Revision", answer->revision, sizeof(answer->revision));
	return count;
}

static bool set_up(struct client *client)
{
	const struct settings *settings = client->settings;
	CURL *curl = client->curl;
	bool ok = curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;

	ok = ok && curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->curl_text) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_USERAGENT, "tlsplanectl/" TLSPLANE_VERSION) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_transfer) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_NOPROGRESS, client->shows_progress ? 0L : 1L) == CURLE_OK;
	if (settings->is_plain)
		ok = ok && curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK;
	if (settings->socket != NULL)
		ok = ok && curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, settings->socket) == CURLE_OK;
	if (settings->ca_file != NULL)
		ok = ok && curl_easy_setopt(curl, CURLOPT_CAINFO, settings->ca_file) == CURLE_OK;
	return ok;
}

int client_new(const struct settings *settings, bool progress, struct client **ret, struct error *err)
{
	CLEANUP(client_free) struct client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return error_nomem(err);
	client->settings = settings;
	client->shows_progress = progress;
	client_extend(client, 0);
	client->curl = curl_easy_init();
	if (client->curl == NULL || !set_up(client))
		return error_set(err, E_INTERNAL, "libcurl can't be started");
	*ret = TAKE_PTR(client);
	return 0;
}

struct client *client_free(struct client *client)
{
	if (client == NULL)
		return NULL;
	client_progress(client, NULL);
	curl_easy_cleanup(client->curl);
	free(client);
	return NULL;
}

void answer_deinit(struct answer *answer)
{
	bool sensitive = answer->body.sensitive;

	buf_deinit(&answer->body);
	json_decref(answer->document);
	*answer = (struct answer){.body = {.sensitive = sensitive}};
}

/* One try ---------------------------------------------------------------------------------------------------------- */

static bool add_line(struct curl_slist **list, const char *name, const char *value)
{
	struct curl_slist *longer;
	char line[512];

	if (value == NULL)
		return true;
	snprintf(line, sizeof(line), "%s%s", name, value);
	longer = curl_slist_append(*list, line);
	if (longer != NULL)
		*list = longer;
	return longer != NULL;
}

static struct curl_slist *headers_of(const struct client *client, const struct request *request)
{
	struct curl_slist *list = curl_slist_append(NULL, (const char *)client->settings->header->data);

	if (list != NULL && add_line(&list, "Content-Type: ", request->content_type) &&
	    add_line(&list, "If-Match: ", request->if_match) && add_line(&list, "Idempotency-Key: ", request->key) &&
	    add_line(&list, "Expect:", "")) /* no round trip before a body */
		return list;
	curl_slist_free_all(list);
	return NULL;
}

static void wipe_headers(struct curl_slist *list)
{
	if (list != NULL)
		secret_wipe(list->data, strlen(list->data));
	curl_slist_free_all(list);
}

static bool set_request(struct client *client, const struct request *request, const char *url, struct answer *answer)
{
	CURL *curl = client->curl;
	bool has_body = request->content_type != NULL, ok;
	uint64_t now = now_ms();
	long left = now >= client->deadline ? 1 : (long)(client->deadline - now);

	ok = curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L) == CURLE_OK; /* forgets the body of the request before */
	if (has_body || strcmp(request->method, "POST") == 0) {
		ok = ok && curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len) == CURLE_OK;
		ok = ok && curl_easy_setopt(curl, CURLOPT_POSTFIELDS, has_body ? (const char *)request->body.data : "") == CURLE_OK;
	}
	ok = ok && curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, left) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer) == CURLE_OK;
	return ok && curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer) == CURLE_OK;
}

/* The address may not have been reached at all, or the answer has been lost on the way. */
static int judge_failure(struct client *client, CURLcode code, struct error *err)
{
	const char *text = client->curl_text[0] != 0 ? client->curl_text : curl_easy_strerror(code);

	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
		return error_set(err, E_CRYPTO, "%s: %s", client->settings->url, text);
	case CURLE_SSL_CACERT_BADFILE:
		return error_set(err, E_SYNTAX, "%s: %s", client->settings->ca_file != NULL ? client->settings->ca_file : "CA file", text);
	case CURLE_OUT_OF_MEMORY:
		return error_nomem(err);
	case CURLE_WRITE_ERROR:
		return error_set(err, E_TOO_LARGE, "the answer is larger than %u MiB", ANSWER_MAX >> 20);
	default:
		return error_set(err, E_TIMEOUT, "%s can't be reached: %s",
		                 client->settings->socket != NULL ? client->settings->socket : client->settings->url, text);
	}
}

static int transfer(struct client *client, const struct request *request, struct answer *answer, struct error *err)
{
	struct curl_slist *headers = headers_of(client, request);
	CLEANUP(buf_deinit) struct buf url = BUF_NULL;
	CURLcode code = CURLE_OUT_OF_MEMORY;
	curl_off_t sent = 0;

	buf_printf(&url, "%s%s", client->settings->url, request->path);
	client->curl_text[0] = 0;
	client->begun = now_ms();
	if (headers != NULL && buf_cstr(&url) != NULL && set_request(client, request, (const char *)url.data, answer) &&
	    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK)
		code = curl_easy_perform(client->curl);
	(void)curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
	wipe_headers(headers);
	client_progress(client, NULL);
	if (curl_easy_getinfo(client->curl, CURLINFO_PRETRANSFER_TIME_T, &sent) == CURLE_OK && sent > 0)
		client->has_left = true;
	if (code != CURLE_OK)
		return judge_failure(client, code, err);
	(void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &answer->status);
	return 0;
}

/* What an answer means --------------------------------------------------------------------------------------------- */

static const char *text_of(const struct answer *answer, const char *member)
{
	return json_string_value(json_object_get(answer->document, member));
}

static int code_of(long status)
{
	switch (status) {
	case 403:
		return E_FORBIDDEN;
	case 404:
		return E_NOT_FOUND;
	case 408:
	case 429:
	case 503:
	case 504:
		return E_TIMEOUT;
	default:
		return E_REFUSED;
	}
}

static int judge_status(const struct client *client, const struct answer *answer, struct error *err)
{
	const char *title = text_of(answer, "title"), *detail = text_of(answer, "detail");

	if (answer->status >= 200 && answer->status < 300 && answer->document != NULL)
		return 0;
	if (answer->document == NULL || title == NULL) /* a proxy's may pass; anybody's 404 says nothing about an object */
		return error_set(err, answer->status == 502 || code_of(answer->status) == E_TIMEOUT ? E_TIMEOUT : E_REFUSED,
		                 "%s: status %ld, and not the admin API's JSON", client->settings->url, answer->status);
	return error_set(err, code_of(answer->status), "%s%s%s (%ld)", title, detail != NULL ? ": " : "",
	                 detail != NULL ? detail : "", answer->status);
}

static void read_document(struct answer *answer)
{
	if (answer->body.len > 0 && resource_load_json(BYTES(answer->body.data, answer->body.len), &answer->document, NULL) < 0)
		answer->document = NULL;
}

/* Sleeps before the next try; false: the time does not reach. */
static bool pause_before(struct client *client, const struct answer *answer, unsigned tries)
{
	uint32_t seconds = answer->retry_after > 0 ? answer->retry_after : 1u << (tries < 5 ? tries : 5);
	struct timespec span;

	if (seconds > PAUSE_MAX && answer->retry_after == 0)
		seconds = PAUSE_MAX;
	if (seconds >= client_seconds_left(client))
		return false;
	client_progress(client, "trying again in %u s", seconds);
	span = (struct timespec){.tv_sec = (time_t)seconds};
	nanosleep(&span, NULL);
	client_progress(client, NULL);
	return true;
}

static bool is_worth_another(const struct request *request, const struct answer *answer, int r)
{
	if (answer->status == 0)
		return r == E_TIMEOUT && request->key != NULL;
	return (answer->status == 429 || answer->status == 503) && text_of(answer, "revision") == NULL;
}

static int try_until_answered(struct client *client, const struct request *request, struct answer *answer, struct error *err)
{
	int r;

	for (unsigned tries = 0;; tries++) {
		answer_deinit(answer);
		r = transfer(client, request, answer, err);
		if (r == 0) {
			read_document(answer);
			r = judge_status(client, answer, err);
		}
		if (r == 0 || !is_worth_another(request, answer, r) || !pause_before(client, answer, tries))
			return r;
		*err = ERROR_NULL;
	}
}

int client_call(struct client *client, const struct request *request, struct answer *answer, struct error *err)
{
	bool writes = strcmp(request->method, "GET") != 0;
	int r;

	client->has_left = false;
	client_is_writing = writes;
	r = try_until_answered(client, request, answer, err);
	client_is_writing = false;
	if (r == E_TIMEOUT && answer->status == 0 && writes && client->has_left)
		return error_prefix(err, r, "whether it was done is not known");
	return r;
}

int client_make_key(char key[CLIENT_KEY_LEN + 1], struct error *err)
{
	uint8_t raw[CLIENT_KEY_LEN / 2];
	int r = crypto_random(raw, sizeof(raw), err);

	if (r == 0)
		crypto_hex(raw, sizeof(raw), key);
	return r;
}

void client_put_escaped(struct buf *out, const char *text)
{
	for (; *text != 0; text++) {
		unsigned char c = (unsigned char)*text;

		if (isalnum(c) || strchr("-._~", c) != NULL)
			buf_put_u8(out, c);
		else
			buf_printf(out, "%%%02X", c);
	}
}
