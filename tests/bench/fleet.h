/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a fleet: DER, each value behind its length in four bytes. The CA's certificate, then for each agent its key and its
 * certificate. Both ends are on this machine: the length is in its own byte order. */
#pragma once

#include "base/buf.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FLEET_VALUE_MAX 65536

static inline void fleet_write(FILE *out, struct bytes value)
{
	uint32_t len = (uint32_t)value.len;

	if (fwrite(&len, sizeof(len), 1, out) != 1 || fwrite(value.data, 1, len, out) != len) {
		perror("fleet file");
		exit(1);
	}
}

/* False: that was all. The bytes are there until the next call. */
static inline bool fleet_read(FILE *in, struct bytes *ret)
{
	static uint8_t value[FLEET_VALUE_MAX];
	uint32_t len;

	if (fread(&len, sizeof(len), 1, in) != 1)
		return false;
	if (len > sizeof(value) || fread(value, 1, len, in) != len) {
		fprintf(stderr, "fleet file: cut\n");
		exit(1);
	}
	*ret = BYTES(value, len);
	return true;
}
