# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# install_packages NAME...: Debian's packages that are missing, as root or by sudo. Servers among them are peers of tests: none is started
# as a service.
install_packages() {
	local missing=() package as_root=() policy=/usr/sbin/policy-rc.d made=
	for package in "$@"; do
		[[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
	done
	if ((${#missing[@]} == 0)); then
		echo "all there"
		return
	fi
	echo "installing: ${missing[*]}"
	((EUID == 0)) || as_root=(sudo)
	if [[ ! -e $policy ]]; then
		printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
		"${as_root[@]}" chmod 755 "$policy"
		made=$policy
	fi
	local status=0
	"${as_root[@]}" apt-get update -qq &&
		"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null || status=$?
	[[ -z $made ]] || "${as_root[@]}" rm -f "$made"
	return "$status"
}
