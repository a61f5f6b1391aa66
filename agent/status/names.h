/* SPDX-License-Identifier: Apache-2.0 */
/* Code points of TLS as the pages show them: "1.3", IANA names; "0x1234" for what we have no name for; "" for 0. */
#pragma once

#include <stdint.h>

#define NAMES_TEXT_MAX 64

const char *names_version(uint16_t version, char text[NAMES_TEXT_MAX]);
const char *names_suite(uint16_t suite, char text[NAMES_TEXT_MAX]);
const char *names_group(uint16_t group, char text[NAMES_TEXT_MAX]);
