/* SPDX-License-Identifier: Apache-2.0 */
#include "ends.h"

#include "model/body.h"

#include "certs.h"

#include <arpa/inet.h>
#include <check.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EKU_SERVER "extendedKeyUsage=serverAuth"
#define EKU_CLIENT "extendedKeyUsage=clientAuth"

static X509 *issue(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, const char *usage, int64_t not_after)
{
	const struct certs_spec spec = {.common_name = "leaf",
	                                .key = key,
	                                .issuer = ca,
	                                .issuer_key = ca_key,
	                                .not_before = time(NULL) - 86400,
	                                .not_after = not_after,
	                                .extensions = {usage}};

	return certs_make(&spec);
}

void pki_make(struct pki *pki)
{
	int64_t past = time(NULL) - 3600, future = time(NULL) + 3600;
	struct certs_spec spec = {.common_name = "ca", .extensions = {"basicConstraints=critical,CA:TRUE,pathlen:0"}};

	pki->key = certs_make_key("P-256");
	spec.key = pki->ca_key = certs_make_key("P-256");
	pki->ca = certs_make(&spec);
	spec.key = pki->other_ca_key = certs_make_key("P-256");
	pki->other_ca = certs_make(&spec);
	pki->controlplane = issue(pki->key, pki->ca, pki->ca_key, EKU_SERVER, future);
	pki->agent = issue(pki->key, pki->ca, pki->ca_key, EKU_CLIENT, future);
	pki->expired_agent = issue(pki->key, pki->ca, pki->ca_key, EKU_CLIENT, past);
	pki->other_controlplane = issue(pki->key, pki->other_ca, pki->other_ca_key, EKU_SERVER, future);
	pki->other_agent = issue(pki->key, pki->other_ca, pki->other_ca_key, EKU_CLIENT, future);
}

void pki_free(struct pki *pki)
{
	X509 *certs[] = {pki->ca,       pki->controlplane,       pki->agent,      pki->expired_agent,
	                 pki->other_ca, pki->other_controlplane, pki->other_agent};

	for (size_t i = 0; i < ARRAY_LEN(certs); i++)
		X509_free(certs[i]);
	EVP_PKEY_free(pki->ca_key);
	EVP_PKEY_free(pki->other_ca_key);
	EVP_PKEY_free(pki->key);
}

/* An end ----------------------------------------------------------------------------------------------------------- */

static void on_open(struct channel *channel, void *owner)
{
	struct end *end = owner;

	end->opened++;
	end->peer_is_expired = channel_peer_is_expired(channel);
	snprintf(end->alpn, sizeof(end->alpn), "%s", channel_alpn(channel));
	if (end->on_open != NULL)
		end->on_open(end);
}

static void on_message(struct channel *channel, Tlsplane__MessageType type, ProtobufCMessage *message, void *owner)
{
	struct end *end = owner;

	end->messages++;
	end->last_type = type;
	if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW)
		end->bytes += ((Tlsplane__Renew *)message)->csr.len;
	if (end->on_message != NULL)
		end->on_message(end, type, message);
}

static void on_writable(struct channel *channel, void *owner)
{
	struct end *end = owner;

	end->writable++;
	if (end->on_writable != NULL)
		end->on_writable(end);
}

static void on_close(struct channel *channel, const struct error *why, void *owner)
{
	struct end *end = owner;

	end->closed++;
	end->why = *why;
	end->channel = NULL;
}

const struct channel_events end_events = {on_open, on_message, on_writable, on_close};

void end_start(struct end *end, uv_loop_t *loop, int fd, struct channel_tls *tls, uint64_t handshake_ms)
{
	struct error err = ERROR_NULL;

	ck_assert_msg(channel_start(loop, fd, tls, handshake_ms, &end_events, end, &end->channel, &err) == 0, "%s",
	              err.text);
	ck_assert_int_eq(end->opened + end->closed + end->messages, 0);
}

int end_send_renew(struct end *end, size_t len, struct error *err)
{
	Tlsplane__Renew renew = TLSPLANE__RENEW__INIT;
	int r;

	renew.csr.len = len;
	renew.csr.data = calloc(1, len + 1);
	if (renew.csr.data == NULL)
		return E_NOMEM;
	r = channel_send(end->channel, TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW, &renew.base, err);
	free(renew.csr.data);
	return r;
}

void sockets_make(int fds[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&address, len), 0);
	fds[0] = accept(listener, NULL, NULL);
	ck_assert_int_ge(fds[0], 0);
	close(listener);
}

static struct channel_tls *tls_make(const struct channel_tls_config *config)
{
	struct channel_tls *tls = NULL;
	struct error err = ERROR_NULL;

	ck_assert_msg(channel_tls_new(config, &tls, &err) == 0, "%s", err.text);
	return tls;
}

struct channel_tls *tls_server(X509 *certificate, EVP_PKEY *key, X509 *ca, bool allow_expired)
{
	static const char *const alpn[] = {CHANNEL_ALPN, CHANNEL_ALPN_ENROLL, NULL};
	const struct channel_tls_config config = {.server = true,
	                                          .certificate = certificate,
	                                          .key = key,
	                                          .ca = ca,
	                                          .alpn = alpn,
	                                          .allow_expired_client = allow_expired};

	return tls_make(&config);
}

struct channel_tls *tls_client(const char *name, X509 *certificate, EVP_PKEY *key, X509 *ca, const uint8_t *pin)
{
	const char *const alpn[] = {name != NULL ? name : CHANNEL_ALPN, NULL};
	const struct channel_tls_config config = {
	    .certificate = certificate, .key = certificate != NULL ? key : NULL, .ca = ca, .ca_sha256 = pin, .alpn = alpn};

	return tls_make(&config);
}

static void say_hello(struct end *end)
{
	struct error err = ERROR_NULL;

	ck_assert_int_eq(end_send_renew(end, 10, &err), 0);
}

static void hang_up(struct end *end, Tlsplane__MessageType type, const ProtobufCMessage *message)
{
	channel_close(end->channel, false, NULL);
}

void ends_run(struct end *server, struct channel_tls *server_tls, struct end *client, struct channel_tls *client_tls)
{
	uv_loop_t loop;
	int fds[2];

	if (client->on_open == NULL)
		client->on_open = say_hello;
	if (server->on_message == NULL)
		server->on_message = hang_up;
	sockets_make(fds);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	end_start(server, &loop, fds[0], server_tls, 5000);
	end_start(client, &loop, fds[1], client_tls, 5000);
	channel_tls_unref(server_tls);
	channel_tls_unref(client_tls);
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	ck_assert_int_eq(server->closed, 1);
	ck_assert_int_eq(client->closed, 1);
}

/* The raw client --------------------------------------------------------------------------------------------------- */

static bool raw_got_ticket;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	raw_got_ticket = true;
	return 0;
}

static SSL *raw_ssl(const struct raw_client *client, int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	if (client->max_version != 0)
		SSL_CTX_set_max_proto_version(ctx, client->max_version);
	if (client->certificate != NULL) {
		SSL_CTX_use_certificate(ctx, client->certificate);
		SSL_CTX_use_PrivateKey(ctx, client->key);
	}
	ssl = SSL_new(ctx);
	if (client->alpn != NULL)
		SSL_set_alpn_protos(ssl, (const unsigned char *)client->alpn, (unsigned)strlen(client->alpn));
	SSL_set_fd(ssl, fd);
	return ssl;
}

static int raw_alerts(void)
{
	unsigned long code;
	int found = 0;

	while ((code = ERR_get_error()) != 0) {
		if (ERR_GET_REASON(code) == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL ||
		    ERR_GET_REASON(code) == SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL)
			found |= RAW_ALERT_NO_PROTOCOL;
		if (ERR_GET_REASON(code) == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION)
			found |= RAW_ALERT_VERSION;
	}
	return found;
}

static void raw_sleep(unsigned ms)
{
	const struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&pause, NULL);
}

static int raw_run(const struct raw_client *client, int fd)
{
	char data[16384];
	SSL *ssl;
	int n, result = 0;

	if (client->without_tls) {
		if (write(fd, client->bytes.data, client->bytes.len) < 0)
			return 0;
		raw_sleep(client->sleep_ms);
		while (read(fd, data, sizeof(data)) > 0)
			;
		return 0;
	}
	ssl = raw_ssl(client, fd);
	if (SSL_connect(ssl) != 1)
		return raw_alerts();
	result |= RAW_CONNECTED;
	if (client->bytes.len > 0)
		SSL_write(ssl, client->bytes.data, (int)client->bytes.len);
	raw_sleep(client->sleep_ms);
	do
		n = SSL_read(ssl, data, sizeof(data));
	while (n > 0);
	if (SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN)
		result |= RAW_CLOSED_WELL;
	return result | (raw_got_ticket ? RAW_GOT_TICKET : 0) | raw_alerts();
}

int ends_run_raw(struct end *server, struct channel_tls *server_tls, uint64_t handshake_ms,
                 const struct raw_client *client)
{
	uv_loop_t loop;
	int fds[2], status;
	pid_t pid;

	sockets_make(fds);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(fds[0]);
		_exit(raw_run(client, fds[1]));
	}
	close(fds[1]);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	end_start(server, &loop, fds[0], server_tls, handshake_ms);
	channel_tls_unref(server_tls);
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	ck_assert_int_eq(server->closed, 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}
