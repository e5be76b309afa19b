# SPDX-License-Identifier: LGPL-3.0-or-later
"""Hostile clients of the router: each is dropped with one logged reason, or answered with an error, and another
client notices nothing."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import threading

import pytest

from embedded import wait_until
from rawclient import (ANY, BAD_PEER, CONFIG_BAD, CONTROL, EVENT, MAGIC, NORESPONSE, PRIVATE, REQUEST, RESPONSE,
                       SERVICE_LOST, SLOW_CLIENT, STREAMING, UPSTREAM, Broker, Client, Message, encode, memfd, part)

GUEST = 54321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@pytest.fixture(scope="session")
def build():
    """The router alone is enough here."""
    top = pathlib.Path(os.environ.get("FLUX_BUILD", pathlib.Path(__file__).resolve().parent.parent / "build"))
    if not (top / "services" / "broker" / "flux-broker").exists():
        pytest.fail(f"{top} is not built; run tools/setup")
    return top


@pytest.fixture
def broker(build):
    with Broker(build) as b:
        yield b
        assert b.proc.poll() is None, "the router died"
        assert b.stop() == (0, "")


@pytest.fixture
def open_broker(build):
    with Broker(build, config="[access]\nallow-guest-user = true\n") as b:
        yield b
        assert b.proc.poll() is None, "the router died"
        assert b.stop() == (0, "")


@pytest.fixture
def witness(broker):
    """A client that must not notice: it is answered before, and after, what the test does."""
    c = broker.client()
    assert c.rpc("broker.ping").errnum == 0
    yield c
    assert c.rpc("broker.ping", {"still": "here"}).json["still"] == "here"


@contextlib.contextmanager
def as_user(uid):
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def assert_dropped(broker, client, reason):
    """Dropped, and exactly one record says why."""
    assert client.is_dropped()
    (record,) = wait_until("the record", lambda: broker.logged(BAD_PEER))
    assert reason in record and f"pid {os.getpid()}" in record and f"user {os.geteuid()}" in record


GARBAGE = {
    "garbage": b"GET / HTTP/1.1\r\n\r\n",
    "one byte": b"\xff",
    "half a magic": MAGIC[:2],
    "magic alone": MAGIC,
    "zeros": bytes(100),
    "length beyond the record": MAGIC + struct.pack(">I", 1 << 31) + b"\0" * 8,
    "length short of the record": MAGIC + struct.pack(">I", 1) + b"\0" * 8,
    "half a message": encode()[: len(encode()) // 2],
    "one byte too few": encode()[:-1],
    "one byte too many": encode() + b"\0",
    "wrong version": encode(version=2),
    "wrong cookie": encode(magic=0x8F),
    "no type": encode(type=0),
    "two types": encode(type=3),
    "a request without a topic": encode(topic=None),
    "an empty topic": encode(topic=""),
    "a topic with a control character": encode(topic="broker.\x01ping"),
    "routes without an end": MAGIC + struct.pack(">I", 6) + part(b"abcde"),
    "17 hops": encode(routes=[b"hop"] * 17),
    "a hop of 65 bytes": encode(routes=[b"h" * 65]),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_what_is_no_message_ends_the_connection(broker, witness, what):
    c = broker.client()
    c.send(GARBAGE[what])
    assert_dropped(broker, c, "")


def test_a_zero_length_record_ends_the_connection_and_is_not_taken_for_its_end(broker, witness):
    c = broker.client()
    c.send(b"")
    assert_dropped(broker, c, "zero-length")


def test_a_client_that_just_closes_is_no_offender(broker, witness):
    c = broker.client()
    c.rpc("broker.ping")
    c.close()
    other = broker.client()
    wait_until("the router sees it", lambda: other.rpc("broker.stats-get").json["router"]["clients"] == 2)
    assert broker.logged(BAD_PEER) == []


def test_a_record_longer_than_any_message_ends_the_connection(broker, witness):
    c = broker.client()
    c.s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    c.send(encode(payload=b"x" * 180_000))
    assert_dropped(broker, c, "too large")


def test_a_topic_of_a_hundred_kilobytes_ends_the_connection(broker, witness):
    c = broker.client()
    c.send(encode(topic="broker." + "x" * 100_000))
    assert_dropped(broker, c, "")


def large(fds, topic="broker.ping"):
    """A request whose payload is said to be in a descriptor."""
    return dict(data=encode(topic=topic, payload=b""), fds=fds)


def test_a_sealed_memfd_is_taken(broker, witness):
    c = broker.client()
    text = json.dumps({"big": "x" * 100_000}).encode() + b"\0"
    fd = memfd(text)
    c.send(**large([fd]))
    os.close(fd)
    m = c.recv()
    assert m.errnum == 0
    assert len(json.loads(m.fd_payload.rstrip(b"\0"))["big"]) == 100_000


@pytest.mark.parametrize("seals", [0, 1, 1 | 2 | 4, 2 | 4 | 8])
def test_a_memfd_without_all_four_seals_ends_the_connection(broker, witness, seals):
    c = broker.client()
    fd = memfd(b"x" * 100_000, seals)
    c.send(**large([fd]))
    os.close(fd)
    assert_dropped(broker, c, "seal")


def odd_descriptors():
    r, w = os.pipe()
    yield "pipe", r
    yield "directory", os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    yield "O_PATH", os.open("/etc/passwd", os.O_PATH)
    yield "file", os.open("/etc/passwd", os.O_RDONLY)
    yield "device", os.open("/dev/zero", os.O_RDONLY)
    yield "socket", socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).detach()
    os.close(w)


def test_descriptors_that_are_no_memfd_end_the_connection(broker, witness):
    for n, (what, fd) in enumerate(odd_descriptors(), 1):
        c = broker.client()
        c.send(**large([fd]))
        os.close(fd)
        assert c.is_dropped(), what
        wait_until(f"the record of {what}", lambda: len(broker.logged(BAD_PEER)) == n)


def open_fds(broker):
    return len(os.listdir(f"/proc/{broker.proc.pid}/fd"))


@pytest.mark.parametrize("count", [2, 253])
def test_more_than_one_descriptor_ends_the_connection_and_none_is_kept(broker, witness, count):
    before = open_fds(broker)
    c = broker.client()
    fd = memfd(b"x" * 100_000)
    c.send(**large([fd] * count))
    os.close(fd)
    assert_dropped(broker, c, "descriptor")
    assert open_fds(broker) == before


def test_a_descriptor_where_none_belongs_ends_the_connection(broker, witness):
    c = broker.client()
    fd = memfd(b"x")
    c.send(encode(), fds=[fd])
    os.close(fd)
    assert_dropped(broker, c, "")


def test_a_response_without_a_request_ends_the_connection(broker, witness):
    c = broker.client()
    c.send(encode(type=RESPONSE, routes=[b"0123456789abcdef"], aux2=1))
    assert_dropped(broker, c, "asked nothing")


def test_a_response_without_a_route_ends_the_connection(broker, witness):
    c = broker.client()
    c.send(encode(type=RESPONSE))
    assert_dropped(broker, c, "without a route")


def test_a_request_with_a_forged_route_ends_the_connection(broker, witness):
    c = broker.client()
    c.send(encode(routes=[b"somebody"]))
    assert_dropped(broker, c, "route stack")


def test_a_control_message_ends_the_connection(broker, witness):
    c = broker.client()
    c.send(encode(type=CONTROL, topic=None, payload=None))
    assert_dropped(broker, c, "")


def registered(broker, name="echo"):
    """A service that answers only when it is told to."""
    c = broker.client()
    assert c.rpc("service.add", {"service": name}).errnum == 0
    return c


def answer(service, m, **kw):
    service.send(encode(type=RESPONSE, topic=m.topic, routes=m.routes, aux2=m.matchtag, **kw))


def test_a_reused_matchtag_ends_the_connection(broker, witness):
    service = registered(broker)
    c = broker.client()
    c.send(topic="echo.x", aux2=7)
    m = service.recv()
    assert m.matchtag == 7
    c.send(topic="echo.x", aux2=7)
    assert_dropped(broker, c, "matchtag")
    assert service.recv().topic == "echo.disconnect"


def test_a_matchtag_may_be_used_again_after_its_answer(broker, witness):
    service = registered(broker)
    c = broker.client()
    for _ in range(3):
        c.send(topic="echo.x", aux2=7)
        answer(service, service.recv())
        assert c.recv().matchtag == 7


def test_a_second_answer_to_one_request_does_not_reach_the_client(broker, witness):
    service = registered(broker)
    c = broker.client()
    c.send(topic="echo.x", aux2=7)
    m = service.recv()
    answer(service, m)
    answer(service, m, aux1=5)
    assert c.recv().errnum == 0
    assert c.rpc("broker.ping").errnum == 0  # comes next: nothing lay in between
    assert c.rpc("broker.stats-get").json["router"]["orphans"] == 1


def test_a_service_cannot_answer_a_client_that_asked_another(broker, witness):
    good, evil = registered(broker, "good"), registered(broker, "evil")
    c, d = broker.client(), broker.client()
    c.send(topic="good.x", aux2=7)
    m = good.recv()
    d.send(topic="evil.x", aux2=7)
    evil.recv()
    answer(evil, m, payload=b"forged\0")
    answer(good, m, payload=b"true\0")
    assert c.recv().text == "true"


def test_an_answer_under_another_topic_ends_the_connection_of_the_service(broker, witness):
    service = registered(broker)
    c = broker.client()
    c.send(topic="echo.x", aux2=7)
    m = service.recv()
    service.send(encode(type=RESPONSE, topic="echo.y", routes=m.routes, aux2=m.matchtag))
    assert_dropped(broker, service, "another topic")
    assert c.recv().errnum == 104


def test_a_service_answers_without_matchtag_in_its_own_name_only(broker, witness):
    """sched.alloc and job-exec.start are answered by matchtag 0: who was asked something else cannot forge them."""
    good, evil = registered(broker, "good"), registered(broker, "evil")
    c = broker.client()
    c.send(topic="good.x", aux2=0)
    c.send(topic="evil.x", aux2=0)
    m = good.recv()
    evil.recv()
    evil.send(encode(type=RESPONSE, topic="good.x", routes=m.routes, aux2=0, payload=b"forged\0"))
    assert evil.rpc("broker.ping").errnum == 0  # behind it: the router has handled it
    evil.send(encode(type=RESPONSE, topic="evil.x", routes=m.routes, aux2=0, payload=b"evil\0"))
    good.send(encode(type=RESPONSE, topic="good.x", routes=m.routes, aux2=0, payload=b"true\0"))
    assert sorted((m.topic, m.text) for m in (c.recv(), c.recv())) == [("evil.x", "evil"), ("good.x", "true")]


def test_the_end_of_a_service_fails_its_requests_at_once(broker, witness):
    service = registered(broker)
    c = broker.client()
    for tag in (1, 2):
        c.send(topic="echo.x", aux2=tag, flags=STREAMING if tag == 2 else 0)
        service.recv()
    service.close()
    errors = {m.matchtag: m.errnum for m in (c.recv(), c.recv())}
    assert errors == {1: 104, 2: 104}
    assert c.rpc("echo.x").errnum == 38


def test_a_service_hears_that_its_client_left(broker, witness):
    service = registered(broker)
    c = broker.client()
    c.send(topic="echo.x", aux2=1)
    m = service.recv()
    c.close()
    notice = service.recv()
    assert notice.topic == "echo.disconnect" and notice.routes == m.routes and notice.flags & NORESPONSE
    assert notice.userid == os.geteuid()


def test_the_wrong_way_in_and_out_of_a_name(broker, witness):
    c = broker.client()
    assert c.rpc("service.add", {"service": "attr"}).errnum == 17
    for name in ("", "a.b", "../local", "x" * 65, "a b"):
        assert c.rpc("service.add", {"service": name}).errnum == 22
    assert c.rpc("service.remove", {"service": "attr"}).errnum == 2
    for topic in ("../local.x", "..", "a/b.c", "x" * 65 + ".y", ".x"):
        assert c.rpc(topic).errnum == 38
    assert c.rpc("nothing.x").errnum == 38
    assert c.rpc("broker.ping", aux1=1).errnum == 113
    assert c.rpc("broker.ping", aux1=0, flags=UPSTREAM).errnum == 113
    assert c.rpc("broker.ping", aux1=0).errnum == 0


def test_the_owner_is_believed_about_userids(broker, witness):
    c = broker.client()
    assert c.rpc("broker.ping").json["userid"] == os.geteuid()
    assert c.rpc("broker.ping", userid=777, rolemask=2).json["userid"] == 777
    assert c.rpc("attr.set", {"name": "x", "value": "y"}, userid=777, rolemask=2).errnum == 1


PAYLOADS = {
    "no JSON": b"{",
    "an array": b"[]\0",
    "a bare value": b"1\0",
    "duplicate keys": b'{"name":"rank","name":"size"}\0',
    "a NUL in a string": b'{"name":"ra\\u0000nk"}\0',
    "a NUL in between": b'{"name":\0"rank"}\0',
    "bad UTF-8": b'{"name":"\xff\xfe"}\0',
    "trailing bytes": b'{"name":"rank"}x\0',
    "10,000 levels": b'{"name":' + b"[" * 10_000 + b"]" * 10_000 + b"}\0",
    "1e999": b'{"name":1e999}\0',
    "NaN": b'{"name":NaN}\0',
    "the wrong type": b'{"name":1}\0',
    "nothing": b"",
}


@pytest.mark.parametrize("what", PAYLOADS)
def test_a_bad_payload_is_answered_eproto_with_a_sentence(broker, witness, what):
    c = broker.client()
    c.send(topic="attr.get", payload=PAYLOADS[what], aux2=3)
    m = c.recv()
    assert m.errnum == 71 and m.text.startswith("attr.get: ")
    assert c.rpc("attr.get", {"name": "rank"}).json["value"] == "0"


def test_a_client_that_does_not_read_events_is_dropped_and_others_get_them_all(broker, witness):
    slow, good = broker.client(), broker.client()
    for c in (slow, good):
        assert c.rpc("event.subscribe", {"topic": "flood"}).errnum == 0
    publisher = broker.client()
    got = []

    def read():
        while len(got) < 3000:
            got.append(good.recv().aux1)

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(3000):
        publisher.send(type=EVENT, topic="flood", payload=b"x" * 60_000, aux2=0)
        if i % 100 == 0:  # who reads is allowed to be behind, not to be outrun by 64 MiB
            wait_until("the reader", lambda: len(got) >= i - 200)
    reader.join(60)
    assert got == list(range(1, 3001))
    assert slow.is_dropped()
    (record,) = wait_until("the record", lambda: broker.logged(SLOW_CLIENT))
    assert "does not read" in record and f"pid {os.getpid()}" in record and f"user {os.geteuid()}" in record


def test_a_client_that_does_not_read_answers_is_dropped(broker, witness):
    c = broker.client()
    payload = json.dumps({"x": "y" * 60_000}).encode() + b"\0"
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for i in range(1, 5000):
            c.send(topic="broker.ping", payload=payload, aux2=i)
    assert c.is_dropped()
    wait_until("the record", lambda: len(broker.logged(SLOW_CLIENT)) == 1)


def test_a_service_that_does_not_read_costs_its_callers_eagain_and_nobody_else(broker, witness):
    service = registered(broker)
    c = broker.client()
    payload = b"x" * 60_000
    for i in range(1, 1500):
        c.send(topic="echo.x", payload=payload, aux2=i)
    m = c.recv()
    assert m.errnum == 11 and "try again" in m.text
    assert service.recv().matchtag == 1  # it is alive, and in order
    assert broker.logged(SLOW_CLIENT) == []


def test_no_more_than_65536_requests_in_flight(broker, witness):
    service = registered(broker)
    c = broker.client()
    seen = []

    def drain():
        while len(seen) < 65536:
            seen.append(service.recv().matchtag)

    reader = threading.Thread(target=drain)
    reader.start()
    for i in range(1, 65538):
        c.send(topic="echo.x", payload=None, aux2=i)
    m = c.recv()
    assert m.matchtag == 65537 and m.errnum == 11
    reader.join(60)
    assert len(seen) == 65536


def test_one_who_floods_does_not_stop_the_others(broker, witness):
    c = broker.client()
    stop = threading.Event()

    def flood():
        i = 0
        c.s.setblocking(False)
        while not stop.is_set():
            i += 1
            with contextlib.suppress(BlockingIOError, ConnectionError):
                c.send(topic="broker.ping", aux2=0, flags=NORESPONSE)

    t = threading.Thread(target=flood)
    t.start()
    try:
        for _ in range(200):
            assert witness.rpc("broker.ping").errnum == 0
    finally:
        stop.set()
        t.join()


def test_private_events_and_sequence(broker, witness):
    a = broker.client()
    assert a.rpc("event.subscribe", {"topic": ""}).errnum == 0
    first = witness.rpc("event.publish", {"topic": "t.1", "flags": 0, "payload": "aGk="})
    assert first.errnum == 0
    m = a.recv()
    assert (m.type, m.topic, m.payload, m.aux1) == (EVENT, "t.1", b"hi", first.json["seq"])
    second = witness.rpc("event.publish", {"topic": "t.2", "flags": PRIVATE})
    assert second.json["seq"] == first.json["seq"] + 1
    assert a.recv().topic == "t.2"
    assert witness.rpc("event.publish", {"topic": "t", "flags": 0, "payload": "?"}).errnum == 22
    assert witness.rpc("event.publish", {"topic": "t", "flags": STREAMING}).errnum == 22


def test_a_service_socket_is_dialled_and_its_loss_is_answered_and_logged(broker, witness):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(broker.dir / "node" / "toy"))
    listener.listen(5)
    listener.settimeout(60)
    assert {"name": "toy", "state": "idle", "messages": 0} in witness.rpc("broker.service-list").json["services"]
    c = broker.client()
    c.send(topic="toy.x", aux2=9)
    conn, _ = listener.accept()
    m = Message(conn.recv(1 << 18))
    assert m.topic == "toy.x" and len(m.routes) == 1
    conn.send(encode(type=RESPONSE, topic=m.topic, routes=m.routes, aux2=m.matchtag))
    assert c.recv().errnum == 0
    c.send(topic="toy.x", aux2=10)
    conn.recv(1 << 18)
    conn.close()
    m = c.recv()
    assert (m.matchtag, m.errnum, m.text) == (10, 104, "flux-toy went away")
    wait_until("the record", lambda: len(broker.logged(SERVICE_LOST)) == 1)
    listener.close()
    assert c.rpc("toy.x").errnum == 38  # refused: as if it were not there


def test_a_dialled_service_that_sends_requests_is_dropped(broker, witness):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(broker.dir / "node" / "toy"))
    listener.listen(5)
    c = broker.client()
    c.send(topic="toy.x", aux2=9)
    conn, _ = listener.accept()
    conn.recv(1 << 18)
    conn.send(encode(topic="attr.set", payload=b'{"name":"x","value":"y"}\0'))
    assert c.recv().errnum == 104
    assert "something other than a response" in wait_until("the record", lambda: broker.logged(BAD_PEER))[0]
    listener.close()


def test_a_bad_file_keeps_the_old_configuration_and_is_named(broker, witness):
    (broker.conf / "a.toml").write_text("[kvs]\nx = 1\n")
    assert witness.rpc("config.reload").errnum == 0
    assert witness.rpc("config.get").json == {"kvs": {"x": 1}}
    (broker.conf / "b.toml").write_text("[kvs]\ny = \n")
    m = witness.rpc("config.reload")
    assert m.errnum == 22 and "b.toml:2" in m.text
    assert witness.rpc("config.get").json == {"kvs": {"x": 1}}
    wait_until("the record", lambda: len(broker.logged(CONFIG_BAD)) == 1)
    (broker.conf / "b.toml").write_text("[access]\nallow-guest-user = \"yes\"\n")
    assert "allow-guest-user" in witness.rpc("config.reload").text
    (broker.conf / "b.toml").write_text("[kvs]\ny = 2\n")
    broker.proc.send_signal(signal.SIGHUP)
    wait_until("the reload", lambda: witness.rpc("config.get").json == {"kvs": {"x": 1, "y": 2}})


def test_log_lines_end_in_the_log_with_the_userid(broker, witness):
    line = b"<12>1 2026-01-01T00:00:00.0Z 0 my-tool 1 - - a line\n"
    witness.send(topic="log.append", payload=line, flags=NORESPONSE, aux2=0)
    witness.send(topic="log.append", payload=b"no syslog", flags=NORESPONSE, aux2=0)
    assert witness.rpc("broker.ping").errnum == 0
    (r,) = wait_until("the record", lambda: [r for r in broker.log() if r["MESSAGE"] == "a line"])
    assert r["PRIORITY"] == "4" and r["FLUX_USERID"] == str(os.geteuid()) and r["SYSLOG_IDENTIFIER"] == "my-tool"


def test_sigterm_answers_what_is_in_flight_and_ends_with_status_0(build):
    with Broker(build) as b:
        service, c = registered(b), b.client()
        c.send(topic="echo.x", aux2=1)
        m = service.recv()
        b.proc.terminate()
        wait_until("stopping", lambda: any("stopping" in r["MESSAGE"] for r in b.log()))
        answer(service, m)
        assert c.recv().errnum == 0
        assert b.proc.wait(60) == 0


def test_it_does_not_start_without_a_socket_or_with_a_bad_configuration(build):
    with Broker(build, config="a = ") as b:
        assert b.proc.wait(60) == 1
        assert "test.toml:1" in b.logged(CONFIG_BAD)[0]
    with Broker(build, env={"LISTEN_FDS": "0"}) as b:
        assert b.proc.wait(60) == 1
        assert any("LISTEN_FDS" in r["MESSAGE"] for r in b.log())


# --- other users


@needs_root
def test_a_guest_is_refused_at_the_door(broker, witness):
    with as_user(GUEST):
        c = broker.client()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        c.send()
    m = c.recv()
    assert (m.type, m.topic, m.errnum, m.matchtag) == (RESPONSE, "broker.refuse", 1, 0)
    assert m.text == "this instance belongs to user root and admits its owner only (access.allow-guest-user is not set)"
    assert c.is_dropped()
    (record,) = wait_until("the record", lambda: broker.logged(BAD_PEER))
    assert str(GUEST) in record and "allow-guest-user" in record


@needs_root
def test_a_command_of_a_refused_user_says_who_is_admitted(broker, build):
    uri = f"local://{broker.dir}/local"
    fluxctl = str(build / "fluxctl" / "fluxctl")
    for args in (["jobs"], ["getattr", "rank"], ["ping", "broker"], ["submit", "true"], ["kvs", "get", "x"], ["run", "true"]):
        r = subprocess.run([fluxctl, *args], env={"FLUX_URI": uri, "PATH": "/usr/bin:/bin"}, user=GUEST, group=GUEST,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert r.returncode != 0 and "belongs to user root and admits its owner only" in r.stderr, (args, r)


@needs_root
def test_one_connection_too_many_is_refused_with_a_sentence(open_broker):
    with as_user(GUEST):
        clients = [open_broker.client() for _ in range(513)]
    m = clients[-1].recv()
    assert (m.topic, m.errnum) == ("broker.refuse", 24) and "too many connections" in m.text
    assert clients[-1].is_dropped()
    assert clients[0].rpc("broker.ping").errnum == 0
    for c in clients:
        c.close()


@needs_root
def test_a_guest_cannot_forge_who_he_is(open_broker):
    with as_user(GUEST):
        c = open_broker.client()
    for userid, rolemask in ((0, 1), (0, ANY), (65534, 1), (ANY, 1), (1 << 31, 3)):
        m = c.rpc("broker.ping", userid=userid, rolemask=rolemask)
        assert m.json["userid"] == GUEST and not m.json["rolemask"] & 1
        assert c.rpc("attr.set", {"name": "x", "value": "y"}, userid=userid, rolemask=rolemask).errnum == 1
        assert c.rpc("config.reload", userid=userid, rolemask=rolemask).errnum == 1
        assert c.rpc("broker.shutdown", userid=userid, rolemask=rolemask).errnum == 1


@needs_root
def test_a_guest_registers_only_names_of_his_own(open_broker):
    with as_user(GUEST):
        c = open_broker.client()
    for name in ("sched", f"{GUEST}", f"{GUEST}-", f"{GUEST}0-x", "0-x"):
        assert c.rpc("service.add", {"service": name}).errnum == 1
    assert c.rpc("service.add", {"service": f"{GUEST}-shell-1"}).errnum == 0


@needs_root
def test_the_services_of_a_guest_are_limited_and_given_back(open_broker):
    with as_user(GUEST):
        c, d = open_broker.client(), open_broker.client()
    for i in range(1024):
        assert c.rpc("service.add", {"service": f"{GUEST}-{i}"}).errnum == 0
    m = d.rpc("service.add", {"service": f"{GUEST}-more"})  # the limit is the user's, not the connection's
    assert m.errnum == 28 and str(GUEST) in m.text
    assert c.rpc("service.remove", {"service": f"{GUEST}-7"}).errnum == 0
    assert d.rpc("service.add", {"service": f"{GUEST}-more"}).errnum == 0
    c.close()
    wait_until("the names to be free", lambda: d.rpc("service.add", {"service": f"{GUEST}-8"}).errnum == 0)
    assert open_broker.client().rpc("service.add", {"service": "mine"}).errnum == 0


@needs_root
def test_a_guest_sees_no_private_events_of_others(open_broker):
    owner = open_broker.client()
    with as_user(GUEST):
        c = open_broker.client()
    with as_user(GUEST + 1):
        other = open_broker.client()
    for x in (c, other):
        assert x.rpc("event.subscribe", {"topic": ""}).errnum == 0
    assert c.rpc("broker.ping").errnum == 0
    assert owner.rpc("event.publish", {"topic": "secret", "flags": PRIVATE}).errnum == 0
    c.send(type=EVENT, topic="mine", payload=None, flags=PRIVATE, aux2=0)
    assert c.recv().topic == "mine"
    assert owner.rpc("event.publish", {"topic": "open", "flags": 0}).errnum == 0
    assert c.recv().topic == "open"
    assert other.recv().topic == "open"


@needs_root
def test_a_guest_who_exhausts_his_quota_does_not_stop_the_owner(open_broker):
    service = registered(open_broker)
    owner = open_broker.client()
    with as_user(GUEST):
        c = open_broker.client()
    got = []

    def drain():
        while len(got) < 8192 + 1:
            got.append(service.recv())

    reader = threading.Thread(target=drain)
    reader.start()
    for i in range(1, 8192 + 2):
        c.send(topic="echo.x", payload=None, aux2=i)
    m = c.recv()
    assert m.errnum == 11 and f"user {GUEST}" in m.text
    owner.send(topic="echo.owner", payload=None, aux2=1)
    reader.join(60)
    answer(service, got[-1])
    assert got[-1].topic == "echo.owner" and owner.recv().errnum == 0


@needs_root
def test_the_connections_of_a_guest_are_limited(open_broker):
    clients = []
    with as_user(GUEST):
        for _ in range(512):
            clients.append(open_broker.client())
        assert clients[-1].rpc("broker.ping").errnum == 0
        one_more = open_broker.client()
    assert one_more.is_dropped()
    assert open_broker.client().rpc("broker.ping").errnum == 0
