# SPDX-License-Identifier: Apache-2.0
# Completion of tlsplanectl(1) for fish: the program itself knows its words.

function __tlsplanectl_offer
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete $words[2..-1] 2>/dev/null
end

complete -c tlsplanectl -f -a '(__tlsplanectl_offer)'
complete -c tlsplanectl -s f -l file -r -F
complete -c tlsplanectl -l token-file -r -F
complete -c tlsplanectl -l ca-file -r -F
