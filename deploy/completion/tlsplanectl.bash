# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Completion of tlsplanectl(1) for bash: the program itself knows its words. Its exit status is 1 where the name of a file is expected.

_tlsplanectl() {
	local line=${COMP_LINE:0:COMP_POINT} offered
	local -a words
	read -ra words <<<"$line" # COMP_WORDS would be split at "=" and ":" too
	[[ $line != *[[:space:]] ]] || words+=("")
	COMPREPLY=()
	if ! offered=$("${words[0]}" __complete "${words[@]:1}" 2>/dev/null); then
		compopt -o default
	elif [[ -n $offered ]]; then
		mapfile -t COMPREPLY <<<"$offered"
		[[ $COMP_WORDBREAKS != *=* ]] || COMPREPLY=("${COMPREPLY[@]#*=}") # readline keeps what stands before
	fi
}
complete -F _tlsplanectl tlsplanectl
