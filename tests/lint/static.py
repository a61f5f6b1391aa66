# SPDX-License-Identifier: Apache-2.0
"""Static analysis of the product: static.py BUILD [TOOL...] reads BUILD/compile_commands.json (gcc's; generated headers must be there).

  gcc       gcc -fanalyzer
  clang     clang --analyze with its default checkers, which is what scan-build runs, and those of CLANG_MORE
  tidy      clang-tidy with the checks of .clang-tidy
  cppcheck  warnings and performance

What is known to be wrong of them stands in static_known.txt: a line "TOOL CHECK FILE" per finding class and file, each below the comment that says
why; FILE * is all. A line that nothing matches any more is a finding too."""
import concurrent.futures
import fnmatch
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
KNOWN = pathlib.Path(__file__).with_name("static_known.txt")
CPPCHECK = ["cppcheck", "--std=c11", "--enable=warning,performance", "--library=gnu", "--library=posix", "--library=openssl", "--library=sqlite3",
            "-Ulog_event", "-UTELL", "-D__x86_64__", "-DPROTOBUF_C_VERSION_NUMBER=1004001", "--max-configs=1", "--quiet",
            f"--library={pathlib.Path(__file__).with_name('cppcheck.cfg')}", "--template={file}:{line}:1: warning: {message} [{id}]"]
# clang's default is core, unix, deadcode, nullability, and functions that are never safe (gets and the like).
CLANG_MORE = ["alpha.core.FixedAddr", "alpha.core.IdenticalExpr", "alpha.core.PointerSub", "alpha.core.TestAfterDivZero", "alpha.security.MmapWriteExec",
              "alpha.security.ReturnPtrRange", "alpha.security.cert", "alpha.unix.BlockInCriticalSection", "alpha.unix.PthreadLock",
              "alpha.unix.cstring.BufferOverlap", "alpha.unix.cstring.NotNullTerminated", "security.FloatLoopCounter",
              "security.insecureAPI.bcmp", "security.insecureAPI.bcopy", "security.insecureAPI.rand", "security.insecureAPI.strcpy", "valist"]
FINDING = re.compile(r"^(?P<file>[^:\n]+):(?P<line>\d+):\d+: (?:warning|error): (?P<text>.*) \[(?P<check>[^\]]+)\]$", re.MULTILINE)
DROPPED = {"-MD": 1, "-MQ": 2, "-MF": 2, "-o": 2, "-Winvalid-pch": 1}


def arguments(entry):
    """The compiler's arguments without those that say what is written where."""
    left = shlex.split(entry["command"])
    left = left[2:] if left[0].endswith("ccache") else left[1:]
    out = []
    while left:
        drop = DROPPED.get(left[0], 0)
        out += [] if drop else left[:1]
        left = left[drop or 1:]
    return out


def commands(tool, entry, build):
    if tool == "gcc":
        return ["gcc", *arguments(entry), "-fanalyzer", "-Wno-error", "-fdiagnostics-plain-output", "-o", "/dev/null"]
    if tool == "clang":
        return ["clang-14", *arguments(entry), "--analyze", "-Xclang", "-analyzer-output=text",
                "-Xclang", f"-analyzer-checker={','.join(CLANG_MORE)}", "-Wno-error", "-Wno-unknown-warning-option",
                "-fno-color-diagnostics"]
    return ["clang-tidy-14", "--quiet", "--extra-arg=-Wno-unknown-warning-option", "-p", str(build), str(entry["path"])]


def product(build):
    """Entries of the compilation database with "path", of files that are ours and not generated."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        entry["path"] = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        if entry["path"].is_relative_to(ROOT) and entry["path"].relative_to(ROOT).parts[0] in ("common", "controlplane", "agent"):
            yield entry


def run(command, directory):
    done = subprocess.run(command, cwd=directory, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or (done.returncode == 1 and not FINDING.search(done.stdout + done.stderr)):
        return f"{directory}/{command[0]}:1:1: error: {command[0]} ended with {done.returncode}: {done.stderr[-300:]!r} [failed]\n"
    return done.stdout + done.stderr


def parse(tool, text, directory, source=None):
    """{(tool, check, file, line, text)} in a tool's output, paths from the root. What it says of a header (a macro, an inline function) it says of
    the source that was read: elsewhere the same words may be right."""
    found = set()
    for match in FINDING.finditer(text):
        path = os.path.relpath((pathlib.Path(directory) / match["file"]).resolve(), ROOT)
        check = match["check"].split(",")[0].split("] [")[-1].removeprefix("-Wanalyzer-")
        if match["text"].startswith("Potential leak"):
            check += ".leak"  # one checker of clang's tells of leaks, double frees and use after free
        if source is None or path == source:
            found.add((tool, check, path, int(match["line"]), match["text"]))
        else:
            found.add((tool, check, source, 1, f"{match['text']} ({path}:{match['line']})"))
    return found


def run_all(tools, build):
    entries = list(product(build))
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("STATIC_JOBS", os.cpu_count()))) as pool:
        jobs = [(tool, entry["directory"], os.path.relpath(entry["path"], ROOT), pool.submit(run, commands(tool, entry, build), entry["directory"]))
                for tool in tools if tool != "cppcheck" for entry in entries]
        if "cppcheck" in tools:
            sources = [str(entry["path"]) for entry in entries]
            jobs.append(("cppcheck", str(ROOT), None, pool.submit(run, [*CPPCHECK, *includes(entries), *sources], str(ROOT))))
        found = set()
        for tool, directory, source, job in jobs:
            found |= parse(tool, job.result(), directory, source)
    return found


def includes(entries):
    """-I of every entry, absolute; cppcheck gets all files in one call."""
    paths = {str((pathlib.Path(entry["directory"]) / word[2:]).resolve()) for entry in entries for word in arguments(entry) if word.startswith("-I")}
    return [f"-I{path}" for path in sorted(paths) if os.path.isdir(path)]


def known(text):
    return [tuple(line.split()) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def judge(found, rows, tools):
    """Findings that no row knows, and rows that know nothing."""
    used = set()
    for tool, check, path, line, text in sorted(found):
        hits = [row for row in rows if row[0] == tool and fnmatch.fnmatch(check, row[1]) and fnmatch.fnmatch(path, row[2])]
        used.update(hits)
        if not hits:
            yield f"{path}:{line}: {text} [{tool} {check}]"
    yield from (f"tests/lint/static_known.txt: {' '.join(row)} is not needed any more" for row in rows if row[0] in tools and row not in used)


def main():
    build, tools = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:] or ["cppcheck", "tidy", "gcc", "clang"]
    findings = list(judge(run_all(tools, build), known(KNOWN.read_text(encoding="utf-8")), tools))
    print(f"static {' '.join(tools)}: {'ok' if not findings else f'{len(findings)} findings'}")
    for text in findings:
        print("  " + text)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
