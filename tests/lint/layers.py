# SPDX-License-Identifier: Apache-2.0
"""Who may include whom. TABLE is the README's architecture table; both are compared, then every #include of product code is checked."""
import re

from common import finding, lines, product_sources

# folder: (may include, libraries)
TABLE = {
    "common/base": ("-", "libc"),
    "common/crypto": ("base", "libcrypto"),
    "common/model": ("base crypto", "libcrypto jansson protobuf-c libidn2"),
    "common/resolve": ("base crypto model", "protobuf-c"),
    "common/stream": ("base crypto", "libssl"),
    "common/net": ("base crypto model stream", "libuv libssl protobuf-c"),
    "common/http": ("base stream", "libuv libmicrohttpd"),
    "controlplane/store": ("base crypto model", "sqlite"),
    "controlplane/view": ("base crypto model resolve store", "-"),
    "controlplane/change": ("base crypto model store", "libuv jansson"),
    "controlplane/access": ("base crypto store change", "libuv"),
    "controlplane/publish": ("base crypto model net store change", "libuv jansson"),
    "controlplane/api": ("base crypto model resolve http store view change access publish", "libuv libssl jansson"),
    "controlplane/ctl": ("base crypto model", "jansson libcurl"),
    "controlplane/apisix": ("base model http store change access api", "jansson"),
    "agent/upstream": ("base model", "libuv"),
    "agent/tls": ("base crypto model resolve", "libssl"),
    "agent/snapshot": ("base crypto model resolve tls upstream", "-"),
    "agent/cache": ("base crypto model snapshot", "sqlite"),
    "agent/proxy": ("base crypto model resolve tls snapshot upstream", "libuv libssl"),
    "agent/sync": ("base crypto model net snapshot cache proxy tls upstream", "libuv"),
    "agent/status": ("base model http proxy snapshot sync tls", "libuv"),
}

# Headers by library. The first match decides.
LIBRARIES = (
    (re.compile(r"openssl/(ssl|tls1)\.h"), "libssl"),
    (re.compile(r"openssl/"), "libcrypto"),
    (re.compile(r"jansson\.h"), "jansson"),
    (re.compile(r"protobuf-c/|channel\.pb-c\.h"), "protobuf-c"),
    (re.compile(r"idn2\.h"), "libidn2"),
    (re.compile(r"uv\.h"), "libuv"),
    (re.compile(r"microhttpd\.h"), "libmicrohttpd"),
    (re.compile(r"sqlite3\.h"), "sqlite"),
    (re.compile(r"curl/"), "libcurl"),
)

# A library stands in the public headers of a layer (X509 in crypto, uv_loop_t in upstream...); whoever includes those may name its types.
# These libraries may not spread that way: only the layers whose row has them.
CONFINED = {"libssl", "jansson", "libidn2", "libmicrohttpd", "sqlite", "libcurl"}

# Writing to the store has one road.
RESTRICTED = {"store/store_write.h": ("controlplane/store", "controlplane/change")}

GENERATED = {"migrations.h", "apisix_schema.h", "openapi_json.h"}

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
ROW = re.compile(r"\| `((?:common|controlplane|agent)/[a-z]+)` \| [^|]* \| ([^|]*) \| ([^|]*) \|")


def readme_table(root):
    """{folder: (may include, libraries)} as README.md has it; what stands in brackets is a remark."""
    table = {}
    for line in lines(root / "README.md"):
        match = ROW.match(line)
        if match:
            includes = re.sub(r"\([^)]*\)", "", match.group(2))
            table[match.group(1)] = (" ".join(includes.split()), " ".join(match.group(3).split()))
    return table


def check_readme(root):
    readme = readme_table(root)
    for folder in sorted(TABLE.keys() | readme.keys()):
        if TABLE.get(folder) != readme.get(folder):
            yield f"README.md: row of {folder} is {readme.get(folder)}, tests/lint/layers.py has {TABLE.get(folder)}"


def check_folders(root):
    for plane in ("common", "controlplane", "agent"):
        for path in sorted((root / plane).iterdir()):
            name = f"{plane}/{path.name}"
            if path.is_dir() and name not in TABLE:
                yield f"{name}: a folder without a row in the table"


def full_names(folder):
    """The folders that `folder` may include, with their plane: a layer of its own plane before common's."""
    plane = folder.split("/")[0]
    for word in TABLE[folder][0].split():
        if word != "-":
            yield f"{plane}/{word}" if f"{plane}/{word}" in TABLE else f"common/{word}"


def allowed_libraries(folder):
    allowed = set(TABLE[folder][1].split())
    for other in full_names(folder):
        allowed |= set(TABLE[other][1].split()) - CONFINED
    return allowed


def library_of(header):
    return next((library for pattern, library in LIBRARIES if pattern.match(header)), None)


def judge(folder, header):
    """Why `folder` may not include `header`, or None."""
    if header in RESTRICTED and folder not in RESTRICTED[header]:
        return f"only {' and '.join(RESTRICTED[header])} may include {header}"
    library = library_of(header)
    if library is not None:
        return None if folder is None or library in allowed_libraries(folder) else f"{folder} may not use {library} ({header})"
    layer = header.split("/")[0] if "/" in header else None
    known = {name.split("/")[1] for name in TABLE}
    if layer is None or layer not in known or folder is None:
        return None
    if layer == folder.split("/")[1] or layer in TABLE[folder][0].split():
        return None
    return f"{folder} may not include {layer} ({header})"


def is_stray(path, quote, header):
    """A quoted name without its layer is a neighbour's, or generated from schema/."""
    if quote != '"' or "/" in header or library_of(header) is not None:
        return False
    return header not in GENERATED and not (path.parent / header).exists()


def check_includes(root):
    for path in product_sources(root):
        parts = path.relative_to(root).parts
        folder = "/".join(parts[:2]) if len(parts) > 2 else None  # None: the file that assembles a plane
        if folder is not None and folder not in TABLE:
            continue
        for number, line in enumerate(lines(path), 1):
            match = INCLUDE.match(line)
            reason = judge(folder, match.group(2)) if match else None
            if match and reason is None and is_stray(path, *match.groups()):
                reason = f'no such file beside this one: write the layer in #include "{match.group(2)}"'
            if reason:
                yield finding(root, path, number, reason)


def check(root):
    yield from check_readme(root)
    yield from check_folders(root)
    yield from check_includes(root)
