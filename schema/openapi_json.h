/* SPDX-License-Identifier: Apache-2.0 */
/* openapi.yaml as JSON, embedded by embed_json.py. */
#pragma once

#include <stddef.h>

extern const char openapi_json[];
extern const size_t openapi_json_len;
extern const char openapi_json_etag[]; /* with its quotes; another for other bytes */
