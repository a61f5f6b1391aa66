# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Completion of tlsplanectl(1) for bash: the program itself knows its words.

_tlsplanectl() {
	local word=${COMP_WORDS[COMP_CWORD]}
	mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	if ((${#COMPREPLY[@]} == 0)); then
		compopt -o default 2>/dev/null || mapfile -t COMPREPLY < <(compgen -f -- "$word")
	fi
}
complete -F _tlsplanectl tlsplanectl
