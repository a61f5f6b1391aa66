/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/model: the parts of the body rules that stand in files of their own. */
#pragma once

#include "channel.pb-c.h"
#include "model/findings.h"

#include <stdbool.h>

void body_find_tls_options(const ProtobufCMessage *body, struct findings *findings);
/* pointer: where the block stands, "/client" or "/client_auth"; require: a client certificate is demanded. */
void body_find_client_auth(const Tlsplane__ClientAuth *client, const char *pointer, bool require,
                           struct findings *findings);
