# SPDX-License-Identifier: LGPL-3.0-or-later
"""A planned restart of the router, and of a daemon on the skeleton: connections wait in the service manager's descriptor
store, and no client sees an error. The service manager is played by the test."""
import json
import os
import signal
import socket

import pytest

from embedded import wait_until
from managed import Managed
from rawclient import BAD_PEER, EVENT, RESPONSE, STREAMING, Broker, Client, Message, encode, memfd
from test_hostile import answer, build, registered  # noqa: F401  (build is a fixture)


class ManagedBroker(Managed, Broker):
    """A router whose service manager keeps what it stores."""

    def __enter__(self):
        self.open_store()
        return super().__enter__()

    def __exit__(self, *exc):
        super().__exit__(*exc)
        self.close_store()


class ManagedToy(Managed):
    """The smallest daemon, likewise."""

    socket_name = "toy"

    def __init__(self, build, broker):
        self.exe = str(build / "libflux" / "service" / "toy-daemon")
        self.dir, self.env = broker.dir, broker.env
        self.path = str(broker.dir / "node" / "toy")

    def __enter__(self):
        self.open_store()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.up()
        return self

    def __exit__(self, *exc):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        if not self.proc.stderr.closed:
            self.proc.stderr.close()
        self.listener.close()
        self.close_store()


@pytest.fixture
def broker(build):
    with ManagedBroker(build) as b:
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
    wait_until("the record", lambda: len(broker.logged(BAD_PEER)) == 1)
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


# --- a daemon on the skeleton


@pytest.fixture
def toy(build):
    with Broker(build) as b, ManagedToy(build, b) as t:
        yield t
        if t.proc.poll() is None:
            assert t.down() == (0, "")


def numbers(client, count):
    return [(m.matchtag, m.json["n"]) for m in (client.recv() for _ in range(count))]


def test_what_waits_is_begun_again_by_the_next_process_and_answered_once(toy):
    c, other = Client(toy.path), Client(toy.path)
    c.send(topic="toy.keep", aux2=1)
    other.send(topic="toy.keep", aux2=2)
    assert c.rpc("toy.echo", {}).errnum == 0  # so the one before it has come
    assert other.rpc("toy.echo", {}).errnum == 0
    toy.restart()
    assert Client(toy.path).rpc("toy.release").json["released"] == 2
    assert (c.recv().matchtag, other.recv().matchtag) == (1, 2)
    assert c.rpc("toy.echo", {"x": 1}).json == {"x": 1}  # nothing else came


def test_a_stream_goes_on_where_it_was(toy):
    c, stepper = Client(toy.path), Client(toy.path)
    c.send(topic="toy.count", aux2=5, flags=STREAMING)
    assert numbers(c, 1) == [(5, 0)]
    for _ in range(3):
        assert stepper.rpc("toy.step").errnum == 0
    for _ in range(2):
        toy.restart()
    assert stepper.rpc("toy.step").errnum == 0
    assert numbers(c, 4) == [(5, 1), (5, 2), (5, 3), (5, 4)]


def test_what_was_sent_while_it_was_down_is_answered_in_order(toy):
    c = Client(toy.path)
    assert c.rpc("toy.echo", {}).errnum == 0
    assert toy.down() == (0, "")
    for i in range(50):  # what the kernel holds
        c.send(topic="toy.echo", payload=b'{"i":%d}\0' % i, aux2=i + 1)
    toy.up()
    assert [c.recv().json["i"] for _ in range(50)] == list(range(50))


def test_what_must_not_be_begun_twice_is_answered_econnreset_and_the_connection_stays(toy):
    c = Client(toy.path)
    c.send(topic="toy.lose", aux2=1)
    assert c.rpc("toy.echo", {}).errnum == 0
    toy.restart()
    answer = c.recv()
    assert (answer.matchtag, answer.errnum, answer.payload) == (1, 104, b"flux-toy is being restarted\0")
    assert c.rpc("toy.echo", {}).errnum == 0


def test_a_protocol_with_a_greeting_begins_anew(toy):
    c, other = Client(toy.path), Client(toy.path)
    assert c.rpc("toy.hello").errnum == 0
    assert other.rpc("toy.echo", {}).errnum == 0
    toy.restart()
    assert c.is_dropped()
    assert other.rpc("toy.echo", {}).errnum == 0


def test_a_large_request_that_waits_is_handed_on_whole(toy):
    c = Client(toy.path)
    text = json.dumps({"text": "x" * 300_000}).encode() + b"\0"
    fd = memfd(text)
    c.send(encode(topic="toy.keep", payload=b"", aux2=1), fds=[fd])
    os.close(fd)
    assert c.rpc("toy.echo", {}).errnum == 0
    toy.restart()
    assert Client(toy.path).rpc("toy.release").json["released"] == 1
    assert len(json.loads(c.recv().fd_payload.rstrip(b"\0"))["text"]) == 300_000


def test_after_a_crash_nothing_is_taken_up(toy):
    c = Client(toy.path)
    c.send(topic="toy.keep", aux2=1)
    assert c.rpc("toy.echo", {}).errnum == 0
    assert toy.down() == (0, "")
    os.close(toy.store.pop("state"))
    toy.up()
    assert c.is_dropped()
    assert Client(toy.path).rpc("toy.release").json["released"] == 0
    toy.down(signal.SIGKILL)
    assert toy.store == {}
    toy.up()


def test_one_that_is_asked_to_shut_down_leaves_nothing_to_a_successor(toy):
    c = Client(toy.path)
    assert c.rpc("toy.shutdown").errnum == 0
    wait_until("the end", lambda: toy.handle_notifications() or toy.proc.poll() is not None)
    toy.handle_notifications()
    assert (toy.proc.returncode, toy.store) == (0, {})
    assert c.is_dropped()


def test_a_state_that_is_no_state_is_not_taken_up(toy):
    c = Client(toy.path)
    assert c.rpc("toy.echo", {}).errnum == 0
    assert toy.down() == (0, "")
    os.close(toy.store.pop("state"))
    toy.store["state"] = os.memfd_create("state", os.MFD_ALLOW_SEALING)  # empty, and not sealed
    toy.up()
    assert c.is_dropped()
    assert Client(toy.path).rpc("toy.echo", {}).errnum == 0
