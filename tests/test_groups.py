# SPDX-License-Identifier: LGPL-3.0-or-later
"""Groups and barriers over the nodes of an instance: who is in them is known at rank 0, and it ends with the client, its
node or the way to it.

Seven nodes of this host in a binary tree: 0 above 1 and 2, 1 above 3 and 4, 2 above 5 and 6."""
import contextlib
import errno
import json
import os
import select
import signal

import pytest

from embedded import wait_until
from rawclient import STREAMING, Client
from test_handover import ManagedBroker
from test_hostile import GUEST, as_user, build, needs_root, open_broker  # noqa: F401  (some are fixtures)
from test_tree import SIZE, Tree


@pytest.fixture(scope="module")
def tree(build, tmp_path_factory):  # noqa: F811
    with Tree(build, tmp_path_factory.mktemp("groups")) as t:
        yield t


@pytest.fixture
def fragile(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path) as t:
        yield t


def at(tree, rank):
    return Client(f"{tree.node(rank)}/local")


def send(client, topic, payload, **kw):
    client.tag += 1
    client.send(topic=topic, payload=json.dumps(payload).encode() + b"\0", aux2=client.tag, **kw)


def join(client, name):
    return client.rpc("groups.join", {"name": name}).errnum


def watch(tree, rank, name):
    c = at(tree, rank)
    send(c, "groups.get", {"name": name}, flags=STREAMING)
    return c


def comes_to(watcher, members):
    """The next answers, until it is this."""
    while (m := watcher.recv()).json["members"] != members:
        assert m.errnum == 0


def enter(client, name, nprocs):
    send(client, "barrier.enter", {"name": name, "nprocs": nprocs})


def all_wait(tree, n):
    """Rank 0 knows of all of them."""
    wait_until(f"{n} to wait", lambda: at(tree, 0).rpc("broker.stats-get").json["barrier"]["waiting"] == n)


def outcome(client):
    m = client.recv()
    return m.errnum, m.text


def all_leave(clients):
    outcomes = [outcome(c) for c in clients]
    assert outcomes == [(0, "")] * len(clients)
    return True


# --- groups

def test_a_rank_is_in_a_group_while_a_client_of_it_is(tree):
    seen = [watch(tree, r, "alpha") for r in (0, 3)]
    for w in seen:
        comes_to(w, "")
    clients = [at(tree, r) for r in (0, 4, 5, 5)]
    assert [join(c, "alpha") for c in clients] == [0] * 4
    for w in seen:
        comes_to(w, "0,4-5")
    assert clients[1].rpc("groups.leave", {"name": "alpha"}).errnum == 0
    for w in seen:
        comes_to(w, "0,5")
    clients[2].close()
    clients[0].close()
    for w in seen:
        comes_to(w, "5")
    clients[3].close()
    for w in seen:
        comes_to(w, "")


def test_one_answer_tells_the_members_now(tree):
    assert at(tree, 6).rpc("groups.get", {"name": "nobody-is-here"}).json == {"members": ""}
    assert at(tree, 6).rpc("groups.get", {"name": "broker.online"}).json == {"members": "0-6"}


def test_what_is_wrong_with_a_group_is_said(tree):
    c = at(tree, 3)
    for name in ("", "a b", "ä", "x" * 129):
        m = c.rpc("groups.join", {"name": name})
        assert m.errnum == errno.EINVAL and "a name of a group has 1 to 128 letters" in m.text
    m = c.rpc("groups.join", {"name": "broker.online"})
    assert m.errnum == errno.EPERM and "the router itself decides" in m.text
    assert join(c, "twice") == 0
    m = c.rpc("groups.join", {"name": "twice"})
    assert m.errnum == errno.EEXIST and "in group twice already" in m.text
    m = c.rpc("groups.leave", {"name": "other"})
    assert m.errnum == errno.ENOENT and "not in group other" in m.text
    m = c.rpc("groups.join", {"name": "far"}, aux1=2)
    assert m.errnum == errno.EPERM and "only for clients of this node's router" in m.text
    for topic in ("groups.update", "barrier.update", "barrier.exit"):
        m = c.rpc(topic, {"groups": {"x": "3"}, "enter": [], "fail": [], "exit": []})
        assert m.errnum == errno.EPERM and "between routers of neighbours only" in m.text


def test_a_client_may_be_in_so_many_groups_and_no_more(tree):
    c = at(tree, 5)
    assert {join(c, f"g{i}") for i in range(256)} == {0}
    m = c.rpc("groups.join", {"name": "g256"})
    assert m.errnum == errno.ENOSPC and "may be in 256 groups" in m.text


def calls(tree, rank, topic):
    return at(tree, rank).rpc("broker.stats-get").json["methods"].get(topic, {"calls": 0})["calls"]


@contextlib.contextmanager
def held(tree, rank):
    """Its router finds all at once what is sent to it meanwhile."""
    pid = tree.pid(rank)
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


def test_a_thousand_joins_at_once_cost_rank_0_few_messages(tree):
    before = calls(tree, 0, "groups.update")
    watcher = watch(tree, 0, "many.999")
    comes_to(watcher, "")
    clients = [at(tree, 3) for _ in range(20)]
    with held(tree, 3):
        for i in range(1000):
            send(clients[i % 20], "groups.join", {"name": f"many.{i}"})
    assert {c.recv().errnum for c in clients for _ in range(50)} == {0}
    comes_to(watcher, "3")
    assert calls(tree, 0, "groups.update") - before < 50
    for c in clients:
        c.close()
    comes_to(watcher, "")


def test_members_of_a_lost_subtree_are_gone_and_come_back_with_it(fragile):
    tree, clients = fragile, [at(fragile, r) for r in (0, 3, 4, 5)]
    seen = watch(tree, 0, "team")
    assert [join(c, "team") for c in clients] == [0] * 4
    comes_to(seen, "0,3-5")
    os.kill(tree.pid(1), signal.SIGKILL)
    comes_to(seen, "0,5")
    comes_to(seen, "0,3-5")  # their own nodes were not lost
    os.kill(tree.pid(3), signal.SIGKILL)
    comes_to(seen, "0,4-5")  # now the client is not connected any more
    assert at(tree, 6).rpc("groups.get", {"name": "team"}).json["members"] == "0,4-5"


# --- barriers

def test_all_leave_a_barrier_when_the_last_has_entered(tree):
    clients = [at(tree, r) for r in range(SIZE) for _ in range(3)]
    for round in range(3):  # the name may be used again at once
        for c in clients[:-1]:
            enter(c, "all", 21)
        clients[0].s.setblocking(False)
        with pytest.raises(BlockingIOError):
            clients[0].s.recv(1000)
        clients[0].s.settimeout(30)
        enter(clients[-1], "all", 21)
        assert all_leave(clients)


def test_barriers_of_one_and_of_many_names_do_not_disturb_one_another(tree):
    a, b = at(tree, 3), at(tree, 6)
    for i in range(100):
        enter(a, f"pair.{i}", 2)
    enter(at(tree, 4), "alone", 1)
    for i in range(100):
        enter(b, f"pair.{99 - i}", 2)
    assert [outcome(c) for c in (a, b) for _ in range(100)] == [(0, "")] * 200


def test_more_than_nprocs_wait_for_the_next_round(tree):
    clients = [at(tree, r) for r in (3, 4, 5)]
    for c in clients:
        enter(c, "two", 2)
    done = wait_until("two to leave", lambda: ready(clients, 2))
    (left,) = [c for c in clients if c not in done]
    assert all_leave(done) and not ready([left], 1)
    last = at(tree, 0)
    enter(last, "two", 2)
    assert all_leave([left, last])


def ready(clients, n):
    found = select.select([c.s for c in clients], [], [], 0)[0]
    return [c for c in clients if c.s in found] if len(found) >= n else None


def test_what_is_wrong_with_a_barrier_is_said(tree):
    c = at(tree, 4)
    for name in ("", "a\nb", "x" * 257):
        m = c.rpc("barrier.enter", {"name": name, "nprocs": 1})
        assert m.errnum == errno.EINVAL and "a name of a barrier has 1 to 256 bytes" in m.text
    for nprocs in (0, -1, 1 << 31):
        m = c.rpc("barrier.enter", {"name": "x", "nprocs": nprocs})
        assert m.errnum == errno.EINVAL and "for 1 process or more" in m.text
    assert c.rpc("barrier.enter", {"name": "x"}).errnum == errno.EPROTO
    enter(c, "once", 2)
    enter(c, "once", 2)
    assert outcome(c) == (errno.EEXIST, "this client is in the barrier once already")
    other = at(tree, 5)
    enter(other, "once", 2)  # the first entry was not harmed
    assert all_leave([c, other])


def test_different_numbers_of_processes_end_a_barrier(tree):
    clients = [at(tree, r) for r in (3, 6)]
    enter(clients[0], "unequal", 3)
    enter(clients[1], "unequal", 4)
    ends = [outcome(c) for c in clients]
    assert [e for e, _ in ends] == [errno.EINVAL] * 2
    assert "barrier unequal: some entered it for " in ends[0][1] and ends[0] == ends[1]


def test_a_participant_that_leaves_ends_the_barrier(tree):
    clients = [at(tree, r) for r in (0, 3, 4, 5)]
    for c in clients:
        enter(c, "leaving", 5)
    all_wait(tree, 4)
    clients[3].close()
    for c in clients[:3]:
        assert outcome(c) == (errno.ECONNABORTED, "barrier leaving: a process that had entered it on rank 5 has left")
    again = [at(tree, r) for r in (1, 3)]  # who was told is ready for the next one
    for c in again:
        enter(c, "leaving", 2)
    assert all_leave(again)


def test_a_thousand_entries_cost_rank_0_few_messages(tree):
    before = calls(tree, 0, "barrier.update")
    clients = [at(tree, 4) for _ in range(20)]
    with held(tree, 4):
        for i in range(1000):
            enter(clients[i % 20], f"crowd.{i // 20}", 20)
    assert {outcome(c) for c in clients for _ in range(50)} == {(0, "")}
    assert calls(tree, 0, "barrier.update") - before < 50
    assert at(tree, 0).rpc("broker.stats-get").json["barrier"]["open"] == 0


TASK = """
import ctypes, sys
f = ctypes.CDLL(sys.argv[1], use_errno=True)
for n in ("flux_open", "flux_barrier"):
    getattr(f, n).restype = ctypes.c_void_p
h = ctypes.c_void_p(f.flux_open(None, 0))
for _ in range(3):
    future = ctypes.c_void_p(f.flux_barrier(h, None, 8))
    assert future.value and f.flux_future_get(future, None) == 0, ctypes.get_errno()
print("through")
"""


def loadable_library(build):  # noqa: F811
    library = build / "libflux" / "libflux-core.so"
    if b"__asan_init" in library.read_bytes():
        pytest.skip("Python cannot load a library with sanitizers")
    return library


def test_tasks_of_a_job_meet_without_a_name(tree, build):  # noqa: F811
    library = loadable_library(build)
    assert tree.say(2, "run", "-N4", "-n8", "python3", "-c", TASK, library).split() == ["through"] * 8


@pytest.mark.parametrize("lost", [1, 3])
def test_a_lost_node_ends_the_barrier_on_both_sides(fragile, lost):
    tree = fragile
    clients = [at(tree, r) for r in (0, 4, 3, 6)]
    for c in clients:
        enter(c, "lost", 5)
    all_wait(tree, 4)
    os.kill(tree.pid(lost), signal.SIGKILL)
    for c in clients[:2] + clients[3:]:
        errnum, text = outcome(c)
        assert errnum == errno.EHOSTUNREACH and text.startswith("barrier lost: rank "), text
    if lost == 3:
        assert clients[2].recv() is None  # its own router
    else:
        assert outcome(clients[2])[0] == errno.EHOSTUNREACH

    wait_until("all nodes to be back", lambda: at(tree, 0).rpc("groups.get", {"name": "broker.online"}).json["members"] == "0-6")
    again = [at(tree, r) for r in (3, 4, 5)]
    for c in again:
        enter(c, "again", 3)
    try:
        assert all_leave(again)
    except TimeoutError:
        pytest.fail(str({r: at(tree, r).rpc("broker.stats-get").json["barrier"] for r in range(7)}))


# --- a planned restart of the router

@pytest.fixture
def broker(build):  # noqa: F811
    with ManagedBroker(build) as b:
        yield b
        assert b.down() == (0, "")


def test_a_restart_of_the_router_is_not_noticed_by_members_watchers_and_who_waits(broker):
    member, watcher, first, second = (broker.client() for _ in range(4))
    assert join(member, "kept") == 0
    send(watcher, "groups.get", {"name": "kept"}, flags=STREAMING)
    comes_to(watcher, "0")
    enter(first, "kept", 2)
    assert first.rpc("broker.ping").errnum == 0
    broker.restart()
    comes_to(watcher, "0")
    enter(second, "kept", 2)
    assert all_leave([first, second])
    member.close()
    comes_to(watcher, "")


# --- guests

@needs_root
def test_names_of_barriers_belong_to_their_user(open_broker):
    clients = [open_broker.client()]
    for uid in (GUEST, GUEST, GUEST + 1):
        with as_user(uid):
            clients.append(open_broker.client())
    owner, one, two, other = clients
    for c in (owner, one, other):
        enter(c, "same", 2)
    enter(two, "same", 2)
    assert all_leave([one, two])
    assert owner.rpc("broker.ping").errnum == 0 and other.rpc("broker.ping").errnum == 0  # nothing else had come


@needs_root
def test_a_guest_watches_groups_that_exist_and_is_in_none(open_broker):
    owner = open_broker.client()
    with as_user(GUEST):
        guest = open_broker.client()
    assert guest.rpc("groups.join", {"name": "team"}).errnum == errno.EPERM
    m = guest.rpc("groups.get", {"name": "team"}, flags=STREAMING)
    assert m.errnum == errno.ENOENT and "there is no group team now" in m.text
    assert guest.rpc("groups.get", {"name": "team"}).json["members"] == ""
    assert join(owner, "team") == 0
    send(guest, "groups.get", {"name": "team"}, flags=STREAMING)
    comes_to(guest, "0")
    assert owner.rpc("groups.leave", {"name": "team"}).errnum == 0
    comes_to(guest, "")
