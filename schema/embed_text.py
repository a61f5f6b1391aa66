# SPDX-License-Identifier: Apache-2.0
"""Writes one text file as a C string: embed_text.py OUTPUT HEADER NAME INPUT."""
import pathlib
import sys


def main(output, header, name, source):
    text = pathlib.Path(source).read_text(encoding='ascii')
    rows = '\n'.join('    "%s\\n"' % line.replace('\\', '\\\\').replace('"', '\\"') for line in text.splitlines())
    pathlib.Path(output).write_text('#include "%s"\n\nconst char %s[] =\n%s;\n' % (header, name, rows), encoding='ascii')


main(*sys.argv[1:])
