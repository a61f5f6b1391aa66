#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The benchmarks: installs the peers, builds for speed into ./build, prints tables. See run.py for the parts.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

packages=(gcc libc6-dev meson pkg-config openssl libssl-dev libuv1-dev libjansson-dev libsqlite3-dev libmicrohttpd-dev libprotobuf-c-dev
	protobuf-c-compiler libidn2-dev libcurl4-openssl-dev libjemalloc-dev check python3-yaml python3-cryptography nginx-light libnginx-mod-stream haproxy hitch util-linux linux-perf)
. tests/lib/packages.sh
install_packages "${packages[@]}"
# The build of deploy/quickstart.sh; made before Check was there, it knows no tests.
if [[ ! -f build/build.ninja ]]; then
	meson setup build . --buildtype=release >/dev/null
elif ! grep -q bench_load build/build.ninja; then
	meson setup --reconfigure build >/dev/null
fi
log=$(mktemp)
ninja -C build controlplane/tlsplane-controlplane controlplane/ctl/tlsplanectl agent/tlsplane-agent \
	tests/bench/bench_{bare_relay,crowd,flow,fleet,fleet_enrol,latency,load,make_objects,openssl_alone,put_to_served,puts} >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
rm -f "$log"
exec /usr/bin/python3 tests/bench/run.py "$@"
