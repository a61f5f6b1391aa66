# SPDX-License-Identifier: Apache-2.0
"""Writes SQL migrations as C strings: embed.py OUTPUT INPUT... (in order; file names start with their number)."""
import pathlib
import sys


def literal(text):
    return '\n'.join('    "%s\\n"' % line.replace('\\', '\\\\').replace('"', '\\"') for line in text.splitlines())


def main(output, *inputs):
    numbers = [int(pathlib.Path(name).name.split('-')[0]) for name in inputs]
    if numbers != sorted(set(numbers)):
        sys.exit('migrations out of order: %s' % numbers)
    texts = [literal(pathlib.Path(name).read_text(encoding='ascii')) for name in inputs]
    pathlib.Path(output).write_text(
        '#include "migrations.h"\n\nconst char *const schema_migrations[] = {\n%s,\n};\n\n'
        'const size_t schema_migrations_len = %d;\n' % (',\n'.join(texts), len(texts)), encoding='ascii')


main(*sys.argv[1:])
