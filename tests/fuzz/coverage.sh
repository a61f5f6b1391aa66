#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How much of what each fuzz target is for it reaches: lines of the target's own source files, after its seeds and some seconds of fuzzing.
#
#   tests/fuzz/coverage.sh            all targets, a row of a Markdown table each
#   tests/fuzz/coverage.sh gate feed  only these
#
# Builds to ./build-coverage (clang's source coverage). FUZZ_SECONDS sets the time per target (default 60), COVERAGE_BUILD another directory.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=${COVERAGE_BUILD:-build-coverage}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What the target is for.
declare -A sources=(
	[answers]="controlplane/ctl/problem_text.c controlplane/ctl/text.c controlplane/api/token_input.c"
	[apisix]="controlplane/apisix/input.c controlplane/apisix/schema.c controlplane/apisix/words.c"
	[bodies]="common/model/body*.c common/model/peer.c"
	[facts]="agent/tls/facts.c"
	[feed]="controlplane/api/feed_*.c"
	[frame]="common/net/frame.c common/net/message.c"
	[gate]="common/http/gate.c common/http/head.c"
	[hello]="agent/proxy/capture.c agent/proxy/hello.c common/resolve/*.c"
	[json]="common/model/resource.c common/model/json.c common/model/*fields.c common/model/field_rows.c common/model/ssl_pairs.c"
	[keys]="common/crypto/pem.c common/crypto/cert*.c common/crypto/key*.c common/crypto/crl.c"
	[messages]="common/net/message.c"
	[names]="common/model/name.c common/model/selector.c"
	[peer]="common/model/peer.c common/model/peer_dn.c"
	[proxy_header]="agent/proxy/proxy_header.c"
	[query]="controlplane/api/query*.c controlplane/api/filter.c"
	[snapshot]="agent/snapshot/*.c agent/sync/receive.c"
	[target]="common/http/target.c"
)

compile() {
	[[ -f $build/build.ninja ]] || CC=clang-14 meson setup "$build" . -Dfuzz=true -Db_lundef=false -Dc_link_args=-fprofile-instr-generate \
		'-Dc_args=-fsanitize=fuzzer-no-link -fprofile-instr-generate -fcoverage-mapping' >/dev/null
	ninja -C "$build" "${targets[@]/#/tests/fuzz/fuzz_}" >/dev/null
}

measure() {
	local name=$1 program=$build/tests/fuzz/fuzz_$1 seeds=$work/seeds/$1 grown=$work/grown/$1 lines files
	mkdir -p "$seeds" "$grown"
	LLVM_PROFILE_FILE=/dev/null "$program" -max_total_time="${FUZZ_SECONDS:-60}" -artifact_prefix="$work/" "$grown" "$seeds" >/dev/null 2>&1
	LLVM_PROFILE_FILE=$work/$name.raw "$program" -runs=0 "$grown" "$seeds" >/dev/null 2>&1
	llvm-profdata-14 merge -o "$work/$name.data" "$work/$name.raw"
	# shellcheck disable=SC2206 # patterns, meant to be expanded
	files=(${sources[$name]})
	lines=$(llvm-cov-14 export -summary-only -instr-profile="$work/$name.data" "$program" |
		jq -r '[.data[0].files[] | select(.filename as $at | any($ARGS.positional[]; . as $file | $at | endswith("/" + $file))) | .summary.lines] |
			(map(.covered) | add) as $covered | (map(.count) | add) as $count | "\($covered) of \($count) | \(100 * $covered / $count | floor) %"' \
			--args "${files[@]}")
	printf '| %s | %s | %s | %s |\n' "$name" "${sources[$name]//.c/}" "$(find "$seeds" "$grown" -type f | wc -l)" "$lines"
}

targets=("$@")
((${#targets[@]} > 0)) || mapfile -t targets < <(printf '%s\n' "${!sources[@]}" | sort)
compile
/usr/bin/python3 -B tests/fuzz/seeds.py "$work/seeds"
printf '| target | judges | inputs | lines | |\n|---|---|---|---|---|\n'
for name in "${targets[@]}"; do
	measure "$name"
done
