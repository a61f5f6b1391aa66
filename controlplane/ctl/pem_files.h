/* SPDX-License-Identifier: Apache-2.0 */
/* "cert_file": "shop.crt" -> "cert": the file's text. See folder.h. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <jansson.h>

#define PEM_FILE_MAX (2u << 20)

/* In place, at any depth. path: the file that the document stands in. E_SYNTAX names what can't be read or is said twice. */
int pem_files_load(const char *path, json_t *document, struct error *err) MUST_USE;
