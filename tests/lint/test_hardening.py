# SPDX-License-Identifier: Apache-2.0
"""The check of hardening can fail: a program built as ours are passes, and fails by name with each of the flags taken back."""
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import hardening  # noqa: E402

PROGRAM = """#include <stdio.h>
#include <string.h>
#ifdef WRITABLE_CODE
__asm__(".section .patched, \\"awx\\"\\n.byte 0xc3\\n.text");
#endif
int main(int argc, char **argv)
{
	char text[16];

	strcpy(text, argv[0]);
	return puts(text);
}
"""
FLAGS = ["-O2", "-fPIE", "-fcf-protection", "-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
LINK = ["-pie", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]


def build(folder, *flags):
    (folder / "program.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-c", *FLAGS, *flags, "program.c"], cwd=folder, check=True)
    subprocess.run(["gcc", *LINK, *flags, "-o", "program", "program.o"], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    return [*hardening.check_binary(folder / "program"), *hardening.check_object(folder / "program.o")]


def test_hardened(tmp_path):
    assert build(tmp_path) == []


@pytest.mark.parametrize("flags,finding", [
    (["-fno-pie", "-no-pie"], "not position independent"), (["-Wl,-z,norelro"], "no RELRO segment"), (["-Wl,-z,lazy"], "symbols are bound late: RELRO is partial"),
    (["-Wl,-z,execstack"], "the stack may be executable"), (["-DWRITABLE_CODE"], "a segment is writable and executable"),
    (["-Wl,-rpath,/opt/x"], "has RUNPATH"), (["-Wl,-rpath,/opt/x", "-Wl,--disable-new-dtags"], "has RPATH"),
    (["-fno-stack-protector"], "no stack protector"), (["-U_FORTIFY_SOURCE"], "no fortified function"), (["-fcf-protection=none"], "no CET note (IBT, SHSTK)")])
def test_one_flag_taken_back(tmp_path, flags, finding):
    if "cf-protection" in flags[0] and not hardening.HAS_CET:
        pytest.skip("CET is x86's")
    assert finding in build(tmp_path, *flags)


def test_a_build_without_objects(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        list(hardening.check_build(tmp_path))
