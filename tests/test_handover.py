# SPDX-License-Identifier: LGPL-3.0-or-later
"""A planned restart of the router: connections wait in the service manager's descriptor store, and no client sees an
error. The service manager is played by the test."""
import array
import fcntl
import os
import select
import socket
import subprocess

import pytest

from embedded import wait_until
from rawclient import BAD_PEER, EVENT, RESPONSE, STREAMING, Broker, Message, encode
from test_hostile import answer, build, registered  # noqa: F401  (build is a fixture)


class Managed(Broker):
    """A router whose service manager keeps what it stores."""

    def __enter__(self):
        self.notify_path = str(self.dir / "notify")
        self.env["NOTIFY_SOCKET"] = self.notify_path
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.notify_path)
        self.notify.setblocking(False)
        self.store = {}
        return super().__enter__()

    def handle_notifications(self):
        while True:
            try:
                data, anc, _, _ = self.notify.recvmsg(4096, socket.CMSG_SPACE(64))
            except BlockingIOError:
                return
            fds = array.array("i")
            for _, _, raw in anc:
                fds.frombytes(raw)
            lines = dict(line.split("=", 1) for line in data.decode().splitlines())
            if lines.get("FDSTOREREMOVE"):
                if lines["FDNAME"] in self.store:
                    os.close(self.store.pop(lines["FDNAME"]))
            elif lines.get("FDSTORE"):
                (self.store[lines["FDNAME"]],) = fds
            else:  # BARRIER=1: closing it is the answer
                for fd in fds:
                    os.close(fd)

    def down(self, sig=None):
        self.proc.terminate() if sig is None else self.proc.send_signal(sig)

        def gone():
            self.handle_notifications()
            return self.proc.poll() is not None

        wait_until("the end", gone)
        self.handle_notifications()
        err = self.proc.stderr.read().decode()
        self.proc.stderr.close()
        return self.proc.returncode, err

    def up(self, wait=True):
        names, fds = ["local", *self.store], [self.listener.fileno(), *self.store.values()]

        def inherit():
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 200) for fd in fds]  # out of the way of 3, 4, ...
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)
            os.closerange(3 + len(fds), 1024)

        env = {**self.env, "LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(names)}
        self.proc = subprocess.Popen(["sh", "-c", 'LISTEN_PID=$$ exec "$0"', self.exe], env=env, close_fds=False,
                                     preexec_fn=inherit, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if wait:
            wait_until("it has taken them up", lambda: self.handle_notifications() or not self.store)

    def drop_dead(self):
        """As a manager does: it keeps no connection whose other end is closed."""
        poller = select.poll()
        for fd in self.store.values():
            poller.register(fd, 0)
        dead = {fd for fd, _ in poller.poll(0)}
        for name in [name for name, fd in self.store.items() if fd in dead]:
            os.close(self.store.pop(name))
        return len(dead)

    def restart(self):
        assert self.down() == (0, "")
        self.up()

    def __exit__(self, *exc):
        super().__exit__(*exc)
        for fd in self.store.values():
            os.close(fd)
        self.notify.close()


@pytest.fixture
def broker(build):
    with Managed(build) as b:
        yield b
        assert b.down() == (0, "")


def test_requests_in_flight_are_answered_by_way_of_the_next_process(broker):
    service, c = registered(broker), broker.client()
    c.send(topic="echo.plain", aux2=1)
    c.send(topic="echo.stream", aux2=2, flags=STREAMING)
    plain, stream = service.recv(), service.recv()
    answer(service, stream, flags=STREAMING)
    assert c.recv().matchtag == 2
    broker.restart()
    answer(service, plain)
    assert (lambda m: (m.matchtag, m.errnum))(c.recv()) == (1, 0)
    answer(service, stream, flags=STREAMING)
    answer(service, stream, flags=STREAMING, aux1=61)
    assert [(m.matchtag, m.errnum) for m in (c.recv(), c.recv())] == [(2, 0), (2, 61)]
    answer(service, plain)  # a second answer is still one too many
    wait_until("one orphan", lambda: c.rpc("broker.stats-get").json["router"]["orphans"] == 1)


def test_what_is_sent_while_it_is_down_is_handled_by_the_next_process(broker):
    service, c = registered(broker), broker.client()
    assert c.rpc("broker.ping").errnum == 0
    assert broker.down() == (0, "")
    c.send(topic="echo.x", aux2=7)
    c.send(topic="attr.get", payload=b'{"name":"rank"}\0', aux2=8)
    broker.up()
    assert c.recv().json["value"] == "0"
    answer(service, service.recv())
    assert c.recv().matchtag == 7


def test_a_service_sees_the_same_client_and_hears_when_it_leaves(broker):
    service, c = registered(broker), broker.client()
    c.send(topic="echo.x", aux2=1)
    before = service.recv()
    broker.restart()
    c.send(topic="echo.y", aux2=2)
    assert service.recv().routes == before.routes
    c.close()
    notice = service.recv()
    assert notice.topic == "echo.disconnect" and notice.routes == before.routes


@pytest.mark.parametrize("kept", [False, True])
def test_who_waits_for_a_service_that_ends_meanwhile_is_answered(broker, kept):
    service, c = registered(broker), broker.client()
    c.send(topic="echo.plain", aux2=1)
    c.send(topic="echo.stream", aux2=2, flags=STREAMING)
    service.recv(), service.recv()
    assert broker.down() == (0, "")
    service.close()
    assert kept or broker.drop_dead() == 1
    broker.up()
    answers = [c.recv(), c.recv()]
    assert sorted((m.matchtag, m.errnum, m.topic) for m in answers) == [(1, 104, "echo.plain"), (2, 104, "echo.stream")]
    assert c.rpc("broker.ping").errnum == 0


@pytest.mark.parametrize("kept", [False, True])
def test_a_service_hears_of_clients_that_leave_meanwhile(broker, kept):
    service, c = registered(broker), broker.client()
    c.send(topic="echo.x", aux2=1)
    before = service.recv()
    assert broker.down() == (0, "")
    c.close()
    assert kept or broker.drop_dead() == 1
    broker.up()
    notice = service.recv()
    assert (notice.topic, notice.routes, notice.userid) == ("echo.disconnect", before.routes, os.getuid())


def test_subscriptions_sequence_and_attributes_go_on(broker):
    a, b = broker.client(), broker.client()
    for _ in range(2):
        assert a.rpc("event.subscribe", {"topic": "t"}).errnum == 0
    assert b.rpc("attr.set", {"name": "mine", "value": "x"}).errnum == 0
    first = b.rpc("event.publish", {"topic": "t", "flags": 0}).json["seq"]
    assert a.recv().aux1 == first
    broker.restart()
    assert b.rpc("attr.get", {"name": "mine"}).json["value"] == "x"
    b.send(type=EVENT, topic="t", payload=None, aux2=0)
    assert a.recv().aux1 == first + 1
    assert a.rpc("event.unsubscribe", {"topic": "t"}).errnum == 0
    assert a.rpc("event.unsubscribe", {"topic": "t"}).errnum == 0
    assert a.rpc("event.unsubscribe", {"topic": "t"}).errnum == 2


def test_a_dialled_service_stays_connected(broker):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(broker.dir / "node" / "toy"))
    listener.listen(5)
    c = broker.client()
    c.send(topic="toy.x", aux2=9)
    conn, _ = listener.accept()
    m = Message(conn.recv(1 << 18))
    broker.restart()
    conn.send(encode(type=RESPONSE, topic=m.topic, routes=m.routes, aux2=m.matchtag))
    assert c.recv().errnum == 0
    c.send(topic="toy.y", aux2=10)
    assert Message(conn.recv(1 << 18)).topic == "toy.y"
    conn.close()
    assert c.recv().errnum == 104
    listener.close()


def test_an_offender_among_those_taken_up_is_still_dropped(broker):
    c, good = broker.client(), broker.client()
    assert c.rpc("broker.ping").errnum == 0 and good.rpc("broker.ping").errnum == 0
    broker.restart()
    c.send(b"garbage")
    assert c.is_dropped()
    assert len(broker.logged(BAD_PEER)) == 1
    assert good.rpc("broker.ping").errnum == 0


def test_many_restarts_lose_nothing(broker):
    service = registered(broker)
    clients = [broker.client() for _ in range(20)]
    for n in range(1, 6):
        for c in clients:
            c.send(topic="echo.x", aux2=n)
        got = [service.recv() for _ in clients]
        broker.restart()
        for m in got:
            answer(service, m)
        assert [c.recv().matchtag for c in clients] == [n] * len(clients)


def test_a_crash_ends_the_connections_and_the_next_process_starts_afresh(broker):
    c = broker.client()
    assert c.rpc("broker.ping").errnum == 0
    broker.proc.kill()
    assert c.is_dropped()
    broker.down()
    broker.up()
    assert broker.client().rpc("broker.ping").errnum == 0


def test_connections_without_a_state_are_closed(broker):
    c = broker.client()
    assert c.rpc("broker.ping").errnum == 0
    assert broker.down() == (0, "")
    os.close(broker.store.pop("state"))
    broker.up()  # the store is empty afterwards
    assert c.is_dropped()
    assert broker.client().rpc("broker.ping").errnum == 0
