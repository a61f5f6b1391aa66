/* SPDX-License-Identifier: Apache-2.0 */
#include "model/client_mode.h"

#include "base/macros.h"

#include <stddef.h>

unsigned client_mode_bits(Tlsplane__ClientVerify verify)
{
	static const unsigned bits[] = {
		[TLSPLANE__CLIENT_VERIFY__VERIFY_NONE] = 0,
		[TLSPLANE__CLIENT_VERIFY__VERIFY_REQUEST] = CLIENT_ASKED,
		[TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE_ANY] = CLIENT_ASKED | CLIENT_DEMANDED,
		[TLSPLANE__CLIENT_VERIFY__VERIFY_IF_GIVEN] = CLIENT_ASKED | CLIENT_VERIFIED,
		[TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE] = CLIENT_ASKED | CLIENT_DEMANDED | CLIENT_VERIFIED,
	};

	return (size_t)verify < ARRAY_LEN(bits) ? bits[verify] : CLIENT_ASKED | CLIENT_DEMANDED | CLIENT_VERIFIED;
}
