/* SPDX-License-Identifier: Apache-2.0 */
/* The control plane's own certificate on the channel: a fresh key at each start and at half of each certificate's life,
 * so that no key is ever written down. Connections keep the certificate that they were opened with. */
#include "base/log.h"
#include "crypto/authority.h"
#include "crypto/key.h"
#include "internal.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>

#define LIFE_SECONDS (90 * 86400)
#define REISSUE_MS ((uint64_t)LIFE_SECONDS / 2 * 1000)
#define RETRY_MS ((uint64_t)3600 * 1000)

static int issue(struct publisher *publisher, struct error *err)
{
	static const char *const alpn[] = {CHANNEL_ALPN, CHANNEL_ALPN_ENROLL, NULL};
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;
	CLEANUP(X509_free) X509 *certificate = NULL;
	struct channel_tls *tls;
	int rc = key_generate(&key, err);

	if (rc == 0)
		rc = authority_issue(publisher->ca, publisher->ca_key, AUTHORITY_CONTROLPLANE, NULL, key,
		                     (int64_t)publisher_unix_time(), LIFE_SECONDS, &certificate, err);
	if (rc == 0)
		rc = channel_tls_new(&(struct channel_tls_config){.server = true,
		                                                  .certificate = certificate,
		                                                  .key = key,
		                                                  .ca = publisher->ca,
		                                                  .alpn = alpn,
		                                                  .allow_expired_client = true},
		                     &tls, err);
	if (rc < 0)
		return error_prefix(err, rc, "control plane certificate");
	channel_tls_unref(publisher->tls);
	publisher->tls = tls;
	return 0;
}

static void on_reissue(uv_timer_t *timer)
{
	struct publisher *publisher = timer->data;
	struct error err = ERROR_NULL;
	int rc = issue(publisher, &err);

	if (rc < 0)
		log_event(LOG_ERROR, "control plane certificate not renewed", LOG_ERR(&err));
	(void)uv_timer_start(timer, on_reissue, rc < 0 ? RETRY_MS : REISSUE_MS, 0); /* fails only on a closing handle */
}

int identity_load(struct publisher *publisher, struct error *err)
{
	CLEANUP(buf_deinit) struct buf der = BUF_NULL;
	int rc = store_load_ca(publisher->store, &publisher->ca, &publisher->ca_key, err);

	if (rc == 0)
		rc = authority_trust_domain(publisher->ca, publisher->trust_domain, err);
	if (rc == 0)
		rc = authority_encode_cert(publisher->ca, &der, err);
	if (rc < 0)
		return rc;
	publisher->ca_der = (uint8_t *)buf_take(&der, &publisher->ca_der_len);
	if (publisher->ca_der == NULL)
		return error_nomem(err);
	rc = issue(publisher, err);
	if (rc == 0)
		(void)uv_timer_start(&publisher->reissue, on_reissue, REISSUE_MS, 0);
	return rc;
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
