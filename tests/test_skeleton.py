# SPDX-License-Identifier: LGPL-3.0-or-later
"""What every daemon does because it is built on the skeleton, seen on the smallest one (libflux/service/toy-daemon.c)
behind a real router."""
import contextlib
import errno
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess

import pytest

from embedded import wait_until
from rawclient import BAD_PEER, CONFIG_BAD, EVENT, RESPONSE, Broker, Client, Message, encode, memfd
from test_hostile import as_user, build, needs_root  # noqa: F401  (build is a fixture)

ROUTER_LOST = "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e92"


class Toy:
    """The daemon, activated by hand: its listening socket as descriptor 3, a notify socket of ours."""

    def __init__(self, build, broker, preexec=None, env=None):
        self.exe = str(build / "libflux" / "service" / "toy-daemon")
        self.broker = broker
        self.preexec = preexec
        self.path = str(broker.dir / "node" / "toy")
        self.notify_path = str(broker.dir / "notify")
        self.env = {**broker.env, "LISTEN_FDNAMES": "toy", "NOTIFY_SOCKET": self.notify_path, **(env or {})}
        self.notified = []

    def __enter__(self):
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.notify_path)
        self.notify.settimeout(60)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen(64)
        fd = self.listener.fileno()

        def inherit():
            os.dup2(fd, 3) if fd != 3 else os.set_inheritable(3, True)
            if self.preexec:
                self.preexec()

        self.proc = subprocess.Popen(["sh", "-c", 'LISTEN_PID=$$ exec "$0"', self.exe], env=self.env, close_fds=False,
                                     preexec_fn=inherit, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return self

    def wait_notified(self, what):
        while what not in self.notified:
            self.notified += self.notify.recv(4096).decode().splitlines()

    def stop(self):
        self.proc.terminate()
        _, err = self.proc.communicate(timeout=60)
        return self.proc.returncode, err.decode()

    def __exit__(self, *exc):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        self.proc.stderr.close()
        self.notify.close()
        self.listener.close()
        os.unlink(self.path)
        os.unlink(self.notify_path)

    def log(self):
        f = self.broker.dir / "log" / "toy.log"
        return [json.loads(line) for line in f.read_text().splitlines(True) if line.endswith("\n")] if f.exists() else []

    def logged(self, message_id):
        return [r["MESSAGE"] for r in self.log() if r.get("MESSAGE_ID") == message_id]


@pytest.fixture
def broker(build):
    with Broker(build) as b:
        yield b


@pytest.fixture
def toy(build, broker):
    with Toy(build, broker) as t:
        yield t


def test_it_tells_its_service_manager_when_it_is_ready_and_what_it_does(toy):
    toy.wait_notified("READY=1")
    assert "STATUS=Playing on rank 0 of 1" in toy.notified
    assert toy.stop() == (0, "")
    toy.wait_notified("STOPPING=1")


def test_it_feeds_the_watchdog_from_its_loop(build, broker):
    with Toy(build, broker, env={"WATCHDOG_USEC": "300000"}) as toy:
        toy.wait_notified("WATCHDOG=1")


def test_requests_come_through_the_router_and_answers_go_back(broker, toy):
    c = broker.client()
    assert c.rpc("toy.echo", {"a": [1, 2]}).json == {"a": [1, 2]}
    assert c.rpc("toy.ping", {"n": 1}).json["userid"] == os.geteuid()
    assert c.rpc("toy.nothing").errnum == 38
    assert c.rpc("toy.rusage").json["maxrss"] > 0
    s = c.rpc("toy.stats-get").json
    assert s["methods"]["toy.echo"] == {"calls": 1, "errors": 0} and s["connections"] == 1


def test_a_large_payload_passes_the_router_in_its_memfd(broker, toy):
    c = broker.client()
    data = os.urandom(3_000_000)
    fd = memfd(data)
    c.send(encode(topic="toy.raw", payload=b"", aux2=5), fds=[fd])
    os.close(fd)
    assert c.recv().fd_payload == data


def test_a_client_that_leaves_takes_its_waiting_requests_with_it(broker, toy):
    a, b = broker.client(), broker.client()
    for c in (a, b):
        c.send(topic="toy.wait", payload=None, aux2=1)
    wait_until("both wait", lambda: broker.client().rpc("toy.stats-get").json["waiting"] == 2)
    before = b_stats(broker)["inflight"]
    a.close()
    wait_until("the notice", lambda: b_stats(broker)["inflight"] == before - 1)
    d = broker.client()
    d.send(topic="toy.release", payload=None, aux2=1)
    assert d.recv().json == {"released": 1}
    assert b.recv().errnum == 0


def b_stats(broker):
    c = broker.client()
    try:
        return c.rpc("toy.stats-get").json
    finally:
        c.close()


def test_sigterm_lets_it_finish_what_waits(broker, toy):
    c = broker.client()
    c.send(topic="toy.wait", payload=None, aux2=1)
    wait_until("it waits", lambda: b_stats(broker)["waiting"] == 1)
    assert toy.stop() == (0, "")
    assert c.recv().json == {"late": True}


def test_the_loss_of_the_router_ends_it_with_status_75_and_a_record(broker, toy):
    toy.wait_notified("READY=1")
    broker.proc.kill()
    assert toy.proc.wait(60) == 75
    assert len(toy.logged(ROUTER_LOST)) == 1


def test_events_reach_it(broker, toy):
    toy.wait_notified("READY=1")
    c = broker.client()
    c.send(type=EVENT, topic="toy.x", payload=None, aux2=0)
    wait_until("the event", lambda: b_stats(broker)["events"] == 1)


def test_it_gets_a_new_configuration_and_may_refuse_it(broker, toy):
    c = broker.client()
    assert c.rpc("toy.ping").errnum == 0
    (broker.conf / "toy.toml").write_text("toy = 1\n")
    m = c.rpc("config.reload")
    assert (m.errnum, m.text) == (22, "not taken by 1 service of this node: toy: toy: must be a table")
    assert "toy: must be a table" in toy.logged(CONFIG_BAD)[0]
    (broker.conf / "toy.toml").write_text("[toy]\n")
    assert c.rpc("config.reload").errnum == 0
    (broker.conf / "toy.toml").write_text("toy = 1\n")
    c.send(topic="config.reload", aux2=99)
    c.close()  # nobody waits: it is done all the same
    wait_until("the second refusal", lambda: len(toy.logged(CONFIG_BAD)) == 2)
    os.kill(toy.proc.pid, signal.SIGSTOP)
    c = broker.client()
    c.send(topic="config.reload", aux2=1)
    assert c.rpc("broker.ping").errnum == 0, "the router goes on meanwhile"
    toy.proc.kill()  # the next one reads it by itself
    assert c.recv().errnum == 0


def test_its_own_socket_takes_no_garbage_and_no_responses(broker, toy):
    toy.wait_notified("READY=1")
    for n, send in enumerate((lambda c: c.send(b"garbage"), lambda c: c.send(b""), lambda c: c.send(type=2)), 1):
        c = Client(toy.path)
        send(c)
        assert c.is_dropped()
        wait_until("the record", lambda: len(toy.logged(BAD_PEER)) == n)
    c = Client(toy.path)
    assert c.rpc("toy.ping").errnum == 0


@needs_root
def test_its_own_socket_is_for_the_owner_only(broker, toy):
    toy.wait_notified("READY=1")
    os.chmod(toy.path, 0o777)
    os.chmod(broker.dir / "node", 0o755)
    with as_user(54321):
        c = Client(toy.path)
    assert c.is_dropped()
    assert "54321" in wait_until("the record", lambda: toy.logged(BAD_PEER))[0]


def test_no_descriptors_left_does_not_make_it_spin(build, broker):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))

    with Toy(build, broker, preexec=few) as toy:
        toy.wait_notified("READY=1")
        clients = [Client(toy.path) for _ in range(30)]
        wait_until("it says so", lambda: any("cannot accept" in r["MESSAGE"] for r in toy.log()))
        used = cpu(toy.proc.pid)
        c = broker.client()
        wait_until("time passes", lambda: c.rpc("broker.stats-get").json["uptime"] > 1.0)
        assert cpu(toy.proc.pid) - used < 20  # ticks of 10 ms
        refused = clients[-1].recv()  # who cannot be served is told, and need not wait
        assert (refused.topic, refused.errnum) == ("broker.refuse", errno.EMFILE)
        assert refused.payload == b"flux-toy has no descriptors left; try again\0"
        assert clients[-1].is_dropped()
        assert clients[0].rpc("toy.ping").errnum == 0
        for c in clients:
            c.close()
        wait_until("room", lambda: served(toy))


def served(toy):
    """Is there an answer, and not a refusal or the end?"""
    with contextlib.closing(Client(toy.path)) as c:
        try:
            c.send(topic="toy.ping", aux2=1)
            answer = c.recv()
        except OSError:
            return False
    return answer is not None and answer.topic == "toy.ping"


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_shutdown_is_for_the_owner_and_ends_it(broker, toy):
    c = broker.client()
    assert c.rpc("toy.shutdown", userid=777, rolemask=2).errnum == 1
    assert c.rpc("toy.shutdown").errnum == 0
    assert toy.proc.wait(60) == 0


@pytest.mark.parametrize("missing", ["FLUX_RUNDIR", "LISTEN_FDS"])
def test_it_says_what_it_cannot_start_without(build, broker, missing):
    with Toy(build, broker, env={missing: ""}) as toy:
        assert toy.proc.wait(60) == 1
        assert any(missing in r["MESSAGE"] for r in toy.log())


class DumbRouter:
    """Answers what every daemon asks first, and nothing more."""

    def __init__(self, tmp):
        self.dir = tmp
        (tmp / "node").mkdir()
        self.env = {**os.environ, "FLUX_RUNDIR": str(tmp), "FLUX_LOG_DIR": str(tmp / "log"), "LISTEN_FDS": "1"}
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(tmp / "local"))
        self.listener.listen(5)

    def serve(self):
        """Until something is asked that gets no answer; that."""
        conn, _ = self.listener.accept()
        while True:
            m = Message(conn.recv(1 << 18))
            if m.topic == "service.announce":
                continue
            if m.topic not in ("attr.get", "config.get"):
                return conn, m
            payload = b'{"value":"0","flags":1}\0' if m.topic == "attr.get" else b"{}\0"
            conn.send(encode(type=RESPONSE, topic=m.topic, payload=payload, aux2=m.matchtag))


def test_sigterm_ends_a_daemon_that_waits_for_an_answer_at_its_start(build, tmp_path):
    router = DumbRouter(tmp_path)
    with Toy(build, router) as toy:
        conn, m = router.serve()
        assert m.topic == "event.subscribe"
        toy.proc.terminate()
        assert toy.proc.wait(60) == -15
        conn.close()


def test_a_daemon_that_is_not_answered_at_its_start_says_so_and_ends_with_status_75(build, tmp_path):
    router = DumbRouter(tmp_path)
    router.env["FLUX_START_TIMEOUT"] = "1"
    with Toy(build, router) as toy:
        conn, m = router.serve()
        assert toy.proc.wait(60) == 75
        assert any(r["MESSAGE"].startswith("event.subscribe was not answered in 1 s") for r in toy.log())
        conn.close()


def test_it_logs_once_that_it_is_ready_with_all_fields(toy):
    toy.wait_notified("READY=1")
    assert toy.stop() == (0, "")
    (record,) = [r for r in toy.log() if " ready as rank 0 of instance " in r["MESSAGE"]]
    assert (record["FLUX_SERVICE"], record["FLUX_RANK"]) == ("toy", "0") and record["FLUX_INSTANCE"]


def test_help_and_version_need_nothing(build):
    for option, text in (("--help", "Usage: flux-toy"), ("--version", "flux-toy ")):
        r = subprocess.run([build / "libflux" / "service" / "toy-daemon", option], capture_output=True, text=True)
        assert r.returncode == 0 and r.stdout.startswith(text)
    r = subprocess.run([build / "libflux" / "service" / "toy-daemon", "--nonsense"], capture_output=True, text=True)
    assert r.returncode == 1 and "--nonsense" in r.stderr
