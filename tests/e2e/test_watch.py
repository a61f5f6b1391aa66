# SPDX-License-Identifier: Apache-2.0
"""Following the store with plain GETs: GET /v1/revisions?after=N&wait=30s."""
import subprocess
import threading
import time



def upstream(port):
    return {"nodes": {f"127.0.0.1:{port}": 1}}


def head(api):
    return api.get("/v1/revisions").expect(200).headers["Tlsplane-Revision"]


class Later:
    """An answer that is waited for on a thread of its own."""

    def __init__(self, work):
        self.answer = self.error = None
        self.took = None
        self.begun = time.monotonic()
        self.thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self.thread.start()

    def _run(self, work):
        try:
            self.answer = work()
        except Exception as error:  # told by take()
            self.error = error
        self.took = time.monotonic() - self.begun

    def take(self, timeout=20):
        self.thread.join(timeout)
        assert not self.thread.is_alive(), "no answer"
        if self.error:
            raise self.error
        return self.answer


def test_after_lists_what_is_newer_oldest_first(api):
    start = head(api)
    made = [api.put(f"/v1/upstreams/w{i}", upstream(i + 1)).headers["Tlsplane-Revision"] for i in range(5)]
    page = api.get("/v1/revisions", after=start).expect(200)
    assert [r["revision"] for r in page.json["items"]] == made
    assert page.etag == f'"{made[-1]}"' and page.headers["Tlsplane-Revision"] == made[-1] and "total" not in page.json
    # A page at a time, each going on behind the last one read.
    seen, after = [], start.split("-")[1]
    while len(seen) < 5:
        items = api.get("/v1/revisions", after=after, limit=2, wait="5s").expect(200).json["items"]
        seen += [r["revision"] for r in items]
        after = items[-1]["revision"]
    assert seen == made
    assert api.get("/v1/revisions", after=after).expect(200).json["items"] == []
    assert [r["revision"] for r in api.get("/v1/revisions", after=start, actor="admin").json["items"]] == made


def test_a_poll_is_answered_at_the_commit(api):
    for _ in range(3):
        start = head(api)
        poll = Later(lambda: api.get("/v1/revisions", after=start, wait="20s").expect(200))
        time.sleep(0.3)
        assert poll.took is None
        made = api.put("/v1/upstreams/w", upstream(int(time.monotonic() * 1000) % 60000 + 1)).headers["Tlsplane-Revision"]
        answer = poll.take()
        assert [r["revision"] for r in answer.json["items"]] == [made]
        assert answer.headers["Tlsplane-Revision"] == made and poll.took < 5


def test_who_has_lost_the_token_meanwhile_is_told_nothing(api):
    """Whether the time is over or something was committed."""
    for name, wait in (("early", "20s"), ("late", "2s")):
        follower, start = api.as_role("viewer", id=name), head(api)
        poll = Later(lambda: follower.get("/v1/revisions", after=start, wait=wait))
        time.sleep(0.5)
        api.delete(f"/v1/tokens/{name}").expect(200)
        assert poll.took is None
        if name == "early":
            api.put("/v1/upstreams/w", upstream(7)).expect(201)
        answer = poll.take()
        assert answer.status == 401 and b"upstreams" not in answer.body, answer


def test_a_poll_ends_with_its_time(api):
    start = head(api)
    for wait, least, most in (("2s", 1.9, 8), ("2", 1.9, 8), ("0", 0, 1.9)):
        poll = Later(lambda: api.get("/v1/revisions", after=start, wait=wait).expect(200))
        answer = poll.take()
        assert answer.json["items"] == [] and answer.headers["Tlsplane-Revision"] == start
        assert least <= poll.took <= most, (wait, poll.took)


def test_a_noop_and_a_refused_write_wake_nobody(api):
    api.put("/v1/upstreams/w", upstream(1)).expect(201)
    start = head(api)
    poll = Later(lambda: api.get("/v1/revisions", after=start, wait="2s").expect(200))
    time.sleep(0.2)
    api.put("/v1/upstreams/w", upstream(1)).expect(200)
    api.put("/v1/upstreams/x", {"nodes": 7}).expect(422)
    assert poll.take().json["items"] == [] and poll.took >= 1.8


def test_many_wait_and_all_are_answered(api):
    start = head(api)
    polls = [Later(lambda: api.get("/v1/revisions", after=start, wait="30s").expect(200)) for _ in range(60)]
    time.sleep(0.7)
    assert all(poll.took is None for poll in polls)
    made = api.put("/v1/upstreams/many", upstream(1)).headers["Tlsplane-Revision"]
    assert {poll.take().json["items"][0]["revision"] for poll in polls} == {made}


def test_too_many_are_told_to_come_back(api):
    start = head(api)
    polls = [Later(lambda: api.get("/v1/revisions", after=start, wait="20s")) for _ in range(270)]
    deadline = time.monotonic() + 15
    while sum(poll.took is not None for poll in polls) < 14 and time.monotonic() < deadline:
        time.sleep(0.1)
    refused = [poll for poll in polls if poll.took is not None]
    assert len(refused) == 14
    assert {(poll.answer.status, poll.answer.headers["Retry-After"]) for poll in refused} == {(503, "5")}
    busy = api.put("/v1/upstreams/late", upstream(1), wait="acked")
    assert (busy.status, busy.headers["Retry-After"]) == (503, "5") and api.get("/v1/upstreams/late").status == 404, "a write whose wait has no place is not done"
    api.put("/v1/upstreams/w", upstream(1)).expect(201)
    assert sum(poll.take().status == 200 for poll in polls) == 256


def test_another_history_is_gone(world):
    controlplane = world.controlplane()
    api = controlplane.api
    api.put("/v1/upstreams/w", upstream(1)).expect(201)
    start = head(api)
    epoch, number = start.split("-")
    assert api.get("/v1/revisions", after=f"{int(epoch) + 1}-{number}").status == 410
    assert api.get("/v1/revisions", after=int(number) + 1).status == 410
    controlplane.restart("--new-epoch")
    gone = controlplane.api.get("/v1/revisions", after=start, wait="30s").expect(410)
    assert gone.json["type"] == "urn:tlsplane:error:gone"


def test_a_closing_control_plane_answers_who_waits(world):
    controlplane = world.controlplane()
    start = head(controlplane.api)
    poll = Later(lambda: controlplane.api.get("/v1/revisions", after=start, wait="60s").expect(200))
    time.sleep(0.5)
    controlplane.daemon.terminate()
    assert poll.take().json["items"] == [] and poll.took < 10


def test_plain_curl_follows(controlplane, api):
    start = head(api)
    run = subprocess.Popen(["curl", "-sf", "-H", f"Authorization: Bearer {api.token}",
                            f"http://127.0.0.1:{api.port}/v1/revisions?after={start}&wait=30s"], stdout=subprocess.PIPE)
    time.sleep(0.5)
    api.put("/v1/upstreams/curl", upstream(1)).expect(201)
    out, _ = run.communicate(timeout=20)
    assert run.returncode == 0 and b"put upstreams/curl" in out
