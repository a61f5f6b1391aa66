#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a fresh Debian 12 to a replaced certificate on two agents, in one command.
#
#   deploy/quickstart.sh          installs, builds, starts, shows, then stays up until Ctrl-C
#   deploy/quickstart.sh --once   the same, but stops after the show; non-zero if any step failed
#
# Everything lives on 127.0.0.1 and in one directory ($TLSPLANE_QUICKSTART_DIR, default ./quickstart-data), which is made anew at every
# run. What an earlier run left behind (processes, data) is cleaned up first; nothing else on the machine is touched.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data=${TLSPLANE_QUICKSTART_DIR:-$repo/quickstart-data}
build=$repo/build
marker=.tlsplane-quickstart
site=foodservice.com
packages=(gcc libc6-dev meson pkg-config curl openssl libssl-dev libuv1-dev libjansson-dev libsqlite3-dev libmicrohttpd-dev
	libprotobuf-c-dev protobuf-c-compiler libidn2-dev libcurl4-openssl-dev libjemalloc-dev python3-yaml)
once=no
staying=no
pids=()

say() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }
note() { printf '    %s\n' "$*"; }
die() {
	printf '\nquickstart: %s\n' "$*" >&2
	exit 1
}

usage() {
	sed -n '3,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

# --------------------------------------------------------------------------------------------------------- processes

# A pid counts as ours only while its command line still names this directory: numbers are reused.
is_ours() {
	{ tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null | grep -qF -e "$data" -e quickstart.sh
}

stop_pid() {
	local pid=$1 i
	is_ours "$pid" || return 0
	kill -TERM "$pid" 2>/dev/null || return 0
	for ((i = 0; i < 120; i++)); do
		is_ours "$pid" || return 0
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null || true
}

stop_earlier_run() {
	local pid
	[[ -f $data/pids ]] || return 0
	while read -r pid _; do
		[[ $pid =~ ^[0-9]+$ && $pid != "$$" ]] && stop_pid "$pid"
	done <"$data/pids"
	return 0
}

# In reverse order: agents before the control plane they talk to. Ctrl-C while it stays up is the ordinary end.
# shellcheck disable=SC2317  # called by trap
cleanup() {
	local status=$? i
	[[ $staying == yes && $status == 130 ]] && status=0
	trap - EXIT INT TERM
	if ((${#pids[@]} > 0)); then
		say "Stopping what this script started"
		for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
			stop_pid "${pids[i]}"
		done
		rm -f "$data/pids"
	fi
	if ((status != 0)); then
		printf '\nquickstart: stopped with an error (logs: %s/*.log)\n' "$data" >&2
	fi
	exit "$status"
}

# start NAME COMMAND...: in the background, output to NAME.log, pid remembered.
start() {
	local name=$1
	shift
	"$@" >"$data/$name.log" 2>&1 </dev/null &
	pids+=($!)
	printf '%s %s\n' "$!" "$name" >>"$data/pids"
	note "started $name (pid $!, log $data/$name.log)"
}

# wait_until WHAT COMMAND...: polls for at most 30 s, and gives up at once when something that we started is gone.
wait_until() {
	local what=$1 i pid
	shift
	for ((i = 0; i < 300; i++)); do
		if "$@" >/dev/null 2>&1; then
			return 0
		fi
		for pid in "${pids[@]}"; do
			if ! kill -0 "$pid" 2>/dev/null; then
				tail -n 3 "$data"/*.log >&2 || true
				die "a process ended while waiting for: $what"
			fi
		done
		sleep 0.1
	done
	die "gave up waiting for: $what"
}

# ------------------------------------------------------------------------------------------------------------- ports

is_port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The wanted port or the next one on which nothing answers.
free_port() {
	local port=$1
	while is_port_taken "$port"; do
		port=$((port + 1))
	done
	printf '%s' "$port"
}

# --------------------------------------------------------------------------------------------------------------- API

# The admin token goes through a file: a command line is readable by everybody on the machine.
api() {
	local method=$1 path=$2
	shift 2
	curl --silent --show-error --fail-with-body --max-time 30 --request "$method" --header @"$data/auth.header" \
		--header 'Content-Type: application/json' "http://127.0.0.1:$admin_port$path" "$@"
}

# put PATH FILE: says what it sends, waits until every agent that it concerns has applied it.
put() {
	note "PUT $1"
	api PUT "$1?wait=acked&timeout=20" --data-binary @"$2" >"$data/answer.json" || die "PUT $1: $(cat "$data/answer.json")"
}

# A PEM file as the inside of a JSON string.
pem() { awk '{printf "%s\\n", $0}' "$1"; }

# shellcheck disable=SC2317  # called by wait_until
count_connected() { api GET /v1/agents | grep -o '"connected": *true' | wc -l; }
# shellcheck disable=SC2317
are_connected() { (($(count_connected) >= $1)); }

# -------------------------------------------------------------------------------------------------------------- show

make_ca() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 \
		-subj "/CN=Quickstart CA" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign 2>/dev/null
}

# make_certificate NAME: NAME.key and NAME.pem for $site.
make_certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$site" 2>/dev/null
	printf 'subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n' "$site" >"$1.ext"
	openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 20 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}

write_ssl_object() {
	(umask 077 && printf '{"sni": "%s", "cert": "%s", "key": "%s"}\n' "$site" "$(pem "$1.pem")" "$(pem "$1.key")" >ssl.json)
}

fetch() {
	curl --silent --show-error --fail --max-time 10 --cacert "$data/ca.pem" --resolve "$site:$1:127.0.0.1" "https://$site:$1/"
}

show_fetch() {
	local port=$1 body
	printf '    $ curl --cacert %s/ca.pem --resolve %s:%s:127.0.0.1 https://%s:%s/\n' "$data" "$site" "$port" "$site" "$port"
	body=$(fetch "$port") || die "no answer through port $port"
	printf '      %s\n' "$body"
	[[ $body == *"Hello from the backend"* ]] || die "an answer, but not the backend's"
}

served_fingerprint() {
	openssl s_client -connect "127.0.0.1:$1" -servername "$site" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256
}

show_certificate() {
	local want=$1 port got
	want=$(openssl x509 -in "$1.pem" -noout -fingerprint -sha256)
	for port in "$port_a" "$port_b"; do
		got=$(served_fingerprint "$port") || die "no certificate on port $port"
		note "port $port serves ${got#*=}"
		[[ $got == "$want" ]] || die "port $port serves another certificate than $1.pem (${want#*=})"
	done
}

# ------------------------------------------------------------------------------------------------------------- steps

parse_arguments() {
	case ${1:-} in
	'') ;;
	--once) once=yes ;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
}

install_packages() {
	local missing=() package as_root=()
	say "Packages"
	for package in "${packages[@]}"; do
		[[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
	done
	if ((${#missing[@]} == 0)); then
		note "all there"
		return
	fi
	note "installing: ${missing[*]}"
	if ((EUID != 0)); then
		command -v sudo >/dev/null || die "need root or sudo to install: ${missing[*]}"
		as_root=(sudo)
	fi
	"${as_root[@]}" apt-get update -qq
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}

build_daemons() {
	say "Build (release, into $build)"
	[[ -f $build/build.ninja ]] || meson setup --buildtype=release "$build" "$repo" >/dev/null
	ninja -C "$build" controlplane/tlsplane-controlplane controlplane/ctl/tlsplanectl agent/tlsplane-agent | tail -n 1
}

prepare_directory() {
	say "Working directory $data"
	if [[ -d $data && ! -f $data/$marker && -n $(ls -A "$data") ]]; then
		die "$data is not empty and not made by this script; set TLSPLANE_QUICKSTART_DIR to another directory"
	fi
	stop_earlier_run
	rm -rf "$data"
	mkdir -p "$data/www"
	data=$(cd "$data" && pwd)
	touch "$data/$marker"
	printf '%s quickstart\n' "$$" >"$data/pids"
	cd "$data"
}

start_controlplane() {
	say "Control plane"
	admin_port=$(free_port 9180)
	channel_port=$(free_port 9190)
	start controlplane "$build/controlplane/tlsplane-controlplane" --data-dir "$data/controlplane" \
		--admin-listen "127.0.0.1:$admin_port" --channel-listen "127.0.0.1:$channel_port"
	wait_until "the control plane" curl -fs "http://127.0.0.1:$admin_port/readyz"
	(umask 077 && printf 'Authorization: Bearer %s\n' "$(cat "$data/controlplane/admin.token")" >auth.header)
	note "admin API on http://127.0.0.1:$admin_port, its token in $data/controlplane/admin.token"
}

start_backend() {
	say "A small HTTP backend"
	backend_port=$(free_port 8080)
	printf 'Hello from the backend\n' >www/index.html
	start backend /usr/bin/python3 -m http.server "$backend_port" --bind 127.0.0.1 --directory "$data/www"
	wait_until "the backend" curl -fs "http://127.0.0.1:$backend_port/"
}

start_agents() {
	local name
	say "Two agents, each with a join token that carries its label"
	for name in a b; do
		(umask 077 && api POST /v1/join_tokens --data "{\"ttl\": 600, \"labels\": {\"site\": \"$name\"}}" \
			| sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' >"join-$name.token")
		[[ -s join-$name.token ]] || die "no join token for agent $name"
		note "join token with the label site=$name in join-$name.token"
		start "agent-$name" "$build/agent/tlsplane-agent" --controlplane "127.0.0.1:$channel_port" \
			--join-token-file "$data/join-$name.token" --data-dir "$data/agent-$name" --status-listen 127.0.0.1:0
	done
	wait_until "both agents to be connected" are_connected 2
	note "both enrolled and connected"
}

configure() {
	say "A CA and a certificate for $site, made with openssl"
	make_ca
	make_certificate first
	note "fingerprint $(openssl x509 -in first.pem -noout -fingerprint -sha256 | cut -d= -f2)"

	say "Configuration, uploaded with curl (each waits until the agents that it concerns have applied it)"
	port_a=$(free_port 8443)
	port_b=$(free_port $((port_a + 1)))
	printf '{"nodes": {"127.0.0.1:%s": 1}}\n' "$backend_port" >upstream.json
	printf '{"bind": "127.0.0.1:%s", "upstream": "web", "selector": {"site": "a"}}\n' "$port_a" >listener-a.json
	printf '{"bind": "127.0.0.1:%s", "upstream": "web", "selector": {"site": "b"}}\n' "$port_b" >listener-b.json
	write_ssl_object first
	put /v1/ssls/$site ssl.json
	put /v1/upstreams/web upstream.json
	put /v1/listeners/site-a listener-a.json
	put /v1/listeners/site-b listener-b.json
}

show() {
	say "The same site through both agents"
	show_fetch "$port_a"
	show_fetch "$port_b"
	show_certificate first

	say "The certificate is replaced: one PUT, no restart"
	make_certificate second
	write_ssl_object second
	put /v1/ssls/$site ssl.json
	show_certificate second
	show_fetch "$port_a"
	show_fetch "$port_b"
	rm -f ssl.json
}

stay() {
	say "It stays up until Ctrl-C. Next steps:"
	note "cd $data   # then:"
	note "curl -H @auth.header http://127.0.0.1:$admin_port/v1/agents      # who is connected, what is applied"
	note "curl -H @auth.header http://127.0.0.1:$admin_port/v1/ssls/$site  # the object, never its key"
	note "curl -H @auth.header http://127.0.0.1:$admin_port/v1/revisions   # what changed, when, by whom"
	note "curl -H @auth.header http://127.0.0.1:$admin_port/metrics        # Prometheus"
	note "export TLSPLANE_URL=http://127.0.0.1:$admin_port TLSPLANE_TOKEN_FILE=$data/controlplane/admin.token"
	note "$build/controlplane/ctl/tlsplanectl agents                       # the same on a command line; --help tells the rest"
	note "curl --cacert ca.pem --resolve $site:$port_a:127.0.0.1 https://$site:$port_a/"
	staying=yes
	wait -n || true
	staying=no
	die "a process ended by itself"
}

parse_arguments "$@"
cd "$repo"
install_packages
build_daemons
prepare_directory
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
start_controlplane
start_backend
start_agents
configure
show
if [[ $once == yes ]]; then
	say "Done: every step worked"
	exit 0
fi
stay
