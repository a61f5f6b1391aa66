/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/end.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READS_PER_TURN 4
#define TLS_READ (32 * 1024) /* what OpenSSL asks of the socket at once; given back when it is empty */

void end_note(struct end *end, uint32_t events)
{
	if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		end->readable = true;
	if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
		end->writable = true;
	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		end->ended = true;
	if ((events & EPOLLERR) != 0) /* EPOLLHUP says that both ways are over, maybe in order, with bytes still to be read */
		end->failed = true;
}

void end_close(struct end *end)
{
	if (end->fd >= 0)
		close(end->fd);
	end->fd = -1;
}

void end_reset(struct end *end)
{
	const struct linger linger = {.l_onoff = 1, .l_linger = 0};

	if (end->fd >= 0)
		setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	end_close(end);
}

void end_begin_turn(struct end *end)
{
	end->reads_left = READS_PER_TURN;
}

bool end_has_more(const struct end *end)
{
	return end->readable && end->reads_left == 0;
}

/* Fewer bytes than asked for: the socket is empty, and the next edge tells when it is not; unless a FIN is behind them,
 * whose edge has been seen. */
ssize_t end_read(struct end *end, void *data, size_t len)
{
	ssize_t n;

	if (!end->readable || end->reads_left == 0) {
		errno = EAGAIN;
		return -1;
	}
	end->reads_left--;
	do {
		n = recv(end->fd, data, len, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0 ? errno == EAGAIN : ((size_t)n < len && !end->ended))
		end->readable = false;
	return n;
}

ssize_t end_peek(struct end *end, void *data, size_t len)
{
	ssize_t n;

	if (!end->readable || end->reads_left == 0) {
		errno = EAGAIN;
		return -1;
	}
	end->reads_left--;
	do {
		n = recv(end->fd, data, len, MSG_PEEK);
	} while (n < 0 && errno == EINTR);
	return n;
}

ssize_t end_write(struct end *end, const void *data, size_t len)
{
	ssize_t n;

	if (!end->writable) {
		errno = EAGAIN;
		return -1;
	}
	do {
		n = send(end->fd, data, len, MSG_NOSIGNAL | (end->more ? MSG_MORE : 0));
	} while (n < 0 && errno == EINTR);
	if (n < 0 ? errno == EAGAIN : (size_t)n < len)
		end->writable = false;
	return n;
}

static int take_ahead(struct end *end, char *data, size_t len)
{
	size_t n = len < end->ahead_len ? len : end->ahead_len;

	memcpy(data, end->ahead, n);
	end->ahead += n;
	end->ahead_len -= n;
	return (int)n;
}

static int on_bio_read(BIO *bio, char *data, int len)
{
	struct end *end = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (end->ahead_len > 0)
		return take_ahead(end, data, (size_t)len);
	n = end_read(end, data, (size_t)len);
	if (n > 0 && end->tap != NULL && !end->tap(end, (const uint8_t *)data, (size_t)n)) {
		errno = EPROTO;
		return -1;
	}
	if (n < 0 && errno == EAGAIN)
		BIO_set_retry_read(bio);
	else if (n == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	return (int)n;
}

static int on_bio_write(BIO *bio, const char *data, int len)
{
	struct end *end = BIO_get_data(bio);
	ssize_t n = end_write(end, data, (size_t)len);

	BIO_clear_retry_flags(bio);
	if (n < 0 && errno == EAGAIN)
		BIO_set_retry_write(bio);
	return (int)n;
}

static long on_bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1; /* nothing is held back */
	case BIO_CTRL_EOF:
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	default:
		return 0;
	}
}

int end_make_bio_method(BIO_METHOD **ret, struct error *err)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tlsplane connection");

	if (method == NULL || BIO_meth_set_read(method, on_bio_read) != 1 ||
	    BIO_meth_set_write(method, on_bio_write) != 1 || BIO_meth_set_ctrl(method, on_bio_ctrl) != 1) {
		BIO_meth_free(method);
		return error_nomem(err);
	}
	*ret = method;
	return 0;
}

int end_put_on(struct end *end, const BIO_METHOD *method, SSL *ssl)
{
	BIO *bio = BIO_new(method);

	if (bio == NULL)
		return E_NOMEM;
	BIO_set_data(bio, end);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_default_read_buffer_len(ssl, TLS_READ);
	return 0;
}
