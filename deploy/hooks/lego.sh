#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# lego's hook: uploads the certificate that was issued or renewed, under lego's name for it as the id, and waits until it is served.
#
#   lego ... run --run-hook /usr/lib/tlsplane/lego.sh; lego ... renew --renew-hook /usr/lib/tlsplane/lego.sh      up to lego 4
#   lego run ... --deploy-hook /usr/lib/tlsplane/lego.sh                                                          from lego 5
#
# lego ends a hook after 120 s: leave TLSPLANE_TIMEOUT below that. A hook that fails makes lego fail, but the next run finds a fresh
# certificate and does not call it again: repeat the upload with tlsplane-upload.sh. Settings and exit status are those of
# tlsplane-upload.sh, next to this file.
set -eu

cert=${LEGO_HOOK_CERT_PATH:-${LEGO_CERT_PATH:-}}
key=${LEGO_HOOK_CERT_KEY_PATH:-${LEGO_CERT_KEY_PATH:-}}
name=${LEGO_HOOK_CERT_NAME:-${LEGO_CERT_DOMAIN:-}}

if [ -z "$cert" ] || [ -z "$key" ]; then
	echo "tlsplane: lego has set neither LEGO_HOOK_CERT_PATH and LEGO_HOOK_CERT_KEY_PATH nor LEGO_CERT_PATH and LEGO_CERT_KEY_PATH" >&2
	exit 2
fi
TLSPLANE_ID=${TLSPLANE_ID:-$name}
export TLSPLANE_ID
exec "${TLSPLANE_UPLOAD:-$(dirname "$(readlink -f "$0")")/tlsplane-upload.sh}" "$cert" "$key"
