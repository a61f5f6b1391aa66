# SPDX-License-Identifier: Apache-2.0
"""ThreadSanitizer and memcheck still tell of a planted fault with the suppressions of tests/lib in force."""
import pathlib
import shutil
import subprocess

import pytest

LIB = pathlib.Path(__file__).resolve().parents[1] / "lib"
HEAD = "#include <pthread.h>\n#include <stdlib.h>\n#include <sys/socket.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n"
PROGRAM = HEAD + "static long shared;\nstatic int fds[2];\n%s\nint main(void)\n{\n\tpthread_t thread;\n\n\t%s\n}\n"
THREADS = "socketpair(AF_UNIX, SOCK_STREAM, 0, fds);\n\tpthread_create(&thread, NULL, other, NULL);\n\t%s;\n\treturn pthread_join(thread, NULL);"
OTHER = "static void *other(void *unused)\n{\n\t%s;\n\treturn unused;\n}\n"


def build(tmp_path, before, body, *options):
    (tmp_path / "a.c").write_text(PROGRAM % (before, body))
    subprocess.run(["gcc", "-g", "-Wno-unused", *options, "a.c", "-o", "a"], cwd=tmp_path, check=True)
    return tmp_path / "a"


# As libuv closes; and the order of the threads, unseen as well.
CLOSE = "int a[2];\n\tsocketpair(AF_UNIX, SOCK_STREAM, 0, a);\n\tsyscall(SYS_close, a[0]);\n\tsyscall(SYS_close, a[1]);\n\tsyscall(SYS_write, fds[0], a, 1)"
REUSE = "int a[2];\n\tsyscall(SYS_read, fds[1], a, 1);\n\tsocketpair(AF_UNIX, SOCK_STREAM, 0, a)"


@pytest.mark.parametrize(("here", "there", "code"), [
    ("shared++", "shared++", 66), ("close(fds[0])", "write(fds[0], fds, 1)", 66), (CLOSE, REUSE, 0), ("write(fds[0], fds, 1)", "write(fds[1], fds, 1)", 0)],
    ids=["memory", "a descriptor that is closed while it is used", "its number given out again", "nothing wrong"])
def test_thread_sanitizer(tmp_path, here, there, code):
    program = build(tmp_path, OTHER % there, THREADS % here, "-fsanitize=thread")
    run = subprocess.run([program], env={"TSAN_OPTIONS": f"exitcode=66:suppressions={LIB}/tsan.supp"}, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stderr
    assert ("WARNING: ThreadSanitizer" in run.stderr) == (code != 0)


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed (tests/run.sh valgrind installs it)")
@pytest.mark.parametrize(("body", "code"), [("return malloc(4) == NULL;", 77), ("int *p = malloc(4);\n\treturn *p > 0 ? 1 : 2;", 77), ("return 0;", 0)],
                         ids=["a leak", "what was not set", "nothing wrong"])
def test_memcheck(tmp_path, body, code):
    program = build(tmp_path, "", body)
    run = subprocess.run(["valgrind", "--quiet", "--error-exitcode=77", "--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite",
                          f"--suppressions={LIB}/valgrind.supp", program], capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stderr
