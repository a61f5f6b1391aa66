/* SPDX-License-Identifier: Apache-2.0 */
/* The modes of client authentication as what they ask of clients; joining two of them is OR. */
#pragma once

#include "channel.pb-c.h"

/* None of these, or ASKED and any of the others. Rules that lack a bit of others' are laxer. */
enum { CLIENT_ASKED = 1, CLIENT_DEMANDED = 2, CLIENT_VERIFIED = 4 };

/* A mode that is not known (no decoder lets one pass) asks for all there is. */
unsigned client_mode_bits(Tlsplane__ClientVerify verify);
