/* SPDX-License-Identifier: Apache-2.0 */
/* apisix-ssl.json, embedded by embed_text.py. */
#pragma once

extern const char apisix_schema_ssl[];
