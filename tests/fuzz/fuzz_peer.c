/* SPDX-License-Identifier: Apache-2.0 */
/* Rules over certificates as users write them, and names of certificates as anybody makes them: canonical text stays as it is, whatever
 * went in, and equals itself. */
#include "crypto/cert.h"
#include "crypto/crypto.h"
#include "model/peer.h"
#include "model/peer_dn.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int normalise_fn(const char *text, char *ret, struct error *err);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	if (crypto_init(NULL) < 0)
		abort();
	return 0;
}

static void as_rule(const char *text, normalise_fn *normalise)
{
	char once[PEER_TEXT_MAX + 1], twice[PEER_TEXT_MAX + 1];

	if (normalise(text, once, NULL) != 0)
		return;
	if (normalise(once, twice, NULL) != 0 || strcmp(once, twice) != 0)
		abort();
	if (normalise == peer_normalise_dn && !peer_dn_is_equal(once, twice))
		abort();
}

/* What a log shows of a subject can be written into a rule (an attribute without a value can't). */
static void as_subject(const X509_NAME *name)
{
	char text[PEER_TEXT_MAX + 1], again[PEER_TEXT_MAX + 1];

	if (peer_dn_from_name(name, text) != 0)
		return;
	if (text[0] != '\0' && !peer_dn_is_equal(text, text))
		abort();
	if (peer_normalise_dn(text, again, NULL) == 0 && strcmp(text, again) != 0)
		abort();
}

static void as_cert(X509 *cert)
{
	static char wild[] = "*.seed.test", uri[] = "spiffe://x/*", email[] = "*@seed.test", cn[] = "seed.test", dn[] = "CN=seed.test";
	char *wilds[] = {wild}, *uris[] = {uri}, *emails[] = {email}, *cns[] = {cn}, *dns[] = {dn};
	Tlsplane__PeerRule one = TLSPLANE__PEER_RULE__INIT, two = TLSPLANE__PEER_RULE__INIT, *list[] = {&one, &two};
	const struct peer_rules rules = {list, 2};
	char identity[PEER_TEXT_MAX + 1];

	one.dns = wilds;
	one.uri = uris;
	one.n_dns = one.n_uri = 1;
	two.email = emails;
	two.cn = cns;
	two.dn = dns;
	two.n_email = two.n_cn = two.n_dn = 1;
	(void)peer_is_allowed(cert, list, 2);
	if (peer_map_identity(cert, &rules, 1, identity, NULL, NULL) == 0 && identity[0] == '\0')
		abort();
	as_subject(X509_get_subject_name(cert));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static normalise_fn *const all[] = {peer_normalise_dns, peer_normalise_uri, peer_normalise_email, peer_normalise_dn};
	CLEANUP(X509_free) X509 *cert = NULL;
	const unsigned char *at = data;
	X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)size);
	char *text = strndup((const char *)data, size);

	for (size_t i = 0; i < ARRAY_LEN(all) && text != NULL; i++)
		as_rule(text, all[i]);
	free(text);
	if (name != NULL)
		as_subject(name);
	X509_NAME_free(name);
	if (cert_parse(BYTES(data, size), &cert, NULL) == 0)
		as_cert(cert);
	ERR_clear_error();
	return 0;
}
