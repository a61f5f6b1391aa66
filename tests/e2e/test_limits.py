# SPDX-License-Identifier: Apache-2.0
"""What a client can cost: time, handshakes, connections, memory; and that whoever exceeds a limit is told of in metrics and log while others are
served."""
import hashlib
import os
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness import tls
from harness.api import Api
from harness.backend import EchoBackend
from harness.daemon import fields
from harness.net import eventually, free_port, receive_all
from harness.origin import TlsBackend
from harness.pki import Ca
from harness.tls import client_hello, records, send_raw, sni_extension
from harness.wire import HELLO_MAX, Fragmented, hello_12, hello_without_share, open_13, padded_hello, receive_message, send_in_segments
from harness.world import is_sanitized

TOO_MANY = "TLSV1_ALERT_INTERNAL_ERROR"  # limits of a name are judged after its ClientHello; those of a listener close the connection
LIMITS = "connections handshakes handshake_rate name_handshakes name_rate".split()


class Place:
    """Listeners come with a test; names are all of .test."""

    def __init__(self, shared, ca):
        self.shared, self.api, self.agent, self.world = shared, shared.api, shared.agent, shared.world
        self.star, self.echo, self.made = ca.issue("*.test"), shared.world.add_backend(EchoBackend()), 0
        self.put(("tls_options", "both", {"min_version": "TLSv1.2"}), ("ssls", "star", self.star.ssl("*")),
                 ("upstreams", "web", {"nodes": {f"127.0.0.1:{shared.backend.port}": 1}}),
                 ("upstreams", "echo", {"nodes": {f"127.0.0.1:{self.echo.port}": 1}}))
        self.quiet = self.listener()  # on which no limit stands

    def put(self, *rows):
        self.api.apply(put=rows, wait="acked", timeout=30).expect(200, 201)

    def listener(self, *rows, name=None, **more):
        """The port of a new listener."""
        self.made += 1
        port = free_port()
        self.put(*rows, ("listeners", name or f"l{self.made}", {"bind": f"127.0.0.1:{port}", "upstream": "web", "tls_options": "both", **more}))
        return port

    def served(self, port, sni="x.test", **more):
        """The backend has answered. Raises when not."""
        return tls.fetch(port, sni, **more)[0] == "backend"

    def is_served(self, port, sni="x.test"):
        try:
            return self.served(port, sni)
        except OSError:
            return False

    def stall(self, port, count):
        """So many handshakes that are under way, each with its place."""
        eventually(lambda: self.under_way(port) == 0, "those before are over")  # a client is done a moment before its server
        stalled = [begin(port, b"\x16") for _ in range(count)]
        eventually(lambda: self.under_way(port) == count, f"{count} are under way")
        return stalled

    def under_way(self, port):
        items = Api(self.agent.status_port, "", self.world.transcript).get("/v1/connections", auth=False).expect(200).json["items"]
        return sum(item["state"] == "handshake" and item["listener"].endswith(f":{port}") for item in items)

    def others_are_served(self, within=8):
        started = time.monotonic()
        assert self.served(self.quiet)
        assert time.monotonic() - started < within

    def samples(self):
        """{"name{labels}": value} without the prefix that all of them have."""
        return {key: int(value) for key, value in re.findall(r"^tlsplane_agent_(\S+) (\d+)$", self.agent.metrics(), re.M)}

    def hits(self):
        samples = self.samples()
        return {limit: samples[f'limit_hits_total{{limit="{limit}"}}'] for limit in LIMITS}

    def told(self, port):
        """Of the log: the lines about limits of this listener, as fields."""
        return [row for line in self.agent.daemon.lines('msg="limit reached"') if (row := fields(line))["listener"] == f"127.0.0.1:{port}"]


@pytest.fixture(scope="module")
def place(shared, ca):
    return Place(shared, ca)


def begin(port, data=b""):
    """A connection that has sent these bytes; the caller closes it."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(data)
    return connection


def close_all(connections):
    for connection in connections:
        connection.close()


# Time -----------------------------------------------------------------------------------------------------------------

def test_absolute_deadline(place):
    """From accept on, to the end of the handshake; no byte that comes moves it. The listener's until the ClientHello is there, then that of the chosen
    options, both with fractions of a second."""
    place.put(("tls_options", "fast", {"min_version": "TLSv1.2", "handshake_timeout": 0.7}),
              ("tls_options", "middle", {"min_version": "TLSv1.2", "handshake_timeout": 1.6}),
              ("tls_options", "slow", {"min_version": "TLSv1.2", "handshake_timeout": 2.9}),
              ("ssls", "fast", place.star.ssl("fast.test", tls_options="fast")), ("ssls", "slow", place.star.ssl("slow.test", tls_options="slow")))
    port = place.listener(tls_options="middle")
    hello = {name: records(client_hello(sni_extension(name.encode()))) for name in ("fast.test", "slow.test", "x.test")}
    took, before = {}, place.samples()

    def stall(what, sent, drip):
        with begin(port, sent) as connection:
            started, position = time.monotonic(), 0
            connection.settimeout(0.1)
            while time.monotonic() - started < 10:
                try:
                    if position < len(drip):
                        connection.sendall(drip[position:position + 1])
                        position += 1
                    if connection.recv(65536) == b"":
                        break
                except TimeoutError:
                    pass
                except OSError:
                    break
            took[what] = time.monotonic() - started
    cases = {"silent": (b"", b"", 1.6), "half a record header": (b"\x16\x03\x01", b"", 1.6), "dripping hello": (b"", hello["x.test"][:-1], 1.6),
             "after ServerHello": (hello["x.test"], b"", 1.6), "dripping after ServerHello": (hello["x.test"], b"\x17\x03\x03\x40\0" + bytes(200), 1.6),
             "fast name": (hello["fast.test"], b"", 0.7), "slow name": (hello["slow.test"], b"", 2.9)}
    threads = [threading.Thread(target=stall, args=(what, *case[:2])) for what, case in cases.items()]
    for thread in threads:
        thread.start()
    place.others_are_served(within=2)
    assert place.served(port) and place.served(port, "fast.test")
    for thread in threads:
        thread.join()
    for what, (_, _, wanted) in cases.items():
        assert wanted - 0.1 < took[what] < wanted + 0.8, (what, took)
    after = place.samples()
    key = 'handshakes_total{result="timed_out"}'
    assert after[key] - before[key] == len(cases)


def test_deadline_ends_with_the_handshake(place):
    place.put(("tls_options", "short", {"min_version": "TLSv1.2", "handshake_timeout": 0.5}))
    with tls.connect(place.listener(tls_options="short", upstream="echo"), "x.test") as connection:
        connection.settimeout(1.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.sendall(b"ping")
        assert connection.recv(4) == b"ping"


# Handshakes -----------------------------------------------------------------------------------------------------------

def knock(port, count, sni="x.test"):
    """How many of these handshakes, one after the other as fast as can be, are served; what became of the others; seconds."""
    started, served, others = time.monotonic(), 0, set()
    for _ in range(count):
        try:
            with tls.connect(port, sni, timeout=5) as connection:
                connection.sendall(tls.REQUEST)
                if not connection.recv(1):  # a byte of the backend: the handshake is over at both ends
                    raise ConnectionError("closed")
                served += 1
        except ssl.SSLError as error:
            others.add(error.reason)
        except OSError:
            others.add("closed")
    return served, others, time.monotonic() - started


def check_told(place, port, limit, word, refused, **more):
    """Counted under the right label and no other; told in one line a second at most, which says what and how many."""
    eventually(lambda: place.told(port), "a log line")
    lines = place.told(port)
    assert {line["limit"] for line in lines} == {word} and all(line["level"] == "warning" for line in lines), lines
    assert {key: lines[0][key] for key in more} == more
    assert len(lines) <= 3 and 1 <= sum(int(line["refused"]) for line in lines) <= refused
    assert limit in LIMITS


def grown(before, after):
    return {limit: after[limit] - before[limit] for limit in LIMITS if after[limit] != before[limit]}


def test_rate_of_a_listener(place):
    port, before = place.listener(name="rated", handshakes_per_second=10), place.hits()
    served, others, seconds = knock(port, 60)
    assert 10 <= served <= 11 + 10 * seconds and served < 60, (served, seconds)
    assert others <= {"closed", "UNEXPECTED_EOF_WHILE_READING"}, others
    place.others_are_served()
    samples = place.samples()
    assert grown(before, place.hits()) == {"handshake_rate": 60 - served}
    assert samples['listener_refused_total{listener="rated"}'] == 60 - served
    check_told(place, port, "handshake_rate", "handshakes_per_second", 60 - served)
    eventually(lambda: place.is_served(port), "it goes on at that rate")


def test_rate_of_a_name(place):
    place.put(("tls_options", "rated", {"min_version": "TLSv1.2", "handshakes_per_second": 10}),
              ("ssls", "rated", place.star.ssl("rated.test", "*.rated.test", tls_options="rated")))
    port, before = place.listener(), place.hits()
    served, others, seconds = knock(port, 60, "rated.test")
    assert 10 <= served <= 11 + 10 * seconds and served < 60 and others == {TOO_MANY}, (served, others, seconds)
    assert knock(port, 8, "other.rated.test")[0] == 8  # each name has its own
    assert knock(port, 20, "x.test")[0] == 20
    assert grown(before, place.hits()) == {"name_rate": 60 - served}
    check_told(place, port, "name_rate", "handshakes_per_second of a name", 60 - served, sni="rated.test")
    eventually(lambda: place.is_served(port, "rated.test"), "it goes on at that rate")


def test_at_once_of_a_listener(place):
    port, before = place.listener(name="few-handshakes", max_handshakes=4, upstream="echo"), place.hits()
    done = [tls.connect(port, "x.test") for _ in range(8)]  # no longer under way
    stalled = place.stall(port, 4)
    for _ in range(6):
        assert knock(port, 1)[0] == 0
    place.others_are_served()
    refused = grown(before, place.hits())
    assert set(refused) == {"handshakes"} and refused["handshakes"] >= 6
    assert place.samples()['listener_refused_total{listener="few-handshakes"}'] == refused["handshakes"]
    check_told(place, port, "handshakes", "max_handshakes", refused["handshakes"])
    for connection in done:
        connection.sendall(b"ping")
        assert connection.recv(4) == b"ping"
    stalled.pop().close()
    eventually(lambda: knock(port, 1)[0] == 1, "a place is free again")
    close_all(stalled)
    eventually(lambda: knock(port, 20)[0] == 20, "all are")
    close_all(done)


def test_at_once_of_a_name(place):
    place.put(("tls_options", "few", {"min_version": "TLSv1.2", "max_handshakes": 3}),
              ("ssls", "few", place.star.ssl("few.test", "*.few.test", tls_options="few")))
    port, before = place.listener(), place.hits()
    hello = records(client_hello(sni_extension(b"few.test")))
    stalled = [begin(port, hello) for _ in range(3)]
    for connection in stalled:
        assert connection.recv(1) == b"\x16"
    served, others, _ = knock(port, 5, "few.test")
    assert served == 0 and others == {TOO_MANY}
    assert knock(port, 5, "FEW.test")[0] == 0  # the same name
    assert knock(port, 5, "other.few.test")[0] == 5 and knock(port, 5, "x.test")[0] == 5
    assert grown(before, place.hits()) == {"name_handshakes": 10}
    check_told(place, port, "name_handshakes", "max_handshakes of a name", 10, sni="few.test")
    stalled.pop().close()
    eventually(lambda: place.is_served(port, "few.test"), "a place is free again")
    assert knock(port, 5, "few.test")[0] == 5
    close_all(stalled)


def test_names_that_nobody_knows_share_one_place(place):
    """Else a client had as many as it can think of."""
    place.put(("tls_options", "shared-place", {"min_version": "TLSv1.2", "max_handshakes": 3, "default_ssl": "fallback"}),
              ("ssls", "fallback", place.star.ssl("fallback.test")))
    place.api.delete("/v1/ssls/star", wait="acked", timeout=30).expect(200)
    try:
        port = place.listener(tls_options="shared-place")
        stalled = [begin(port, records(client_hello(sni_extension(b"n%d.nowhere" % i)))) for i in range(3)]
        for connection in stalled:
            assert connection.recv(1) == b"\x16"
        assert knock(port, 3, "another.nowhere") [:2] == (0, {TOO_MANY})
        assert knock(port, 1, None)[:2] == (0, {TOO_MANY})
        assert knock(port, 3, "fallback.test")[0] == 3
        close_all(stalled)
        eventually(lambda: place.is_served(port, "another.nowhere"), "the place is free again")
    finally:
        place.put(("ssls", "star", place.star.ssl("*")))


def test_limits_change_live(place):
    port = place.listener(name="changing", max_handshakes=1)
    stalled = place.stall(port, 1)
    assert knock(port, 1)[0] == 0
    place.api.patch("/v1/listeners/changing", {"max_handshakes": 2}, wait="acked", timeout=30).expect(200)
    assert knock(port, 5)[0] == 5
    place.api.patch("/v1/listeners/changing", {"max_handshakes": None, "handshakes_per_second": 1}, wait="acked", timeout=30).expect(200)
    assert knock(port, 20)[0] < 10
    place.api.patch("/v1/listeners/changing", {"handshakes_per_second": None}, wait="acked", timeout=30).expect(200)
    assert knock(port, 20)[0] == 20
    close_all(stalled)


def test_max_connections(place):
    port, before = place.listener(name="few-connections", max_connections=3, upstream="echo"), place.hits()
    held = [tls.connect(port, "x.test") for _ in range(3)]
    assert knock(port, 5)[0] == 0
    assert grown(before, place.hits()) == {"connections": 5}
    assert place.samples()['listener_refused_total{listener="few-connections"}'] == 5
    check_told(place, port, "connections", "max_connections", 5)
    place.others_are_served()
    for connection in held:
        connection.sendall(b"ping")
        assert connection.recv(4) == b"ping"
    held.pop().close()
    eventually(lambda: knock(port, 1)[0] == 1, "a place is free again")
    close_all(held)


# The ClientHello ------------------------------------------------------------------------------------------------------

def unread(connection, port):
    """Bytes that the kernel has for the other end of this connection."""
    ends = f"0100007F:{port:04X}", f"0100007F:{connection.getsockname()[1]:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        return next(int(row[4].partition(":")[2], 16) for row in map(str.split, table) if (row[1], row[2]) == ends)


class TestHelloSize:
    @pytest.mark.parametrize("record", [16384, 1000, 64])
    def test_up_to_the_bound(self, place, record):
        data = records(padded_hello(HELLO_MAX, sni_extension(b"x.test")), record)
        assert send_raw(place.quiet, data) == "ServerHello"

    @pytest.mark.parametrize("segment", [1, 100])
    def test_in_segments(self, place, segment):
        with begin(place.quiet) as connection:
            send_in_segments(connection, records(padded_hello(8000, sni_extension(b"x.test"))), segment)
            assert connection.recv(1) == b"\x16"

    def test_nobody_is_woken_in_vain(self, place):
        """What can't be the last byte is left in the kernel: a client may put each into a packet of its own."""
        data = records(padded_hello(3000, sni_extension(b"x.test")), 100)
        with begin(place.quiet) as connection:
            connection.sendall(data[:300])
            eventually(lambda: unread(connection, place.quiet) == 0, "the beginning is read")
            send_in_segments(connection, data[300:800], 1)
            eventually(lambda: unread(connection, place.quiet) == 500, "the rest is waited for")
            connection.sendall(data[800:])
            assert connection.recv(1) == b"\x16"

    @pytest.mark.parametrize("record", [16384, 1])
    @pytest.mark.parametrize("claimed", [HELLO_MAX + 1, 100_000, (1 << 24) - 1])
    def test_beyond_it_at_once(self, place, record, claimed):
        """By its header alone: nothing is waited for, nothing is made room for."""
        head = b"\x01" + (claimed - 4).to_bytes(3, "big") if claimed < 1 << 24 else b"\x01\xff\xff\xff"
        before, started = place.samples(), time.monotonic()
        assert send_raw(place.quiet, records(head, record)) == "alert:47"
        assert time.monotonic() - started < 8
        key = 'handshake_failures_total{cause="size"}'
        eventually(lambda: place.samples()[key] == before[key] + 1, "counted")

    def test_overhead_counts(self, place):
        """What is kept of a hello that comes in pieces is bounded as well: six bytes on the wire for each of its own."""
        assert send_raw(place.quiet, records(padded_hello(5000, sni_extension(b"x.test")), 1)) == "ServerHello"
        assert send_raw(place.quiet, records(padded_hello(8000, sni_extension(b"x.test")), 1)) in ("alert:47", "RST")

    def test_second_hello(self, place):
        """After HelloRetryRequest as before it."""
        with begin(place.quiet) as connection:
            connection.sendall(records(hello_without_share(sni_extension(b"x.test"))))
            retry = receive_message(connection, 2)
            assert retry[2:34] == hashlib.sha256(b"HelloRetryRequest").digest()
            connection.sendall(records(b"\x01\xff\xff\xff"))
            answer = receive_all(connection)
            assert answer.endswith(b"\x15\x03\x03\0\x02\x02\x2f") or answer.endswith(b"\x15\x03\x01\0\x02\x02\x2f"), answer


def fragmented_verdict(port, sni, record, segment, made):
    """(what the backend says, leaf) or the alert."""
    try:
        client = Fragmented(port, sni, record, segment, made)
    except ssl.SSLError as error:
        return error.reason
    try:
        client.send(tls.REQUEST)
        body = client.recv_all().partition(b"\r\n\r\n")[2]
        return body, hashlib.sha256(client.tls.getpeercert(True)).hexdigest()
    except ssl.SSLError as error:
        return error.reason
    finally:
        client.close()


@pytest.fixture(scope="module")
def kinds(place, ca, tmp_path_factory):
    """Names that are terminated, ask for a client's certificate, are passed through, are rejected; that client's files."""
    folder = tmp_path_factory.mktemp("fragments")
    clients, origin = Ca("Fragment Clients"), TlsBackend(folder, ca.issue("passed.test"))
    place.world.add_backend(origin)
    place.put(("upstreams", "origin", {"nodes": {f"127.0.0.1:{origin.port}": 1}}),
              ("routes", "passed", {"snis": ["passed.test"], "mode": "passthrough", "upstream": "origin"}),
              ("routes", "rejected", {"snis": ["rejected.test"], "mode": "reject"}),
              ("ssls", "mutual", place.star.ssl("mutual.test", tls_options="both", client={"ca": clients.cert_pem})))
    return clients.issue("client", usage="client").write(folder, "client")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("record,segment", [(1, None), (16, None), (100, None), (None, 1), (1, 1), (16, 7)])
def test_fragments(place, kinds, version, record, segment):
    """In whatever pieces the ClientHello comes, the verdict is that of the whole one: above all the name is not lost, and its rules with it."""
    verdicts = {}
    for sni, client in (("x.test", None), ("mutual.test", None), ("mutual.test", kinds), ("passed.test", None), ("rejected.test", None), (None, None)):
        made = tls.context(version=version, client=client)
        whole = fragmented_verdict(place.quiet, sni, None, None, made)
        assert fragmented_verdict(place.quiet, sni, record, segment, made) == whole, sni
        verdicts[sni, bool(client)] = whole
    assert verdicts["x.test", False] == (b"backend", place.star.sha256) == verdicts["mutual.test", True]
    assert verdicts["mutual.test", False] in ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE")
    assert b'"sni": "passed.test"' in verdicts["passed.test", False][0] and verdicts["passed.test", False][1] != place.star.sha256
    assert verdicts["rejected.test", False] == "TLSV1_ALERT_ACCESS_DENIED"


@pytest.mark.parametrize("last", [1, 2, 3, 6])
def test_the_end_of_a_hello_alone(place, last):
    """A hello of small records, whose last bytes come by themselves: how many the message still lacks is less than what comes."""
    data = tls.records(tls.client_hello(tls.sni_extension(b"x.test")), 2)
    with socket.create_connection(("127.0.0.1", place.quiet), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (data[:-140], data[-140:-last]):
            connection.sendall(piece)
            for _ in range(4):
                place.others_are_served()  # after what came before, on every worker
        connection.sendall(data[-last:])
        assert connection.recv(1) == b"\x16"


# Within a connection --------------------------------------------------------------------------------------------------

def test_no_renegotiation(place):
    """Who asks is told no, and the key works no more for it; the extension that makes the first handshake safe is there (RFC 5746)."""
    before = place.samples()['handshakes_total{result="ok"}']
    seen = tls.s_client(place.quiet, "-tls1_2", sni="x.test", data=b"R\n", plain=True)
    assert "no renegotiation" in seen.text.lower() and "Secure Renegotiation IS supported" in seen.text, seen
    assert place.samples()['handshakes_total{result="ok"}'] == before + 1
    place.others_are_served()


def test_no_compression(place):
    """Offered beside none it is not taken (CRIME); offered alone it ends the handshake."""
    with begin(place.quiet, records(hello_12(sni_extension(b"x.test"), compression=b"\x01\0"))) as connection:
        hello = receive_message(connection, 2)
        session_id = hello[34]
        assert hello[35 + session_id + 2] == 0
    assert "Compression: NONE" in tls.s_client(place.quiet, "-tls1_2", "-comp", sni="x.test").text
    assert send_raw(place.quiet, records(hello_12(sni_extension(b"x.test"), compression=b"\x01"))).startswith("alert:")


@pytest.mark.parametrize("asks", [0, 1])
@pytest.mark.bounds
def test_key_updates(place, tmp_path, asks):
    """RFC 8446 4.6.3: each KeyUpdate of a flood costs a derivation and no memory, whether or not it asks for one in return; the data behind it arrives."""
    place.put(("tls_options", "aes", {"min_version": "TLSv1.3", "cipher_suites": ["TLS_AES_128_GCM_SHA256"]}))
    port = place.listener(tls_options="aes", upstream="echo", name=f"updates{asks}")
    client, keys = open_13(port, "x.test", tmp_path)
    before = place.agent.daemon.rss_kib()
    for count in [100] * 40 + [8000]:  # the last are more than it reads in one turn
        client.raw.sendall(b"".join(keys.key_update(asks) for _ in range(count)))
    place.others_are_served()
    client.raw.sendall(keys.seal(23, b"ping"))
    assert client.recv() == b"ping"
    if not is_sanitized():
        assert place.agent.daemon.rss_kib() - before < 2048
    client.close()


# Memory ---------------------------------------------------------------------------------------------------------------

def stages(place):
    """Where a client may stall: what it has sent until then, and whether it has had an answer."""
    long_hello = records(padded_hello(HELLO_MAX, sni_extension(b"x.test")))
    short_hello = records(client_hello(sni_extension(b"x.test")))
    return {
        "no byte": (b"", False), "half a record header": (b"\x16\x03", False), "half a ClientHello": (short_hello[:-100], False),
        "all but the end of the longest": (long_hello[:-1], False), "after ServerHello": (short_hello, True),
        "after ServerHello to the longest": (long_hello, True),
        "in its certificate": (records(hello_12(sni_extension(b"mutual.test"))), b"\x16\x03\x03\x20\0\x0b\0\x3f\xf0\0\x3f\xed" + bytes(8185) + b"\x16\x03\x03\x1f\xf0" + bytes(8100)),
        "after the handshake": (None, True),
    }


def is_over(connection):
    """The agent has ended it, or says in plain that it will."""
    connection.settimeout(0)
    try:
        while data := connection.recv(65536):
            if data.startswith(b"\x15"):
                return True
        return True
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    finally:
        connection.settimeout(30)


@pytest.mark.bounds
def test_stalled_clients(place, kinds):
    """At each byte where a client can stop it costs at most 64 KiB, and the handshakes of others go on. All of them are held until the end, so that
    no stage lives on what another has given back."""
    place.put(("tls_options", "patient", {"min_version": "TLSv1.2", "handshake_timeout": 60}),
              ("ssls", "patient", place.star.ssl("x.test", tls_options="patient")),
              ("ssls", "mutual", {**place.star.ssl("mutual.test", tls_options="patient"), "client": place.api.get("/v1/ssls/mutual").json["client"]}))
    port = place.listener(tls_options="patient", upstream="echo")
    count, held, cost = 60 if is_sanitized() else 500, [], {}
    assert knock(port, 50)[0] == 50
    for what, (sent, then) in stages(place).items():
        before = place.agent.daemon.rss_kib()
        new = []
        for _ in range(count):
            if sent is None:
                new.append(tls.connect(port, "x.test"))
                continue
            connection = begin(port, sent)
            if isinstance(then, bytes):
                receive_message(connection, 14)  # ServerHelloDone
                connection.sendall(then)
            elif then:
                assert connection.recv(1) == b"\x16"
            new.append(connection)
        place.others_are_served()
        assert not any(is_over(connection) for connection in new[::20]), what  # they do stall, and are not refused
        held += new
        cost[what] = (place.agent.daemon.rss_kib() - before) / count
    assert place.samples()["connections"] >= count * len(cost)
    close_all(held)
    assert is_sanitized() or max(cost.values()) <= 64, cost
    place.put(("ssls", "patient", place.star.ssl("patient.test")))


# Descriptors ----------------------------------------------------------------------------------------------------------

def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        words = stat.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.bounds
def test_without_descriptors(world, controlplane, ca):
    """An agent that may open 64 files: when they are used up it waits instead of spinning, says so, keeps what it has, and serves again as soon as
    there is one."""
    agent = world.agent(controlplane)
    subprocess.run(["prlimit", f"--pid={agent.daemon.pid}", "--nofile=64:"], check=True)
    echo = world.add_backend(EchoBackend())
    port = free_port()
    controlplane.api.apply(wait="acked", timeout=30, put=[("upstreams", "echo", {"nodes": {f"127.0.0.1:{echo.port}": 1}, "max_fails": 1}),
                                                          ("listeners", "main", {"bind": f"127.0.0.1:{port}", "upstream": "echo"})]).expect(200)
    held = [tls.connect(port, "x.test") for _ in range(3)]
    for connection in held:
        connection.sendall(b"ping")
        assert connection.recv(4) == b"ping"
    quiet = len(descriptors(agent))
    silent = [begin(port) for _ in range(100)]
    agent.daemon.wait_log('msg="cannot accept, pausing"')
    started, used = time.monotonic(), cpu_seconds(agent.daemon.pid)
    while time.monotonic() - started < 2:
        for connection in held:
            connection.sendall(b"ping")
            assert connection.recv(4) == b"ping"
            connection.settimeout(0.1)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(10)
    assert cpu_seconds(agent.daemon.pid) - used < (1.0 if is_sanitized() else 0.3)
    assert len(agent.daemon.lines('msg="cannot accept, pausing"')) < 60
    close_all(silent)
    eventually(lambda: is_echoed(port), "served again")
    eventually(lambda: int(re.search(r"connections_accepted_total (\d+)", agent.metrics()).group(1)) > 103, "the queues are empty")
    eventually(lambda: len(descriptors(agent)) <= quiet, "all of them are gone")
    leave_descriptors(agent, 1)  # for the client, and none for the upstream
    assert not is_echoed(port)
    leave_descriptors(agent, 64)
    agent.daemon.wait_log('msg="no descriptor or memory to connect to the upstream"')
    assert 'upstream_nodes{upstream="echo",state="down"} 0' in agent.metrics(), "no node is to blame for it"
    assert is_echoed(port)
    close_all(held)
    assert agent.state()["connected"]


def is_echoed(port):
    try:
        with tls.connect(port, "x.test", timeout=2) as connection:
            connection.sendall(b"ping")
            return connection.recv(4) == b"ping"
    except OSError:
        return False


def descriptors(agent):
    return {int(number) for number in os.listdir(f"/proc/{agent.daemon.pid}/fd")}


def leave_descriptors(agent, count):
    """So many and no more may be opened now."""
    free = sorted(set(range(10000)) - descriptors(agent))
    subprocess.run(["prlimit", f"--pid={agent.daemon.pid}", f"--nofile={free[count - 1] + 1}:"], check=True)
