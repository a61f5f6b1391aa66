# SPDX-License-Identifier: Apache-2.0
"""Writes a YAML document as JSON in a C string, with its ETag: embed_json.py OUTPUT HEADER NAME VERSION INPUT. VERSION must be the document's own."""
import hashlib
import json
import pathlib
import sys

import yaml

WIDTH = 4000  # of a piece: compilers need not take longer strings


def main(output, header, name, version, source):
    document = yaml.safe_load(pathlib.Path(source).read_text(encoding='utf-8'))
    if document['info']['version'] != version:
        sys.exit(f"{source}: info.version is {document['info']['version']}, this is {version}")
    text = json.dumps(document, separators=(',', ':')) + '\n'  # ASCII alone
    pieces = [json.dumps(text[at:at + WIDTH]).replace('??', '?""?') for at in range(0, len(text), WIDTH)]
    etag = hashlib.sha256(text.encode('ascii')).hexdigest()[:32]
    rows = '\n'.join(f'    {piece}' for piece in pieces)
    pathlib.Path(output).write_text(
        f'#include "{header}"\n\nconst char {name}[] =\n{rows};\nconst size_t {name}_len = sizeof({name}) - 1;\n'
        f'const char {name}_etag[] = "\\"{etag}\\"";\n', encoding='ascii')


main(*sys.argv[1:])
