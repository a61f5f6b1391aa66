# SPDX-License-Identifier: Apache-2.0
"""What the compiler and the linker were asked for is in the binaries: hardening.py BUILD-DIRECTORY reads the three of a release build.

Debian 12's start files and libraries carry no CET note, so no program linked with them can: ours is looked for in each object of ours."""
import pathlib
import platform
import re
import subprocess
import sys

BINARIES = ("agent/tlsplane-agent", "controlplane/tlsplane-controlplane", "controlplane/ctl/tlsplanectl")
HAS_CET = platform.machine() == "x86_64"


def readelf(path, *options):
    return subprocess.run(["readelf", "-W", *options, str(path)], env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
                          check=True).stdout


def segments(text):
    """(type, flags) of each program header."""
    return re.findall(r"^\s+([A-Z_]+)\s+0x\S+ 0x\S+ 0x\S+ 0x\S+ 0x\S+ ([RWE ]{3}) ", text, re.MULTILINE)


def check_memory(headers):
    found = segments(headers)
    if not re.search(r"Type:\s+DYN \(Position-Independent Executable", headers):
        yield "not position independent"
    if "GNU_RELRO" not in [kind for kind, _ in found]:
        yield "no RELRO segment"
    if [flags for kind, flags in found if kind == "GNU_STACK"] != ["RW "]:
        yield "the stack may be executable"
    if any("W" in flags and "E" in flags for _, flags in found):
        yield "a segment is writable and executable"


def check_dynamic(dynamic):
    if not re.search(r"\(FLAGS\).*BIND_NOW|\(FLAGS_1\).*\bNOW\b", dynamic):
        yield "symbols are bound late: RELRO is partial"
    for word in ("RPATH", "RUNPATH", "TEXTREL"):
        if word in dynamic:
            yield f"has {word}"


def check_symbols(symbols):
    if "__stack_chk_fail" not in symbols:
        yield "no stack protector"
    if not re.search(r"\b__(?!stack)\w+_chk\b", symbols):
        yield "no fortified function"


def check_binary(path):
    """Findings about one program."""
    yield from check_memory(readelf(path, "-h", "-l"))
    yield from check_dynamic(readelf(path, "-d"))
    yield from check_symbols(readelf(path, "--dyn-syms"))


def check_object(path):
    if HAS_CET and not re.search(r"x86 feature: .*IBT, SHSTK", readelf(path, "-n")):
        yield "no CET note (IBT, SHSTK)"


def check_build(build):
    objects = [path for folder in ("common", "controlplane", "agent", "schema") for path in sorted((build / folder).rglob("*.o"))]
    if not objects:
        yield f"{build}: no objects"
    for paths, check in (([build / name for name in BINARIES], check_binary), (objects, check_object)):
        for path in paths:
            yield from (f"{path}: {text}" for text in check(path))


def main():
    findings = list(check_build(pathlib.Path(sys.argv[1])))
    print(f"hardening: {'ok' if not findings else f'{len(findings)} findings'}")
    for text in findings:
        print("  " + text)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
