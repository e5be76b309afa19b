# SPDX-License-Identifier: LGPL-3.0-or-later
"""Who comes to the port of a router and is not wanted: another version, a rank that is taken, garbage by the thousand. What is
asked of each: a sentence, bounded memory, and that nobody else notices."""
import contextlib
import os
import random
import resource
import signal
import socket
import subprocess
import time

import pytest
from embedded import wait_until
from rawclient import Client
from soak_checks import is_sanitized
from test_hostile import build  # noqa: F401  (a fixture)
from test_tree import Tree
from test_tree_config import configure, free_ports
from zmtp import HELLO, REFUSED, WELCOME, Neighbour, frame, greeting, hello, prop

@pytest.fixture
def leader(build, tmp_path):  # noqa: F811
    """Rank 0 of an instance of three, whose other nodes do not come."""
    where = f"ipc://{tmp_path}/tbon"
    conf = configure(build, tmp_path / "conf", f'{{ host = "a[0-2]", bind = "{where}", connect = "{where}" }}')
    toml = conf / "bootstrap.toml"
    toml.write_text("\n".join(line for line in toml.read_text().splitlines() if "curve_cert" not in line))
    with Tree(build, tmp_path, size=1, args=["--test-hosts=a0", "-c", conf], topo=None) as t:
        t.port = f"{tmp_path}/tbon"
        yield t


@pytest.fixture
def port(build, tmp_path):  # noqa: F811
    """(rank 0 of two nodes that are joined by TCP, its port)"""
    (a,) = free_ports(1)
    conf = configure(build, tmp_path / "conf", f'{{ host = "a[0-1]", bind = "tcp://127.0.0.1:{a}", connect = "tcp://127.0.0.1:{a}" }}')
    with Tree(build, tmp_path, size=2, args=["--test-hosts=a[0-1]", "-c", conf], topo=None) as t:
        wait_until("all to join", lambda: t.say(0, "overlay", "status", "-s") == "full")
        yield t, a


def come(leader, **kw):
    n = Neighbour(leader.port)
    n.say(HELLO, hello(**kw))
    return n, n.control()


@pytest.mark.parametrize("version,upgrade", [((0, 0), "upgrade relic"), ((3, 4), "upgrade ")])
def test_another_version_of_the_protocol_is_refused_and_told_who_is_too_old(leader, version, upgrade):
    n, (kind, what) = come(leader, rank=1, size=3, version=version, host="relic")
    assert kind == REFUSED
    assert f"relic speaks versions {version[0]} to {version[1]} of the protocol between routers" in what["reason"]
    assert upgrade in what["reason"] and ("upgrade relic" in what["reason"]) == (version[1] == 0)
    assert "refused: relic speaks versions" in leader.say(0, "overlay", "status")
    n.close()


def test_versions_that_overlap_work_together(leader):
    n, (kind, what) = come(leader, rank=1, size=3, version=(0, 7), host="new", something="more")
    assert kind == WELCOME and what["version"][0] <= 7
    wait_until("it to be seen", lambda: "1 new: " in leader.say(0, "overlay", "status"))
    n.close()
    wait_until("it to be lost", lambda: "1 new: lost" in leader.say(0, "overlay", "status"))


@pytest.mark.parametrize("change,reason", [
    ({"rank": 7}, "rank 7 is not directly below rank 0"),
    ({"rank": 0}, "rank 0 is not directly below rank 0"),
    ({"size": 4}, "is configured for an instance of 4 nodes"),
])
def test_who_does_not_belong_there_is_refused_with_the_reason(leader, change, reason):
    n, (kind, what) = come(leader, **{"rank": 1, "size": 3, **change})
    assert kind == REFUSED and reason in what["reason"]
    n.close()


def test_a_rank_that_is_taken_is_refused_while_its_node_lives_and_no_longer(leader):
    first, (kind, _) = come(leader, rank=1, size=3, host="first")
    assert kind == WELCOME
    second, (kind, what) = come(leader, rank=1, size=3, host="second")
    assert kind == REFUSED and what["reason"] == "rank 1 is connected already, by first"
    assert "1 first: " in leader.say(0, "overlay", "status")
    first.close()

    def let_in():
        second.say(HELLO, hello(1, 3, host="second"))
        return second.control()[0] == WELCOME

    wait_until("the second to be let in", let_in)
    second.close()


def test_nonsense_in_the_place_of_a_greeting_is_not_answered(leader):
    n = Neighbour(leader.port)
    for said in [b"", b"\x7f", b"\x7f\x01", b"\x7f\x01{}", b"\x7f\x01" + b"[" * 60000, b"\x7f\xff", b"\x8e\x01", os.urandom(1000),
                 b"\x7f\x04" + b"\xff" * 8, b"\x7f\x05" + b"x" * 1000]:
        n.send(said)
    n.say(HELLO, hello(1, 3, host="late"))
    assert n.control()[0] == WELCOME  # the first answer is to the greeting
    n.close()


def test_two_nodes_of_one_name_the_second_stays_outside_until_the_first_is_gone(build, tmp_path):  # noqa: F811
    (a,) = free_ports(1)
    conf = configure(build, tmp_path / "conf", f'{{ host = "a[0-1]", bind = "tcp://127.0.0.1:{a}", connect = "tcp://127.0.0.1:{a}" }}')
    (tmp_path / "twin").mkdir()
    with Tree(build, tmp_path, size=2, args=["--test-hosts=a[0-1]", "-c", conf], topo=None) as t:
        wait_until("all to join", lambda: t.say(0, "overlay", "status", "-s") == "full")
        with Tree(build, tmp_path / "twin", size=1, args=["--test-hosts=a1", "-c", conf], topo=None) as twin:
            wait_until("it to be refused", lambda: "rank 1 is connected already, by a1" in
                       open(f"{twin.node(0)}/log/broker.log").read())
            assert sorted(t.say(0, "run", "-N2", "-l", "echo", "here").splitlines()) == ["0: here", "1: here"]
            assert t.say(1, "ping", "-c1", "-r", 0, "broker")
            assert "is lost" not in t.say(0, "dmesg") and "are lost" not in t.say(0, "dmesg")


def rss(pid):
    return int(open(f"/proc/{pid}/smaps_rollup").read().split("Rss:")[1].split()[0])


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def garbage(rng):
    """What strangers say, of each kind that gets a step further into libzmq."""
    curve = greeting(b"CURVE").replace(b"\x03\x00", b"\x03\x01", 1)
    return [b"", b"\xff", bytes(rng.randrange(256) for _ in range(100)), b"GET / HTTP/1.1\r\n\r\n", greeting(), curve,
            greeting() + frame(b"\x05READY" + prop(b"Socket-Type", b"DEALER"), flags=4), curve + frame(b"\x05HELLO" + b"\0" * 194, flags=4),
            curve + frame(b"\x05HELLO" + bytes(rng.randrange(256) for _ in range(194)), flags=4),
            curve + b"\x06" + b"\xff" * 8, curve + frame(b"\x08INITIATE" + b"\0" * 300, flags=4)]


def test_garbage_ten_thousand_times_costs_bounded_memory_and_disturbs_nobody(port):
    t, number = port
    count = 10000
    pid, says, slowest = t.pid(0), garbage(random.Random(1)), 0.0

    def flood(n):
        nonlocal slowest
        for i in range(n):
            with socket.socket() as s:
                s.settimeout(60)
                s.connect(("127.0.0.1", number))
                with contextlib.suppress(ConnectionError):  # it may have had enough already
                    s.sendall(says[i % len(says)])
            if i % 100 == 0:
                began = time.monotonic()
                assert "1!broker.ping" in t.say(0, "ping", "-c1", "-r", 1, "broker")
                slowest = max(slowest, time.monotonic() - began)

    flood(200)
    before, began = rss(pid), time.monotonic()
    flood(count)
    seconds = time.monotonic() - began
    wait_until("all to be forgotten", lambda: fds(pid) < 60)
    after = rss(pid)
    print(f"{count} connections in {seconds:.1f} s, slowest command meanwhile {slowest * 1000:.0f} ms, memory {before} -> {after} KiB")
    assert is_sanitized(t) or after < before * 1.1 + 2048
    assert slowest < 30
    assert t.pid(0) == pid and t.say(0, "overlay", "status", "-s") == "full"
    assert "lost" not in t.say(0, "dmesg")
    assert t.say(0, "dmesg").count("tried to connect") < 40  # the log is no victim either


def test_five_hundred_who_connect_and_say_nothing_are_dropped_after_seconds(port):
    t, number = port
    pid = t.pid(0)
    before = fds(pid)
    silent = [socket.create_connection(("127.0.0.1", number)) for _ in range(500)]
    assert "1!broker.ping" in t.say(0, "ping", "-c1", "-r", 1, "broker")
    wait_until("them to be dropped", lambda: fds(pid) <= before + 5)
    for s in silent:
        s.settimeout(60)
        with contextlib.suppress(ConnectionError):
            while s.recv(4096):
                pass
        s.close()
    assert t.say(0, "overlay", "status", "-s") == "full"


def test_a_router_without_descriptors_serves_who_is_there_and_takes_nodes_again_when_there_are_some(port):
    t, number = port
    pid, inside = t.pid(0), Client(f"{t.node(0)}/local")
    assert inside.rpc("broker.ping").errnum == 0  # it is inside
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir(f"/proc/{pid}/fd")))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 4, old[1]))
    strangers = [socket.create_connection(("127.0.0.1", number)) for _ in range(50)]
    wait_until("all descriptors to be used", lambda: fds(pid) >= highest + 4)
    for _ in range(200):
        assert inside.rpc("broker.ping", {}, aux1=1).errnum == 0
    os.kill(t.pid(1), signal.SIGKILL)
    for s in strangers:
        s.close()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
    wait_until("rank 1 to join again", lambda: "has joined again" in t.say(0, "dmesg"))
    assert t.pid(0) == pid and inside.rpc("broker.ping", {}, aux1=1).errnum == 0
    inside.close()
