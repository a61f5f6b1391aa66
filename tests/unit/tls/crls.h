/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate revocation lists as bundles hold them. Whatever fails ends the test. */
#pragma once

#include "channel.pb-c.h"
#include "pki.h"

/* DER, owned by the caller through free(). */
ProtobufCBinaryData crls_make(const struct pki_crl_spec *spec);
