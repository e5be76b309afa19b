# SPDX-License-Identifier: LGPL-3.0-or-later
"""What two routers say when one of them is restarted in good order, and what becomes of requests when a neighbour does not keep to
it. The neighbour is played by the test."""
import contextlib
import errno
import os
import signal

import pytest
from embedded import wait_until
from rawclient import RESPONSE, Message, encode
from test_hostile import build  # noqa: F401  (a fixture)
from test_tree import Tree, client_at
from test_tree_config import configure
from zmtp import GOODBYE, HELLO, PAUSE, PAUSED, WELCOME, Neighbour, hello

UNREACHABLE = errno.EHOSTUNREACH


@contextlib.contextmanager
def leader(build, tmp_path, *args):  # noqa: F811
    """Rank 0 of an instance of three, whose other nodes do not come by themselves."""
    where = f"ipc://{tmp_path}/tbon"
    conf = configure(build, tmp_path / "conf", f'{{ host = "a[0-2]", bind = "{where}", connect = "{where}" }}')
    toml = conf / "bootstrap.toml"
    toml.write_text("\n".join(line for line in toml.read_text().splitlines() if "curve_cert" not in line))
    with Tree(build, tmp_path, size=1, args=["--test-hosts=a0", "-c", conf, *args], topo=None) as t:
        t.port, t.neighbours = f"{tmp_path}/tbon", []
        try:
            yield t
        finally:
            for n in t.neighbours:  # nobody is to be waited for at the end
                n.close()


def come(t, version=(1, 2), session=None):
    n = Neighbour(t.port)
    t.neighbours.append(n)
    n.session = session or n.id.hex()
    n.say(HELLO, hello(1, 3, version=version, host="it", **({"session": session} if session else {})))
    kind, what = n.control()
    assert kind == WELCOME
    return n, what


def come_back(t, session):
    """To the next process; the one before may still be about to end."""
    def again():
        try:
            return come(t, session=session)
        except (OSError, EOFError):
            return None
    return wait_until("the next process", again)


def ask(t, tag):
    """A request to the neighbour's node that waits for its answer."""
    c = client_at(t, 0)
    c.send(topic="far.away", aux1=1, aux2=tag)
    assert c.rpc("broker.ping").errnum == 0
    return c


def request(n):
    """The next of ours; services of rank 0 ask it, too."""
    m = Message(n.message())
    while m.topic != "far.away":
        m = Message(n.message())
    return m


def answer(n, m):
    n.send(encode(type=RESPONSE, topic=m.topic, aux1=0, aux2=m.matchtag, routes=m.routes, payload=b'{"from":"afar"}\0'))


def terminate(t):
    (old,) = t.daemon_pids("broker")
    os.kill(old, signal.SIGTERM)
    return old


def wait_for_next(t, old):
    wait_until("the next process", lambda: t.daemon_pids("broker") not in ([], [old]))


def test_a_session_goes_on_with_the_next_process_and_what_was_said_meanwhile(build, tmp_path):  # noqa: F811
    with leader(build, tmp_path) as t:
        n, _ = come(t)
        first = ask(t, 5)
        m = request(n)
        old = terminate(t)
        assert n.control()[0] == PAUSE
        answer(n, m)  # the last it hears from us
        n.say(PAUSED, b"")
        wait_for_next(t, old)
        second = ask(t, 6)
        n, what = come_back(t, n.session)
        assert what["session"] == n.session
        third = ask(t, 7)
        for tag in (6, 7):
            m = request(n)
            assert m.matchtag == tag
            answer(n, m)
        assert [c.recv().json for c in (first, second, third)] == [{"from": "afar"}] * 3


def test_a_neighbour_of_a_former_version_is_left_as_before(build, tmp_path):  # noqa: F811
    with leader(build, tmp_path) as t:
        n, what = come(t, version=(1, 1))
        assert what["version"] == [1, 2]
        c = ask(t, 5)
        request(n)
        terminate(t)
        assert n.control()[0] == GOODBYE
        assert c.recv().errnum == UNREACHABLE


def test_without_restart_timeout_nobody_is_asked_to_wait(build, tmp_path):  # noqa: F811
    with leader(build, tmp_path, "-Stbon.restart_timeout=0") as t:
        n, what = come(t)
        assert what["version"] == [1, 1]
        c = ask(t, 5)
        request(n)
        terminate(t)
        assert n.control()[0] == GOODBYE
        assert c.recv().errnum == UNREACHABLE


@pytest.mark.parametrize("how", ["not at all", "under another session"])
def test_a_neighbour_that_does_not_come_back_to_the_next_process_is_lost(build, tmp_path, how):  # noqa: F811
    with leader(build, tmp_path, "-Stbon.restart_timeout=300ms") as t:
        n, _ = come(t)
        c = ask(t, 5)
        old = terminate(t)
        while n.control()[0] != PAUSE:
            pass
        n.say(PAUSED, b"")
        wait_for_next(t, old)
        if how == "under another session":
            n, what = come_back(t, "00" * 16)
            assert "session" not in what
        assert c.recv().errnum == UNREACHABLE


def test_what_is_sent_to_a_neighbour_that_is_being_restarted_waits_for_it(build, tmp_path):  # noqa: F811
    with leader(build, tmp_path) as t:
        n, _ = come(t)
        first = ask(t, 5)
        m = request(n)
        n.say(PAUSE, b"")
        while n.control()[0] != PAUSED:
            pass
        second = ask(t, 6)
        n.close()
        assert "1 it: lost" not in t.say(0, "overlay", "status")
        n, what = come(t, session=n.session)  # as another process
        assert what["session"] == n.session
        answer(n, request(n))
        answer(n, m)  # what the one before was asked
        assert [c.recv().json for c in (first, second)] == [{"from": "afar"}] * 2


@pytest.mark.parametrize("how", ["not at all", "as a new node"])
def test_a_neighbour_that_is_not_there_again_after_its_pause_is_lost(build, tmp_path, how):  # noqa: F811
    with leader(build, tmp_path, "-Stbon.restart_timeout=300ms") as t:
        n, _ = come(t)
        first = ask(t, 5)
        n.say(PAUSE, b"")
        while n.control()[0] != PAUSED:
            pass
        second = ask(t, 6)
        n.close()
        if how == "as a new node":
            n, what = come(t)
            assert "session" not in what
        assert [c.recv().errnum for c in (first, second)] == [UNREACHABLE] * 2
        if how == "not at all":
            assert "it did not come back" in t.say(0, "overlay", "status")


def test_nobody_waits_for_a_router_that_is_stopped_for_good(build, tmp_path):  # noqa: F811
    with leader(build, tmp_path) as t:
        n, _ = come(t)
        c = ask(t, 5)
        request(n)
        (old,) = t.daemon_pids("broker")
        os.kill(old, signal.SIGPWR)
        assert n.control()[0] == GOODBYE
        assert c.recv().errnum == UNREACHABLE
        wait_for_next(t, old)  # its service manager thinks otherwise
