#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Uploads a certificate with its key to the control plane and waits until the agents serve it.
#
#   tlsplane-upload.sh CERT KEY          as a command: two PEM files, CERT being the leaf and its chain
#   . tlsplane-upload.sh                 as a function for scripts in any POSIX shell:
#   tlsplane_upload CERT KEY
#
# An SSL object that exists gets the new certificate, key and names, and keeps what else is configured on it (PATCH); one that
# doesn't is created. Doing it again changes nothing and waits again: after a failure, simply repeat it.
#
# Settings: the environment, then the file $TLSPLANE_SETTINGS (default /etc/tlsplane/upload.env, NAME=VALUE lines, if it is there).
#
#   TLSPLANE_URL          https://HOST:PORT of the admin API; plain http:// on loopback alone
#   TLSPLANE_TOKEN_FILE   file with the API token; or TLSPLANE_TOKEN, the token itself
#   TLSPLANE_CA_FILE      PEM, whom to trust for TLSPLANE_URL (default: the system's CAs)
#   TLSPLANE_ID           id of the SSL object (default: the first name, "*" written "_"); not in the file
#   TLSPLANE_SNIS         names to serve it for (default: the certificate's DNS names); not in the file
#   TLSPLANE_LABELS       team=a,env=prod: labels that it must carry; others stay
#   TLSPLANE_TLS_OPTIONS  id of the TLS options that it must use
#   TLSPLANE_SELECTOR     site=eu: which agents hold it. Said at creation alone: a renewal moves no key to other machines
#   TLSPLANE_WAIT         served (default): agents have made a handshake with it; acked: they have applied it; none
#   TLSPLANE_TIMEOUT      seconds for everything, tries and waiting (default 90)
#   TLSPLANE_PLAIN_HTTP   "insecure" allows http:// to other machines, where anybody on the way reads key and token
#
# 429, 503, 504 and failed connections are tried again until the time is over, as Retry-After says or with growing pauses. Key and
# token never stand in arguments, on disk or in a trace: they go through pipes.
#
# Exit status: 0 it is live; 1 refused, it won't get better by itself; 2 wrong settings or files; 3 the time is over: try again later.
# Needs curl, jq 1.6, openssl.

_tlsplane_say() {
	printf 'tlsplane: %s\n' "$*" >&2
}

# _tlsplane_die STATUS TEXT...: ends the shell of _tlsplane_main.
_tlsplane_die() {
	_status=$1
	shift
	_tlsplane_say "$*"
	exit "$_status"
}

# Settings -------------------------------------------------------------------------------------------------------------

# What the environment doesn't say (empty is not said) comes from the file.
_tlsplane_load() {
	_file=${TLSPLANE_SETTINGS:-/etc/tlsplane/upload.env}
	if [ ! -e "$_file" ] && [ -z "${TLSPLANE_SETTINGS:-}" ]; then
		return 0
	fi
	[ -r "$_file" ] || _tlsplane_die 2 "can't read the settings in $_file"
	_number=0
	while IFS= read -r _line || [ -n "$_line" ]; do
		_number=$((_number + 1))
		case $_line in
		'' | '#'*) continue ;;
		esac
		_name=${_line%%=*}
		_value=${_line#*=}
		case $_name in
		TLSPLANE_URL | TLSPLANE_TOKEN | TLSPLANE_TOKEN_FILE | TLSPLANE_CA_FILE | TLSPLANE_LABELS | TLSPLANE_TLS_OPTIONS | \
			TLSPLANE_SELECTOR | TLSPLANE_WAIT | TLSPLANE_TIMEOUT | TLSPLANE_PLAIN_HTTP) ;;
		TLSPLANE_ID | TLSPLANE_SNIS)
			_tlsplane_die 2 "$_file:$_number: $_name would make every certificate the same object; set it in the environment"
			;;
		*) _tlsplane_die 2 "$_file:$_number: not NAME=VALUE with a name that is known" ;;
		esac
		case $_value in
		\"*\") _value=${_value#\"} _value=${_value%\"} ;;
		esac
		eval "[ -n \"\${$_name:-}\" ] || $_name=\$_value"
	done <"$_file"
}

_tlsplane_is_loopback() {
	case $1 in
	'['*) _host=${1%%]*}] ;;
	*) _host=${1%%:*} ;;
	esac
	case $_host in
	localhost | '[::1]') return 0 ;;
	127.*) case $_host in *[!0-9.]*) return 1 ;; esac ;;
	*) return 1 ;;
	esac
}

# Sets url.
_tlsplane_check_url() {
	url=${TLSPLANE_URL:-}
	url=${url%/}
	case $url in
	'') _tlsplane_die 2 "TLSPLANE_URL is not set" ;;
	*@* | *[[:space:]]*) _tlsplane_die 2 "TLSPLANE_URL: a user name, a password or white space in it" ;;
	https://?*) ;;
	http://?*)
		_rest=${url#http://}
		if ! _tlsplane_is_loopback "${_rest%%/*}" && [ "${TLSPLANE_PLAIN_HTTP:-}" != insecure ]; then
			_tlsplane_die 2 "TLSPLANE_URL: key and token would cross the network in plain text; use https://"
		fi
		;;
	*) _tlsplane_die 2 "TLSPLANE_URL: https://HOST:PORT expected" ;;
	esac
}

# Sets token. What follows needs the exported one no more.
_tlsplane_check_token() {
	token=${TLSPLANE_TOKEN:-}
	unset TLSPLANE_TOKEN
	_from=TLSPLANE_TOKEN
	if [ -z "$token" ]; then
		_from=${TLSPLANE_TOKEN_FILE:-}
		[ -n "$_from" ] || _tlsplane_die 2 "neither TLSPLANE_TOKEN_FILE nor TLSPLANE_TOKEN is set"
		[ -r "$_from" ] || _tlsplane_die 2 "can't read the token in $_from"
		token=$(cat "$_from") || _tlsplane_die 2 "can't read the token in $_from"
	fi
	case $token in
	'' | *[!A-Za-z0-9._~+/=-]*) _tlsplane_die 2 "$_from: not a token (one line of letters, digits and ._~+/=-)" ;;
	esac
}

# Sets wait, timeout.
_tlsplane_check_waiting() {
	wait=${TLSPLANE_WAIT:-served}
	case $wait in
	served | acked | none) ;;
	*) _tlsplane_die 2 "TLSPLANE_WAIT: served, acked or none expected" ;;
	esac
	timeout=${TLSPLANE_TIMEOUT:-90}
	case $timeout in
	*[!0-9]* | 0* | ?????*) _tlsplane_die 2 "TLSPLANE_TIMEOUT: seconds from 1 to 9999 expected" ;;
	esac
}

# The certificate -------------------------------------------------------------------------------------------------------

# The server judges both; this is for mistakes that it could not tell from others.
_tlsplane_check_files() {
	for _file in "$1" "$2"; do
		[ -f "$_file" ] || _tlsplane_die 2 "$_file is not there, or no file"
		[ -r "$_file" ] || _tlsplane_die 2 "$_file can't be read by $(id -un)"
	done
	grep -q -e '-----BEGIN .*CERTIFICATE-----' "$1" || _tlsplane_die 2 "$1 holds no PEM certificate"
	! grep -q -e 'PRIVATE KEY-----' "$1" || _tlsplane_die 2 "$1 holds a private key: give certificates and key in two files"
	grep -q -e '-----BEGIN .*PRIVATE KEY-----' "$2" || _tlsplane_die 2 "$2 holds no PEM private key"
	! grep -q -e 'ENCRYPTED' "$2" || _tlsplane_die 2 "$2 is encrypted; decrypt it first: openssl pkey -in $2"
}

# Prints the names as a JSON array.
_tlsplane_names() {
	if [ -n "${TLSPLANE_SNIS:-}" ]; then
		jq -cn --arg names "$TLSPLANE_SNIS" '[$names | splits("[, ]+") | select(. != "")]'
	else
		openssl x509 -in "$1" -noout -ext subjectAltName 2>/dev/null | tr ',' '\n' | sed -n 's/^ *DNS://p' |
			jq -cRn '[inputs]'
	fi
}

# Sets id, changes, creation: the object but for the PEM files, as JSON, for PATCH and for PUT.
_tlsplane_describe() {
	_names=$(_tlsplane_names "$1") || _tlsplane_die 2 "can't take the names out of $1 (needs openssl and jq 1.6)"
	[ "$_names" != '[]' ] || _tlsplane_die 2 "$1 has no DNS names; say in TLSPLANE_SNIS what to serve it for"
	id=${TLSPLANE_ID:-$(jq -rn --argjson names "$_names" '$names[0]')}
	id=$(printf '%s\n' "$id" | sed 's/^\*/_/')
	case $id in
	*[!A-Za-z0-9._-]* | [.-]*) _tlsplane_die 2 "TLSPLANE_ID: letters, digits and ._- expected, no . or - first" ;;
	esac
	creation=$(jq -cn --argjson names "$_names" --arg labels "${TLSPLANE_LABELS:-}" --arg options "${TLSPLANE_TLS_OPTIONS:-}" \
		--arg selector "${TLSPLANE_SELECTOR:-}" '
		def pairs($text): [$text | splits("[, ]+") | select(. != "")
			| capture("^(?<key>[^=]+)=(?<value>.*)$") // error("no =")] | from_entries;
		{snis: $names}
			+ if $labels != "" then {labels: pairs($labels)} else {} end
			+ if $options != "" then {tls_options: $options} else {} end
			+ if $selector != "" then {selector: pairs($selector)} else {} end' 2>/dev/null) ||
		_tlsplane_die 2 "TLSPLANE_LABELS, TLSPLANE_SELECTOR: NAME=VALUE with commas between them expected"
	changes=$(jq -cn --argjson object "$creation" '$object + {sni: null} | del(.selector)')
}

# Requests --------------------------------------------------------------------------------------------------------------

# _tlsplane_send CERT KEY: one request by $method; its status is curl's. Sets http; the answer is in $dir. Redirects are not followed.
_tlsplane_send() {
	_left=$((deadline - $(date +%s)))
	_seconds=$((_left > 303 ? 300 : _left - 3))
	_query="?wait=$wait&timeout=$((_seconds > 0 ? _seconds : 1))"
	[ "$wait" != none ] || _query=
	_object=$changes _header='Content-Type: application/merge-patch+json'
	[ "$method" = PATCH ] || _object=$creation _header='Content-Type: application/json'
	_only=
	[ "$method" = PATCH ] || _only='If-None-Match: *'
	_direct=
	case $url in http:*) _direct='*' ;; esac
	rm -f "$dir/head" "$dir/answer"
	_curl=0
	jq -cn --argjson object "$_object" --rawfile cert "$1" --rawfile key "$2" '$object + {cert: $cert, key: $key}' |
		curl --disable --silent --show-error --proto '=https,http' ${_direct:+--noproxy "$_direct"} \
			--connect-timeout 10 --max-time "$((_left > 0 ? _left : 1))" ${TLSPLANE_CA_FILE:+--cacert "$TLSPLANE_CA_FILE"} \
			--request "$method" --header @/dev/fd/3 --header "$_header" ${_only:+--header "$_only"} --header 'Expect:' \
			--data-binary @- --dump-header "$dir/head" --output "$dir/answer" --write-out '%{http_code}\n' \
			"$url/v1/ssls/$id$_query" >"$dir/status" 2>"$dir/curl" 3<<-END || _curl=$?
			Authorization: Bearer $token
		END
	http=$(cat "$dir/status")
	return "$_curl"
}

# Is the answer a problem document of the control plane's? Then: of this type?
_tlsplane_is_problem() {
	jq -es --arg type "urn:tlsplane:error:${1:-}" '.[0].type | startswith($type)' "$dir/answer" >/dev/null 2>&1
}

# A token with a scope is not told whether the object is another's or is not there at all: making it shows.
_tlsplane_is_hidden() {
	jq -es '.[0].errors[0] | .code == "outside-scope" and .pointer == ""' "$dir/answer" >/dev/null 2>&1
}

# Could the same request succeed in a while? $1: curl's status.
_tlsplane_is_passing() {
	case $1 in
	0) ;;
	5 | 6 | 7 | 16 | 18 | 28 | 35 | 52 | 55 | 56 | 92) return 0 ;;
	*) return 1 ;;
	esac
	case $http in
	429 | 503 | 504) return 0 ;;
	502) ! _tlsplane_is_problem ;; # a proxy's; the control plane means by it that an agent has refused
	*) return 1 ;;
	esac
}

# Prints why the last request failed: $1 is curl's status.
_tlsplane_explain() {
	if [ "$1" -ne 0 ]; then
		_tlsplane_say "no answer from $url: $(sed 's/^curl: ([0-9]*) //' "$dir/curl" | head -n 1)"
		return 0
	fi
	if ! _tlsplane_is_problem; then
		_tlsplane_say "HTTP $http without a reason that could be read; is TLSPLANE_URL the admin API?"
		return 0
	fi
	jq -r '
		def plain: tostring | explode | map(if . < 32 or (. >= 127 and . < 160) then 63 else . end) | implode;
		"tlsplane: ssls/" + $id + ": HTTP " + $http + " " + (.title | plain) + ": " + (.detail // "no detail" | plain),
		((.errors // [])[] | "  " + (.pointer // "" | plain) + ": " + (.detail | plain)),
		((.warnings // [])[] | "  warning: " + (.pointer // "" | plain) + ": " + (.detail | plain)),
		((.agents // [])[] | select(.state != "acked" and .state != "served")
			| "  " + (if .id then "agent " + (.id | plain) else (.count | plain) + " agent(s)" end) + ": " + (.state | plain)
				+ (if .reason then ": " + (.reason | plain) else "" end),
			((.objects // [])[] | "    " + (.kind | plain) + "/" + (.id | plain) + (.field // "" | plain) + ": " + (.reason | plain)),
			((.names // [])[] | select(.state != "served")
				| "    " + (to_entries | map(.key + "=" + (.value | plain)) | join(" ")))),
		((.names.superseded // [])[] | "  " + (.sni | plain) + " on " + (.listener | plain) + ": changed again by revision " + (.revision | plain)),
		(if .revision then "  revision " + (.revision | plain) + " stands" else empty end),
		"  request " + (.instance // "unknown" | plain | sub("^urn:tlsplane:request:"; ""))' \
		--arg id "$id" --arg http "$http" "$dir/answer" >&2
}

# How long to pause: Retry-After in seconds, else $delay, which doubles up to 15. Sets pause.
_tlsplane_choose_pause() {
	pause=$delay
	delay=$((delay * 2 > 15 ? 15 : delay * 2))
	[ -f "$dir/head" ] || return 0
	_after=$(tr -d '\r' <"$dir/head" | sed -n 's/^[Rr][Ee][Tt][Rr][Yy]-[Aa][Ff][Tt][Ee][Rr]: *\([0-9]\{1,6\}\)$/\1/p' | tail -n 1)
	[ -z "$_after" ] || pause=$_after
}

# Pauses, or gives up when the time would be over. $1: curl's status.
_tlsplane_pause() {
	_tlsplane_choose_pause
	if [ $(($(date +%s) + pause + 1)) -ge "$deadline" ]; then
		_tlsplane_explain "$1"
		_tlsplane_die 3 "giving up: not live within $timeout s; the same upload can be tried again later"
	fi
	_reason="HTTP $http"
	[ "$1" -eq 0 ] || _reason=$(sed 's/^curl: ([0-9]*) //' "$dir/curl" | head -n 1)
	_tlsplane_say "$_reason; trying again in $pause s"
	sleep "$pause"
}

# The write is accepted; "live" needs the word of the control plane that it has waited for just that. Tokens with a scope are told how many
# agents, not which.
_tlsplane_finish() {
	jq -er '
		def plain: tostring | explode | map(if . < 32 or (. >= 127 and . < 160) then 63 else . end) | implode;
		if $wait != "none" and .wait.state != $wait then error("not waited") else . end
		| ((.warnings // [])[] | "tlsplane: warning: " + (.pointer // "" | plain) + ": " + (.detail | plain)),
		((.wait.names.shadowed // [])[] | "tlsplane: warning: " + plain + " is answered by another object or a route"),
		"tlsplane: ssls/" + (.id | plain) + " (" + ([.sni // empty, (.snis // [])[]] | join(" ") | plain) + "), version "
			+ (.version | plain) + ", valid until " + (.x509.not_after? // "an unknown time" | plain) + ": "
			+ if $wait == "none" then "stored, not waited for"
			  elif (.wait.agents | length) == 0 then "stored; no connected agent holds it"
			  else $wait + " by " + (.wait.agents | map(.count // 1) | add | tostring) + " agent(s)" end' \
		--arg wait "$wait" "$dir/answer" 2>/dev/null ||
		_tlsplane_die 1 "HTTP $http, but the answer doesn't say that the change is $wait"
}

# PATCH what exists, PUT what doesn't; another upload of the same object may come between them.
_tlsplane_upload_files() {
	method=PATCH
	delay=1
	_turns=0
	while :; do
		_status=0
		_tlsplane_send "$1" "$2" || _status=$?
		_next=$method
		case $_status$method$http in
		0*200 | 0*201)
			_tlsplane_finish
			return 0
			;;
		0PATCH404) ! _tlsplane_is_problem not-found || _next=PUT ;;
		0PATCH403) ! _tlsplane_is_hidden || _next=PUT ;;
		0PUT412) _next=PATCH ;;
		esac
		if [ "$_next" != "$method" ] && [ "$_turns" -lt 5 ]; then
			method=$_next
			_turns=$((_turns + 1))
			continue
		fi
		if ! _tlsplane_is_passing "$_status"; then
			_tlsplane_explain "$_status"
			exit 1
		fi
		_tlsplane_pause "$_status"
	done
}

# Ends the shell. Nothing relies on errexit, which the shell ignores wherever a caller tests the status.
_tlsplane_main() {
	{ set +x; } 2>/dev/null # a trace would show the token
	set -eu
	umask 077
	[ "$#" -eq 2 ] || _tlsplane_die 2 "usage: tlsplane-upload.sh CERT KEY"
	for _tool in curl jq openssl; do
		command -v "$_tool" >/dev/null || _tlsplane_die 2 "$_tool is not installed"
	done
	_tlsplane_load
	_tlsplane_check_url
	_tlsplane_check_token
	_tlsplane_check_waiting
	[ -z "${TLSPLANE_CA_FILE:-}" ] || [ -r "$TLSPLANE_CA_FILE" ] || _tlsplane_die 2 "can't read TLSPLANE_CA_FILE $TLSPLANE_CA_FILE"
	_tlsplane_check_files "$1" "$2"
	_tlsplane_describe "$1"
	deadline=$(($(date +%s) + timeout))
	dir=$(mktemp -d) || _tlsplane_die 2 "can't make a temporary directory"
	trap 'rm -rf "$dir"' EXIT
	trap 'exit 3' HUP INT TERM
	_tlsplane_upload_files "$1" "$2"
	exit 0
}

# In a subshell: the caller's options, variables and traps stay as they are.
tlsplane_upload() (
	_tlsplane_main "$@"
)

# As a command in this very process: a signal ends the upload, and not just a shell around it.
case ${0##*/} in
tlsplane-upload | tlsplane-upload.sh) _tlsplane_main "$@" ;;
esac
