#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The long form of the tests that have one, against the release build: hours where tests/run.sh takes minutes. Every file in tests/e2e that uses
# harness/soak.py takes part; what it comes to is printed at the end.
#
#   tests/soak.sh                     all of them
#   tests/soak.sh kill powercut       tests/e2e/test_kill.py and test_powercut.py
#
# TLSPLANE_BUILD names the build directory (default ./build, made by tests/run.sh's packages and meson). Non-zero if anything failed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=/usr/bin/python3 # Debian's, as in tests/run.sh

if [[ -z ${TLSPLANE_BUILD:-} ]]; then
	TLSPLANE_BUILD=$PWD/build
	[[ -f build/build.ninja ]] || meson setup build . --buildtype=release >/dev/null
	meson compile -C build >/dev/null
fi
files=()
for name in "$@"; do
	files+=("tests/e2e/test_$name.py")
done
if ((${#files[@]} == 0)); then
	mapfile -t files < <(grep -l 'harness.soak' tests/e2e/test_*.py)
fi

figures=$(mktemp)
trap 'rm -f "$figures"' EXIT
status=0
start=$SECONDS
TLSPLANE_SOAK=1 TLSPLANE_FIGURES=$figures TLSPLANE_BUILD=$TLSPLANE_BUILD "$python" -B -m pytest -v -p no:cacheprovider "${files[@]}" || status=1
printf '\n==> %d s on %s\n' $((SECONDS - start)) "$(date -u +%F)"
cat "$figures"
exit "$status"
