# SPDX-License-Identifier: Apache-2.0
"""The real certbot and lego, with the hooks of deploy/hooks, against pebble: what they issue and renew is what the agent serves when they end."""
import hashlib
import ssl
import subprocess

import pytest

from harness import tls, upload
from harness.pebble import Pebble
from harness.world import World, serve


class Place:
    def __init__(self, folder):
        self.folder, self.world = folder, World(folder)
        self.pebble = Pebble(self.world, folder)
        self.controlplane = self.world.controlplane()
        self.api = self.controlplane.api
        self.world.agent(self.controlplane)
        self.port = serve(self.controlplane, self.world.backend())
        self.token_file = folder / "token"
        self.token_file.write_text(self.api.token + "\n")

    def environment(self, **more):
        return upload.environment(f"http://127.0.0.1:{self.api.port}", **{"TLSPLANE_TOKEN_FILE": self.token_file, "HOME": self.folder, **more})

    def served(self, name):
        """What `openssl s_client` sees: SHA-256 of the leaf."""
        page = tls.s_client(self.port, sni=name).text
        leaf = page[page.index("-----BEGIN CERTIFICATE-----"):page.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf)).hexdigest()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("renewers"))
    yield made
    problems = made.world.close()
    assert not problems, "\n\n".join(problems)


def leaf_of(path):
    """SHA-256 of the first certificate in a PEM file."""
    text = path.read_text()
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text[:text.index("-----END") + 25] + "\n")).hexdigest()


class Certbot:
    def __init__(self, place, hook=upload.HOOKS / "certbot.sh"):
        self.place, self.hook = place, hook
        self.dir = place.folder / "certbot"

    def lineage(self, name):
        return self.dir / "config" / "live" / name

    def run(self, command, *options, **settings):
        argv = ["certbot", command, "--non-interactive", "--config-dir", self.dir / "config", "--work-dir", self.dir / "work", "--logs-dir", self.dir / "logs",
                "--server", self.place.pebble.directory, "--http-01-port", self.place.pebble.http_port, "--http-01-address", "127.0.0.1", *options]
        done = upload.run(argv, self.place.environment(REQUESTS_CA_BUNDLE=self.place.pebble.ca_file, **settings))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def issue(self, *names, **settings):
        return self.run("certonly", "--standalone", "--agree-tos", "--register-unsafely-without-email", "--deploy-hook", self.hook,
                        *[word for name in names for word in ("-d", name)], **settings)

    def renew(self, name, **settings):
        return self.run("renew", "--force-renewal", "--no-random-sleep-on-renew", "--cert-name", name, **settings)


def test_certbot(place):
    """Issued, served; renewed, the new leaf served, under the same id, and what was configured beside it stays."""
    certbot, api = Certbot(place), place.api
    certbot.issue("shop.test", "www.shop.test", TLSPLANE_LABELS="team=shop")
    first = leaf_of(certbot.lineage("shop.test") / "fullchain.pem")
    assert place.served("shop.test") == place.served("www.shop.test") == first
    stored = api.get("/v1/ssls/shop.test").expect(200).json
    assert stored["labels"] == {"team": "shop"} and sorted(stored["snis"]) == ["shop.test", "www.shop.test"]
    api.patch("/v1/ssls/shop.test", {"tls_options": "intermediate", "desc": "by hand"}).expect(200)

    said = certbot.renew("shop.test", TLSPLANE_LABELS="team=shop")
    second = leaf_of(certbot.lineage("shop.test") / "fullchain.pem")
    assert second != first and place.served("shop.test") == place.served("www.shop.test") == second, said
    stored = api.get("/v1/ssls/shop.test").expect(200).json
    assert (stored["tls_options"], stored["desc"], stored["labels"]) == ("intermediate", "by hand", {"team": "shop"})
    logs = "".join(path.read_text() for path in (certbot.dir / "logs").iterdir())
    assert f"{upload.WAIT} by 1 agent(s)" in logs
    keys = certbot.lineage("shop.test") / "privkey.pem"
    assert not upload.leaked(upload.secrets_of(api.token, keys), said, logs)


def test_certbot_after_a_failed_hook(place):
    """certbot goes on when its hook fails and does not call it again: the hook over all lineages brings it live."""
    certbot = Certbot(place)
    certbot.issue("late.test")
    first = place.served("late.test")
    said = certbot.renew("late.test", TLSPLANE_TOKEN_FILE=None, TLSPLANE_TOKEN="wrong")
    assert "HTTP 401 Authentication required" in said and place.served("late.test") == first
    done = upload.run([certbot.hook, *sorted(path for path in (certbot.dir / "config" / "live").iterdir() if path.is_dir())], place.environment())
    assert done.returncode == 0, done.stderr
    assert place.served("late.test") == leaf_of(certbot.lineage("late.test") / "fullchain.pem") != first


def test_certbot_link(place):
    """As a link in renewal-hooks/deploy, which is how a hook for every certificate is installed."""
    certbot = Certbot(place, "true")
    certbot.issue("linked.test")
    assert place.api.get("/v1/ssls/linked.test").status == 404
    (certbot.dir / "config" / "renewal-hooks" / "deploy" / "tlsplane").symlink_to(upload.HOOKS / "certbot.sh")
    certbot.renew("linked.test")
    assert place.served("linked.test") == leaf_of(certbot.lineage("linked.test") / "fullchain.pem")


class Lego:
    def __init__(self, place, hook=upload.HOOKS / "lego.sh"):
        self.place, self.hook = place, hook
        self.dir = place.folder / "lego"

    def file(self, name, suffix):
        return self.dir / "certificates" / f"{name}.{suffix}"

    def run(self, names, *command, **settings):
        argv = ["lego", "--path", self.dir, "--server", self.place.pebble.directory, "--email", "ops@shop.test", "--accept-tos", "--http", "--http.port",
                f"127.0.0.1:{self.place.pebble.http_port}", *[word for name in names for word in ("--domains", name)], *command]
        return upload.run(argv, self.place.environment(LEGO_CA_CERTIFICATES=self.place.pebble.ca_file, **settings))

    def issue(self, *names, **settings):
        return self.run(names, "run", "--run-hook", self.hook, **settings)

    def renew(self, *names, **settings):
        return self.run(names, "renew", "--days", "9999", "--no-random-sleep", "--renew-hook", self.hook, **settings)


def test_lego(place):
    lego, names = Lego(place), ("lego.test", "www.lego.test")
    done = lego.issue(*names)
    assert done.returncode == 0, done.stdout + done.stderr
    first = leaf_of(lego.file("lego.test", "crt"))
    assert place.served("lego.test") == place.served("www.lego.test") == first
    assert f"{upload.WAIT} by 1 agent(s)" in done.stdout

    done = lego.renew(*names)
    assert done.returncode == 0, done.stdout + done.stderr
    second = leaf_of(lego.file("lego.test", "crt"))
    assert second != first and place.served("lego.test") == place.served("www.lego.test") == second
    assert not upload.leaked(upload.secrets_of(place.api.token, lego.file("lego.test", "key")), done.stdout, done.stderr)


def test_lego_fails_with_its_hook(place):
    done = Lego(place).issue("refused.test", TLSPLANE_TLS_OPTIONS="nowhere")
    assert done.returncode != 0
    assert "HTTP 422 Invalid configuration" in done.stdout and "/tls_options: tls_options/nowhere does not exist" in done.stdout
    assert place.api.get("/v1/ssls/refused.test").status == 404


@pytest.mark.parametrize("prefix,name", [("LEGO", "CERT_DOMAIN"), ("LEGO_HOOK", "CERT_NAME")])
def test_both_environments_of_lego(place, ca, prefix, name):
    """As lego 4 and lego 5 call it; lego's name of the certificate is the id, whatever stands first in it."""
    pair = ca.issue("a.legos.test", "legos.test", "*.legos.test")
    cert, key = pair.write(place.folder, "legos")
    done = upload.run([upload.HOOKS / "lego.sh"],
                      place.environment(**{f"{prefix}_CERT_PATH": cert, f"{prefix}_CERT_KEY_PATH": key, f"{prefix}_{name}": "*.legos.test"}))
    assert done.returncode == 0, done.stderr
    assert place.api.get("/v1/ssls/_.legos.test").expect(200).json["x509"]["sha256"] == pair.sha256 == place.served("x.legos.test")


@pytest.mark.parametrize("hook", ["certbot.sh", "lego.sh"])
def test_called_by_nobody(place, hook):
    done = subprocess.run([upload.HOOKS / hook], env=place.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("tlsplane: ")
