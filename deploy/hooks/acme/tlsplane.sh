#!/usr/bin/env sh
# SPDX-License-Identifier: Apache-2.0
# acme.sh's deploy hook: uploads the certificate under its main domain as the id, and waits until it is served.
#
#   cp tlsplane.sh ~/.acme.sh/deploy/
#   TLSPLANE_URL=... TLSPLANE_TOKEN_FILE=... acme.sh --deploy -d shop.example --deploy-hook tlsplane
#
# Settings are those of tlsplane-upload.sh; acme.sh remembers them per domain for its renewals. It would keep a token in plain text,
# so the token comes from a file. TLSPLANE_UPLOAD is where tlsplane-upload.sh lies (default /usr/lib/tlsplane/tlsplane-upload.sh).

# domain keyfile certfile cafile fullchain
tlsplane_deploy() {
	_tlsplane_domain="$1"
	_tlsplane_key="$2"
	_tlsplane_chain="$5"

	for _tlsplane_name in TLSPLANE_URL TLSPLANE_TOKEN_FILE TLSPLANE_CA_FILE TLSPLANE_ID TLSPLANE_SNIS TLSPLANE_LABELS \
		TLSPLANE_TLS_OPTIONS TLSPLANE_SELECTOR TLSPLANE_WAIT TLSPLANE_TIMEOUT TLSPLANE_PLAIN_HTTP TLSPLANE_SETTINGS TLSPLANE_UPLOAD; do
		_getdeployconf "$_tlsplane_name"
		eval "_tlsplane_value=\${$_tlsplane_name:-}"
		if [ -n "$_tlsplane_value" ]; then
			_savedeployconf "$_tlsplane_name" "$_tlsplane_value"
			eval "export $_tlsplane_name"
		fi
	done

	if [ -n "${TLSPLANE_TOKEN+set}" ] && [ -z "${TLSPLANE_TOKEN_FILE:-}" ]; then
		_err "tlsplane: renewals need the token too, and acme.sh would keep it in plain text: put it into a file, set TLSPLANE_TOKEN_FILE"
		return 1
	fi
	_tlsplane_upload="${TLSPLANE_UPLOAD:-/usr/lib/tlsplane/tlsplane-upload.sh}"
	if [ ! -x "$_tlsplane_upload" ]; then
		_err "tlsplane: $_tlsplane_upload is not there; set TLSPLANE_UPLOAD"
		return 1
	fi
	if ! TLSPLANE_ID="${TLSPLANE_ID:-$_tlsplane_domain}" "$_tlsplane_upload" "$_tlsplane_chain" "$_tlsplane_key"; then
		_err "tlsplane: $_tlsplane_domain is not live"
		return 1
	fi
	_info "tlsplane: $_tlsplane_domain is live"
}
