# SPDX-License-Identifier: Apache-2.0
"""deploy/github, deploy/gitlab and deploy/hooks/acme: the shell that stands in them, run as the runner or acme.sh would."""
import re
import stat

import pytest
import yaml

from harness import tls, upload
from harness.world import ROOT, serve

ACTION = ROOT / "deploy" / "github" / "action.yml"
JOB = ROOT / "deploy" / "gitlab" / "tlsplane.gitlab-ci.yml"
ACME = upload.HOOKS / "acme" / "tlsplane.sh"


@pytest.fixture(scope="module")
def live(shared):
    return serve(shared.controlplane, shared.backend)


@pytest.fixture
def url(shared):
    return f"http://127.0.0.1:{shared.api.port}"


class Runner:
    """A GitHub runner's way with a composite action: inputs with their defaults, expressions replaced, each step's script in a file for its
    shell."""

    def __init__(self, folder):
        self.folder = folder
        self.action = yaml.safe_load(ACTION.read_text())

    def run(self, **given):
        inputs = {name: given.pop(name.replace("-", "_"), row.get("default", "")) for name, row in self.action["inputs"].items()}
        assert given == {}
        expression = re.compile(r"\$\{\{ inputs\.([\w-]+) \}\}")
        (step,) = self.action["runs"]["steps"]
        assert step["shell"] == "sh"
        env = {name: expression.sub(lambda match: str(inputs[match[1]]), value) for name, value in step["env"].items()}
        assert not any("${{" in text for text in [step["run"], *env.values()])
        script = self.folder / "step.sh"
        script.write_text(step["run"])
        return upload.run(["sh", "-e", script], {"PATH": upload.environment("")["PATH"], "GITHUB_ACTION_PATH": str(ACTION.parent), **env}, cwd=self.folder)


def test_github_action(shared, live, url, tmp_path, ca):
    pair = ca.issue("github.test")
    _, key = pair.write(tmp_path, "github")
    runner = Runner(tmp_path)
    assert runner.action["runs"]["using"] == "composite" and runner.action["inputs"]["wait"]["default"] == "served"
    asked = {"url": url, "token": shared.api.token, "certificate": "github.pem", "key": "github.key", "labels": "by=ci", "wait": upload.WAIT}
    done = runner.run(**asked)
    assert done.returncode == 0, done.stderr
    assert shared.api.get("/v1/ssls/github.test").expect(200).json["labels"] == {"by": "ci"} and tls.leaf(live, "github.test") == pair.sha256
    assert not upload.leaked(upload.secrets_of(shared.api.token, key), done.stdout, done.stderr)
    done = runner.run(**{**asked, "token": "wrong"})
    assert done.returncode == 1 and "HTTP 401" in done.stderr
    assert runner.run(**{**asked, "key": "nowhere.key"}).returncode == 2


def test_every_setting_is_an_input():
    """And none of them stands in a script, where the runner would paste its text."""
    action = yaml.safe_load(ACTION.read_text())
    (step,) = action["runs"]["steps"]
    settings = set(re.findall(r"TLSPLANE_[A-Z_]+[A-Z]", upload.UPLOAD.read_text())) - {"TLSPLANE_PLAIN_HTTP"}
    assert settings == set(step["env"]) - {"TLSPLANE_CERTIFICATE", "TLSPLANE_KEY"} and "${{" not in step["run"]


def gitlab(folder, env, trace=False):
    """The job's before_script and script in one shell, as the runner makes it."""
    job = yaml.safe_load(JOB.read_text())[".tlsplane-upload"]
    text = "\n".join([*job["before_script"], *job["script"]])
    return upload.run(["bash", "-c", f"set -e{'x' if trace else ''}o pipefail\n{text}"], {**{k: str(v) for k, v in job["variables"].items()}, **env}, cwd=folder)


def test_gitlab_job(shared, live, url, tmp_path, ca):
    pair = ca.issue("gitlab.test")
    _, key = pair.write(tmp_path, "gitlab")
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci" / "tlsplane-upload.sh").write_text(upload.UPLOAD.read_text())  # as GitLab's web editor would leave it: not executable
    (tmp_path / "token").write_text(shared.api.token)
    env = {"PATH": upload.environment("")["PATH"], "TLSPLANE_URL": url, "TLSPLANE_TOKEN_FILE": str(tmp_path / "token"),
           "TLSPLANE_CERTIFICATE": "gitlab.pem", "TLSPLANE_KEY": "gitlab.key", "TLSPLANE_WAIT": upload.WAIT}
    done = gitlab(tmp_path, env, trace=True)
    assert done.returncode == 0, done.stderr
    assert tls.leaf(live, "gitlab.test") == pair.sha256
    assert not upload.leaked(upload.secrets_of(shared.api.token, key), done.stdout, done.stderr)
    (tmp_path / "token").write_text("wrong")
    done = gitlab(tmp_path, env)
    assert done.returncode == 1 and "HTTP 401" in done.stderr
    env.pop("TLSPLANE_KEY")
    done = gitlab(tmp_path, env)
    assert done.returncode != 0 and "TLSPLANE_KEY: is not set" in done.stderr
    assert yaml.safe_load(JOB.read_text())[".tlsplane-upload"]["variables"]["TLSPLANE_WAIT"] == "served"


# acme.sh's helpers, as far as a hook uses them: the domain's settings are lines of a file, a value that is saved wins over none.
HELPERS = '''
_err() { printf 'err: %s\\n' "$*" >&2; }
_info() { printf 'info: %s\\n' "$*"; }
_savedeployconf() { sed -i "/^SAVED_$1=/d" "$CONF"; printf "SAVED_%s='%s'\\n" "$1" "$2" >>"$CONF"; }
_getdeployconf() {
	if [ -n "$(eval "echo \\$$1")" ]; then return 0; fi
	eval "$1=$(sed -n "s/^SAVED_$1=//p" "$CONF")"
	export "${1?}"
}
'''


class Acme:
    """acme.sh's call of a hook: sourced in its own shell, which goes on after it."""

    def __init__(self, folder):
        self.folder, self.conf = folder, folder / "domain.conf"
        self.conf.write_text("")
        self.script = folder / "acme.sh"
        self.script.write_text(f'CONF={self.conf}{HELPERS}. {ACME}\ntlsplane_deploy "$@" || {{ echo "hook failed"; exit 1; }}\necho "acme.sh goes on"\n')

    def deploy(self, domain, pair, shell=("dash",), **settings):
        cert, key = pair.write(self.folder, "acme")
        leaf = self.folder / "leaf.pem"
        leaf.write_text(pair.leaf_pem)
        env = {"PATH": upload.environment("")["PATH"], **{name: str(value) for name, value in settings.items()}}
        return upload.run([*shell, self.script, domain, key, leaf, "/nonexistent", cert], env)


@pytest.mark.parametrize("shell", upload.SHELLS, ids=lambda shell: shell[0])
def test_acme_sh(shared, live, url, tmp_path, ca, shell):
    """The first deployment has the settings, renewals only what acme.sh has kept; neither it nor its output has a secret."""
    acme, name, token = Acme(tmp_path), f"acme-{shell[0]}.test", tmp_path / "token"
    token.write_text(shared.api.token)
    issuer = ca.intermediate("Acme Intermediate")
    pair = issuer.issue(f"*.{name}")
    done = acme.deploy(f"*.{name}", pair, shell, TLSPLANE_URL=url, TLSPLANE_TOKEN_FILE=token, TLSPLANE_WAIT=upload.WAIT, TLSPLANE_LABELS="a=1,b=2",
                       TLSPLANE_SETTINGS="/dev/null", TLSPLANE_UPLOAD=upload.UPLOAD)
    assert done.returncode == 0 and "acme.sh goes on" in done.stdout, done.stderr
    made = shared.api.get(f"/v1/ssls/_.{name}").expect(200).json
    assert made["labels"] == {"a": "1", "b": "2"} and made["x509"]["chain_length"] == 2 and tls.leaf(live, f"x.{name}") == pair.sha256
    renewed = issuer.issue(f"*.{name}")
    done = acme.deploy(f"*.{name}", renewed, shell)
    assert done.returncode == 0 and tls.leaf(live, f"x.{name}") == renewed.sha256, done.stderr
    assert not upload.leaked(upload.secrets_of(shared.api.token, tmp_path / "acme.key"), done.stdout, done.stderr, acme.conf.read_text())


def test_acme_sh_fails_with_the_reason(shared, url, tmp_path, ca):
    acme, pair = Acme(tmp_path), ca.issue("acme.test")
    base = {"TLSPLANE_URL": url, "TLSPLANE_SETTINGS": "/dev/null", "TLSPLANE_WAIT": upload.WAIT, "TLSPLANE_UPLOAD": upload.UPLOAD}
    token = tmp_path / "token"
    token.write_text("wrong")
    for settings, text in (({**base, "TLSPLANE_TOKEN_FILE": token}, "HTTP 401"), ({**base, "TLSPLANE_UPLOAD": "/nonexistent"}, "set TLSPLANE_UPLOAD"),
                           ({**base, "TLSPLANE_TOKEN": shared.api.token}, "put it into a file")):
        acme.conf.write_text("")
        done = acme.deploy("acme.test", pair, **settings)
        assert done.returncode == 1 and text in done.stderr and "hook failed" in done.stdout, done.stderr
        assert shared.api.token not in acme.conf.read_text() + done.stderr


def test_modes():
    """What is called by its path can be executed; what is sourced is not."""
    executable = {path.name for path in upload.HOOKS.rglob("*.sh") if path.stat().st_mode & stat.S_IXUSR}
    assert executable == {"tlsplane-upload.sh", "certbot.sh", "lego.sh"}
