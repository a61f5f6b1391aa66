#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The benchmarks: installs the peers, builds for speed into ./build-bench, prints tables. See run.py for the parts.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

packages=(gcc libc6-dev meson pkg-config openssl libssl-dev libuv1-dev libjansson-dev libsqlite3-dev libmicrohttpd-dev libprotobuf-c-dev
	protobuf-c-compiler libidn2-dev libcurl4-openssl-dev libjemalloc-dev check python3-yaml python3-cryptography nginx-light libnginx-mod-stream haproxy hitch util-linux)
. tests/lib/packages.sh
install_packages "${packages[@]}"
[[ -f build-bench/build.ninja ]] || meson setup build-bench . --buildtype=release >/dev/null
log=$(mktemp)
for target in "" bench_bare_relay bench_load bench_make_objects bench_openssl_alone bench_put_to_served bench_puts; do
	meson compile -C build-bench $target >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
done
rm -f "$log"
exec /usr/bin/python3 tests/bench/run.py "$@"
