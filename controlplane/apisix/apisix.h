/* SPDX-License-Identifier: Apache-2.0 */
/* The part of Apache APISIX's admin API that concerns certificates, /apisix/admin/ssls and what belongs to it, over the same objects and
 * by the same changes as /v1: what clients of it send is translated, what is answered is put in its form, nothing is decided here.
 * How that API answers: APISIX 3.14 and later, envelope v3. */
#pragma once

#include "api/dialect.h"

extern const struct api_dialect apisix_dialect;
