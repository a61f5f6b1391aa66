/* SPDX-License-Identifier: Apache-2.0 */
/* The control plane's own certificate on the channel: a fresh key at each start and at half of each certificate's life,
 * so that no key is ever written down. Connections keep the certificate that they were opened with. What counts is the clock on the wall,
 * which agents judge it by: when that is set, however far and to whichever side, the next connection gets a certificate of today.
 *
 * Where there is none to be had (the CA has expired, if only by a clock that is wrong), connections are turned away and it is tried again:
 * the API is needed most then. */
#include "base/log.h"
#include "crypto/authority.h"
#include "crypto/cert.h"
#include "crypto/key.h"
#include "internal.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>

#define LIFE_SECONDS (90 * 86400)
#define RETRY_MS 10000 /* after a failure */

static int issue(struct publisher *publisher, struct error *err)
{
	static const char *const alpn[] = {CHANNEL_ALPN, CHANNEL_ALPN_ENROLL, NULL};
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;
	CLEANUP(X509_free) X509 *certificate = NULL;
	const int64_t now = (int64_t)publisher_unix_time();
	struct channel_tls *tls;
	int rc = key_generate(&key, err);

	if (rc == 0)
		rc = authority_issue(publisher->ca, publisher->ca_key, AUTHORITY_CONTROLPLANE, NULL, key, now, LIFE_SECONDS,
		                     &certificate, err);
	if (rc == 0)
		rc = channel_tls_new(&(struct channel_tls_config){.server = true,
		                                                  .certificate = certificate,
		                                                  .key = key,
		                                                  .ca = publisher->ca,
		                                                  .alpn = alpn,
		                                                  .allow_expired_client = true},
		                     &tls, err);
	if (rc != 0)
		return error_prefix(err, rc, "control plane certificate");
	channel_tls_unref(publisher->tls);
	publisher->tls = tls;
	publisher->issued_at = now;
	return 0;
}

static void put_off(struct publisher *publisher, const struct error *why)
{
	log_event(LOG_ERROR, "control plane certificate not renewed", LOG_ERR(why));
	publisher->reissue_at = uv_now(publisher->loop) + RETRY_MS;
}

void identity_renew_if_due(struct publisher *publisher)
{
	const int64_t now = (int64_t)publisher_unix_time();
	struct error err = ERROR_NULL;

	if (now >= publisher->issued_at - AUTHORITY_BACKDATE && now < publisher->issued_at + LIFE_SECONDS / 2)
		return;
	if (uv_now(publisher->loop) < publisher->reissue_at)
		return;
	if (issue(publisher, &err) < 0)
		put_off(publisher, &err);
	else
		log_event(LOG_INFO, "control plane certificate renewed");
}

int identity_load(struct publisher *publisher, struct error *err)
{
	CLEANUP(buf_deinit) struct buf der = BUF_NULL;
	CLEANUP(cert_info_deinit) struct cert_info info = {0};
	int rc = store_load_ca(publisher->store, &publisher->ca, &publisher->ca_key, err);

	if (rc == 0)
		rc = cert_info_read(publisher->ca, &info, err);
	if (rc == 0)
		rc = authority_trust_domain(publisher->ca, publisher->trust_domain, err);
	if (rc == 0)
		rc = authority_encode_cert(publisher->ca, &der, err);
	if (rc < 0)
		return rc;
	publisher->ca_der = (uint8_t *)buf_take(&der, &publisher->ca_der_len);
	if (publisher->ca_der == NULL)
		return error_nomem(err);
	publisher->counters.ca_not_after = info.not_after > 0 ? (uint64_t)info.not_after : 0;
	rc = issue(publisher, err);
	if (rc != E_INVALID) /* that is said of a CA that has expired */
		return rc;
	put_off(publisher, err);
	return 0;
}

void identity_unload(struct publisher *publisher)
{
	publisher->tls = channel_tls_unref(publisher->tls);
	EVP_PKEY_free(publisher->ca_key);
	X509_free(publisher->ca);
	free(publisher->ca_der);
	publisher->ca_key = NULL;
	publisher->ca = NULL;
	publisher->ca_der = NULL;
}
