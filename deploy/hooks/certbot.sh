#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# certbot's deploy hook: uploads the lineage that was issued or renewed, under its name as the id, and waits until it is served.
#
#   certbot certonly ... --deploy-hook /usr/lib/tlsplane/certbot.sh      remembered for the renewals of this certificate
#   ln -s /usr/lib/tlsplane/certbot.sh /etc/letsencrypt/renewal-hooks/deploy/tlsplane      for every renewal
#   certbot.sh /etc/letsencrypt/live/*/                                  by hand or by a timer: all of them, again
#
# certbot calls a hook once per renewal and does not repeat one that failed, nor fail itself. A daily run of the third form mends
# that: what is live already makes no change. Settings and exit status are those of tlsplane-upload.sh, next to this file.
set -eu

upload=${TLSPLANE_UPLOAD:-$(dirname "$(readlink -f "$0")")/tlsplane-upload.sh}

if [ -n "${RENEWED_LINEAGE:-}" ]; then
	set -- "$RENEWED_LINEAGE"
elif [ "$#" -gt 1 ] && [ -n "${TLSPLANE_ID:-}" ]; then
	echo "tlsplane: TLSPLANE_ID would make all of these the same object" >&2
	exit 2
elif [ "$#" -eq 0 ]; then
	echo "tlsplane: certbot has not set RENEWED_LINEAGE, and no directories are given" >&2
	exit 2
fi

worst=0
for lineage in "$@"; do
	lineage=${lineage%/}
	TLSPLANE_ID=${TLSPLANE_ID:-${lineage##*/}} "$upload" "$lineage/fullchain.pem" "$lineage/privkey.pem" || worst=$?
done
exit "$worst"
