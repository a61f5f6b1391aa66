#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything that must hold before a change goes in, from a bare Debian 12: packages, both builds, lint, unit, end-to-end, fuzz,
# the quickstart, bounds of memory with the release build, and the benchmarks in small.
#
#   tests/run.sh               all of it; non-zero if anything failed
#   tests/run.sh lint e2e      only these parts (lint, unit, e2e, fuzz, quickstart, bounds, bench)
#   tests/run.sh static tsan valgrind   on request: static analysis; unit and end-to-end tests under ThreadSanitizer; a short path under memcheck
#
# Builds go to ./build-asan (ASan + UBSan), ./build (release) and ./build-fuzz (clang, libFuzzer); the linters of OpenAPI to tests/.cache. FUZZ_SECONDS sets
# the time per fuzz target (default 10).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(gcc libc6-dev meson pkg-config curl openssl sqlite3 libssl-dev libuv1-dev libjansson-dev libsqlite3-dev libmicrohttpd-dev
	libprotobuf-c-dev protobuf-c-compiler libidn2-dev libcurl4-openssl-dev libjemalloc-dev check clang-14 llvm-14 libclang-rt-14-dev python3-pytest
	python3-pytest-xdist python3-cryptography python3-jsonschema python3-yaml jq sslscan testssl.sh nmap gnutls-bin haproxy nginx-light
	certbot lego pebble busybox shellcheck mandoc zsh fish)
linters_dir=tests/.cache/contract
python=/usr/bin/python3 # Debian's, with Debian's modules, whatever stands first in PATH
all_parts=(lint unit e2e fuzz quickstart bounds bench)
more_parts=(static tsan valgrind)
slower=5 # times, under ThreadSanitizer and memcheck
failed=()
summary=()

# shellcheck source=tests/lib/packages.sh
. tests/lib/packages.sh

say() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }

# What lints the OpenAPI document, as tests/contract/package-lock.json says.
install_linters() {
	if cmp -s tests/contract/package-lock.json "$linters_dir/installed"; then
		return
	fi
	rm -rf "$linters_dir"
	mkdir -p "$linters_dir"
	cp tests/contract/package.json tests/contract/package-lock.json "$linters_dir"
	echo "installing redocly and spectral into $linters_dir"
	npm ci --prefix "$linters_dir" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null || {
		echo "tests/run.sh: the npm registry did not give what tests/contract/package-lock.json names; the OpenAPI document can't be linted" >&2
		return 1
	}
	cp tests/contract/package-lock.json "$linters_dir/installed"
}

# Debian has promtool in the package of the server, whose installation would start one: the file alone is taken out of it.
install_promtool() {
	local dir=tests/.cache/promtool
	if ! command -v promtool >/dev/null && [[ ! -x $dir/usr/bin/promtool ]]; then
		echo "unpacking promtool into $dir"
		mkdir -p "$dir"
		(cd "$dir" && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb . && rm -f prometheus_*.deb)
	fi
	PATH=$PATH:$PWD/$dir/usr/bin
}

# configure DIR SETUP-OPTION...
configure() {
	local dir=$1 log
	shift
	log=$(mktemp)
	[[ -f $dir/build.ninja ]] || meson setup "$dir" . -Db_lundef=false "$@" >"$log" || {
		tail -n 20 "$log"
		return 1
	}
	rm -f "$log"
}

# compile DIR [TARGET...]
compile() {
	ninja -C "$@" | grep -E 'warning|error|FAILED' || true
	ninja -C "$@" >/dev/null # its verdict, once the lines above have shown why
}

build_asan() { configure build-asan '-Db_sanitize=address,undefined' && compile build-asan; }

# Each part prints its own output and returns its verdict. ------------------------------------------------------------

run_lint() {
	install_linters && "$python" -B tests/lint/run.py && "$python" -B -m pytest -q -p no:cacheprovider tests/lint
}

run_unit() {
	build_asan && meson test -C build-asan --suite unit --print-errorlogs -t 4 # a busy machine is no failure
}

run_e2e() {
	local seen status=0
	install_promtool && build_asan || return 1
	seen=$(mktemp -d)
	TLSPLANE_CONTRACT_SEEN=$seen TLSPLANE_BUILD=$PWD/build-asan "$python" -B -m pytest -q -p no:cacheprovider -n "${E2E_JOBS:-2}" --dist loadfile \
		tests/e2e || status=1
	"$python" -B tests/contract/coverage.py "$seen" || status=1
	rm -rf "$seen"
	return "$status"
}

# fuzz_one TARGET: seeds and a scratch corpus; what it finds is left in build-fuzz/.
fuzz_one() {
	local name=${1##*/fuzz_} scratch
	mkdir -p "build-fuzz/corpus/$name" # not every target has seeds
	scratch=$(mktemp -d)
	local status=0
	"$1" -max_total_time="${FUZZ_SECONDS:-10}" -timeout=10 -rss_limit_mb=2048 -artifact_prefix=build-fuzz/ "$scratch" \
		"build-fuzz/corpus/$name" >"build-fuzz/$name.log" 2>&1 || status=1
	rm -rf "$scratch"
	if ((status == 0)); then
		echo "fuzz $name: $(tail -n 1 "build-fuzz/$name.log")"
	else
		echo "fuzz $name: FAILED"
		grep -v -E '^#[0-9]+' "build-fuzz/$name.log" | tail -n 60
	fi
	return "$status"
}

# Two at a time. What is built besides shows that clang has no warning either.
run_fuzz() {
	local targets=(tests/fuzz/fuzz_*.c)
	targets=("${targets[@]%.c}")
	CC=clang-14 configure build-fuzz -Dfuzz=true '-Db_sanitize=address,undefined' -Dc_args=-fsanitize=fuzzer-no-link
	compile build-fuzz "${targets[@]}" controlplane/tlsplane-controlplane controlplane/ctl/tlsplanectl agent/tlsplane-agent
	rm -rf build-fuzz/corpus
	"$python" -B tests/fuzz/seeds.py build-fuzz/corpus
	export -f fuzz_one
	# shellcheck disable=SC2016
	printf 'build-fuzz/%s\0' "${targets[@]}" | xargs -0 -n 1 -P 2 bash -c 'fuzz_one "$0"'
}

run_static() {
	configure build-static
	compile build-static schema/channel.pb-c.h
	"$python" -B -m pytest -q -p no:cacheprovider tests/lint/test_static.py # that each tool finds what is planted
	"$python" -B tests/lint/static.py build-static
}

# Everything is slower by far here, and no limit that a test sets itself is about that: all of them are longer.
run_tsan() {
	local status=0
	export CK_TIMEOUT_MULTIPLIER=$slower TLSPLANE_PATIENCE=$slower
	configure build-tsan -Db_sanitize=thread
	compile build-tsan
	TSAN_OPTIONS=exitcode=66:history_size=5:suppressions=$PWD/tests/lib/tsan.supp meson test -C build-tsan --suite unit --print-errorlogs -t 10 || status=1
	TLSPLANE_BUILD=$PWD/build-tsan "$python" -B -m pytest -q -p no:cacheprovider -n "${E2E_JOBS:-2}" --dist loadfile tests/e2e || status=1
	return "$status"
}

# One object written, served, switched off, and both daemons ended, each under memcheck: nothing read that was not written, nothing lost; and no branch that
# depends on a secret where two are compared. The release build: memcheck and sanitizers exclude each other.
run_valgrind() {
	local dir program status=0
	configure build --buildtype=release
	compile build controlplane/tlsplane-controlplane agent/tlsplane-agent tests/unit/base/test_base_secret
	TLSPLANE_TEST_MEMCHECK=1 CK_FORK=no valgrind --quiet --error-exitcode=77 build/tests/unit/base/test_base_secret || status=1
	dir=$(mktemp -d)
	for program in agent/tlsplane-agent controlplane/tlsplane-controlplane; do
		mkdir -p "$dir/${program%/*}"
		printf '#!/bin/sh\nexec valgrind --quiet --error-exitcode=77 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite %s "%s" "$@"\n' \
			"'--soname-synonyms=somalloc=*jemalloc*' --suppressions=$PWD/tests/lib/valgrind.supp" "$PWD/build/$program" >"$dir/$program"
		chmod +x "$dir/$program"
	done
	TLSPLANE_PATIENCE=$slower TLSPLANE_BUILD=$dir "$python" -B -m pytest -q -p no:cacheprovider tests/e2e/test_spine.py -k status_zero || status=1
	rm -rf "$dir"
	return "$status"
}

run_quickstart() {
	local dir status=0
	dir=$(mktemp -d)
	TLSPLANE_QUICKSTART_DIR=$dir/data deploy/quickstart.sh --once || status=1
	"$python" -B tests/lint/hardening.py build || status=1 # the release build that quickstart made
	rm -rf "$dir"
	return "$status"
}

# What a sanitizer would hide.
run_bounds() {
	configure build --buildtype=release && compile build controlplane/tlsplane-controlplane agent/tlsplane-agent || return 1
	TLSPLANE_BUILD=$PWD/build "$python" -B -m pytest -q -p no:cacheprovider -n "${E2E_JOBS:-2}" --dist loadfile -m bounds tests/e2e
}

# That they run; what they measure here says nothing.
run_bench() { tests/bench/run.sh --quick; }

run_part() {
	local part=$1 start=$SECONDS log
	log=$(mktemp)
	say "$part"
	# Not "if run_x": bash would switch errexit off inside.
	set +e
	(
		set -euo pipefail
		"run_$part"
	) 2>&1 | tee "$log"
	local status=${PIPESTATUS[0]}
	set -e
	((status == 0)) || failed+=("$part")
	summary+=("$(printf '%-10s %-6s %4ds  %s' "$part" "$( ((status == 0)) && echo ok || echo FAILED)" $((SECONDS - start)) \
		"$(grep -E 'passed|failed|^Ok:|^Fail:' "$log" | tr -s ' ' | paste -sd' ' | tail -c 100)")")
	# What failed stands at the very end as well: of a log that was cut, the end is what is left.
	((status == 0)) || summary+=("$(grep -E '(^|[ =])(FAILED|FAIL|ERROR|SUMMARY)[: ]|: FAILED$' "$log" | cut -c 1-200 | tail -n 12 | sed 's/^/    /' || true)")
	rm -f "$log"
}

parts=("$@")
((${#parts[@]} > 0)) || parts=("${all_parts[@]}")
for part in "${parts[@]}"; do
	[[ " ${all_parts[*]} ${more_parts[*]} " == *" $part "* ]] || {
		echo "tests/run.sh: unknown part $part (${all_parts[*]} ${more_parts[*]})" >&2
		exit 2
	}
done

say "Packages"
command -v npm >/dev/null || packages+=(npm)
[[ " ${parts[*]} " != *" static "* ]] || packages+=(clang-tidy-14 cppcheck)
[[ " ${parts[*]} " != *" valgrind "* ]] || packages+=(valgrind)
install_packages "${packages[@]}"
for part in "${parts[@]}"; do
	run_part "$part"
done

say "Summary"
printf '%s\n' "${summary[@]}"
if ((${#failed[@]} > 0)); then
	echo "FAILED: ${failed[*]}"
	exit 1
fi
echo "all passed"
