# SPDX-License-Identifier: Apache-2.0
# Completion of tlsplanectl(1) for fish: the program itself knows its words. Its exit status is 1 where the name of a file is expected.

function __tlsplanectl_offer
    set -l words (commandline -opc) (commandline -ct)
    if not $words[1] __complete $words[2..-1] 2>/dev/null
        set -l option (string match -r -- '^--[^=]*=' $words[-1])
        printf '%s\n' "$option"(__fish_complete_path (string replace -r -- '^--[^=]*=' '' $words[-1]))
    end
end

complete -c tlsplanectl -f -a '(__tlsplanectl_offer)'
