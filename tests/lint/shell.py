# SPDX-License-Identifier: Apache-2.0
"""shellcheck has nothing to say about the shell scripts, nor about the shell inside the pipelines' YAML."""
import json
import shutil
import subprocess

import yaml

from common import files, finding

ACTION = "deploy/github/action.yml"
JOB = "deploy/gitlab/tlsplane.gitlab-ci.yml"


def embedded(root):
    """(path, shell text) of each script that stands in YAML."""
    action, job = root / ACTION, root / JOB
    if action.exists():
        for step in yaml.safe_load(action.read_text(encoding="utf-8"))["runs"]["steps"]:
            yield action, step["run"]
    if job.exists():
        for row in yaml.safe_load(job.read_text(encoding="utf-8")).values():
            for part in ("before_script", "script"):
                yield from ((job, text) for text in row.get(part, []))


def ask(root, path, *options, text=None):
    """One finding for each remark."""
    done = subprocess.run(["shellcheck", "--format=json", "--external-sources", *options], cwd=root, input=text, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        yield finding(root, path, 1, f"shellcheck: {done.stderr.strip()}")
        return
    for remark in json.loads(done.stdout):
        yield finding(root, path, remark["line"], f"SC{remark['code']}: {remark['message']}")


def check(root):
    if shutil.which("shellcheck") is None:
        yield "shellcheck is not installed (tests/run.sh lint installs it)"
        return
    for path in files(root, ("deploy", "tests"), {".sh"}):
        yield from ask(root, path, str(path.relative_to(root)))
    for path, text in embedded(root):
        yield from ask(root, path, "--shell=sh", "-", text=text)
