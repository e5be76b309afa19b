# SPDX-License-Identifier: LGPL-3.0-or-later
"""The tree that joins the routers of an instance: requests, answers and events between nodes, and nodes that are lost.

Seven nodes of this host in a binary tree: 0 above 1 and 2, 1 above 3 and 4, 2 above 5 and 6."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from embedded import Instance, wait_until
from rawclient import EVENT, RESPONSE, Client, memfd
from soak_checks import is_sanitized
from test_hostile import build  # noqa: F401  (a fixture)

SIZE = 7


class Tree(Instance):
    def __init__(self, build, workdir, size=SIZE, args=(), topo="kary:2"):
        shape = [f"-Stbon.topo={topo}"] if topo else []
        super().__init__(build, workdir, args=[f"--test-size={size}", *shape, *args])

    def node(self, rank):
        return os.path.join(os.path.dirname(self.rundir), str(rank))

    def at(self, rank, *args, **kw):
        env = {**self.env, "FLUX_URI": f"local://{self.node(rank)}/local"}
        return subprocess.run([self.fluxctl, *map(str, args)], env=env, text=True, capture_output=True, timeout=60, **kw)

    def say(self, rank, *args, **kw):
        done = self.at(rank, *args, **kw)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def pid(self, rank):
        return int(self.say(rank, "getattr", "broker.pid"))


@pytest.fixture
def tree(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path) as t:
        yield t
    assert t.status == 1  # of "read" at the end of its input: nobody was killed


def test_every_node_knows_its_place(tree):
    attrs = [{a: tree.say(r, "getattr", a) for a in ("rank", "size", "tbon.level", "tbon.descendants")} for r in range(SIZE)]
    assert [a["rank"] for a in attrs] == [str(r) for r in range(SIZE)]
    assert {a["size"] for a in attrs} == {str(SIZE)}
    assert [a["tbon.level"] for a in attrs] == ["0", "1", "1", "2", "2", "2", "2"]
    assert [a["tbon.descendants"] for a in attrs] == ["6", "2", "2", "0", "0", "0", "0"]


def test_every_node_reaches_every_other(tree):
    for a in range(SIZE):
        for b in range(SIZE):
            assert f"{b}!broker.ping" in tree.say(a, "ping", "-c1", "-r", b, "broker")
    assert "broker.ping" in tree.say(6, "ping", "-c1", "-r", "upstream", "broker")


def test_services_of_rank_0_are_found_from_everywhere(tree):
    tree.say(5, "kvs", "put", "where=five")
    assert tree.say(3, "kvs", "get", "where") == "five"
    refused = tree.at(4, "ping", "-c1", "nosuch")
    assert refused.returncode != 0 and "no service nosuch in this instance" in refused.stderr
    nowhere = tree.at(4, "ping", "-c1", "-r", "99", "broker")
    assert nowhere.returncode != 0 and "this instance has 7 nodes" in nowhere.stderr


@pytest.mark.parametrize("publisher", [0, 3])
def test_an_event_reaches_all_nodes(tree, publisher):
    subscribers = []
    for r in range(SIZE):
        env = {**tree.env, "FLUX_URI": f"local://{tree.node(r)}/local"}
        subscribers.append(subprocess.Popen([tree.fluxctl, "event", "sub", "-c1", "tested"], env=env, text=True,
                                            stdout=subprocess.PIPE))
    # a subscription is there when an event comes: so events are published until all have one
    def all_have():
        tree.say(publisher, "event", "pub", "tested", '{"n":1}')
        return all(s.poll() is not None for s in subscribers)
    wait_until("all to have an event", all_have)
    assert ["tested" in s.communicate()[0] for s in subscribers] == [True] * SIZE


@pytest.mark.parametrize("size", [0, 1, 60000, 65536, 70000, 1000000])
def test_payloads_of_any_size_come_whole_through_two_hops(tree, size):
    assert f"pad={size} " in tree.say(3, "ping", "-c2", "-i0.001", "-p", size, "-r", 6, "broker")


def test_a_hundred_megabytes_cross_the_tree_while_others_talk(build, tree):
    def at(rank):
        return {**tree.env, "FLUX_URI": f"local://{tree.node(rank)}/local"}

    def peak(rank):
        (line,) = [x for x in open(f"/proc/{tree.pid(rank)}/status") if x.startswith("VmHWM")]
        return int(line.split()[1])

    bulk = build / "tests" / "bulk"
    with subprocess.Popen([bulk, "serve", "bulk"], env=at(3), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "ready\n"
        before = [peak(r) for r in (0, 1, 3)]
        sender = subprocess.Popen([bulk, "send", "bulk", "3", "100000000"], env=at(0), stdout=subprocess.PIPE, text=True)
        c, slowest, count = client_at(tree, 0), 0.0, 0
        while sender.poll() is None:
            began = time.monotonic()
            assert c.rpc("broker.ping", {}, aux1=4).errnum == 0  # through rank 1, as the large one
            slowest, count = max(slowest, time.monotonic() - began), count + 1
        seconds = float(sender.stdout.read())
        print(f"{seconds} s there and back; slowest of {count} requests of others {slowest * 1000:.0f} ms")
        assert sender.returncode == 0 and count > 5 and slowest < max(2, seconds / 2)
        assert is_sanitized(tree) or all(peak(r) < b + 32 * 1024 for r, b in zip((0, 1, 3), before))
        c.close()
        sender.stdout.close()
        server.kill()


def test_what_a_client_says_after_a_large_message_comes_after_it(tree):
    c = client_at(tree, 0)
    for pad, tag in (("x" * 3000000, 1), ("y", 2), ("z" * 100000, 3), ("", 4)):
        data = json.dumps({"pad": pad}).encode() + b"\0"
        if len(data) > 65536:
            fd = memfd(data)
            c.send(topic="broker.ping", payload=b"", aux1=3, aux2=tag, fds=[fd])
            os.close(fd)
        else:
            c.send(topic="broker.ping", payload=data, aux1=3, aux2=tag)
    assert [c.recv().matchtag for _ in range(4)] == [1, 2, 3, 4]
    c.close()


def test_twenty_thousand_requests_at_once_are_all_answered(tree):
    assert "seq=19999" in tree.say(3, "ping", "-b", "-c20000", "-r", 6, "broker").splitlines()[-1]


def test_a_lost_node_fails_what_is_in_flight_through_it_at_once_and_comes_back(tree):
    env = {**tree.env, "FLUX_URI": f"local://{tree.node(3)}/local"}
    pings = subprocess.Popen([tree.fluxctl, "ping", "-i0.01", "-r", "6", "broker"], env=env, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert pings.stdout.readline()
    old = tree.pid(1)
    os.kill(old, signal.SIGKILL)
    out, err = pings.communicate(timeout=60)
    assert pings.returncode != 0 and ("rank" in err or "lost" in err), err
    # its node starts it again; those below find their way back, and so do new requests
    wait_until("the router to be back", lambda: tree.at(3, "ping", "-c1", "-r", 6, "broker").returncode == 0)
    assert tree.pid(1) != old
    wait_until("rank 0 to reach rank 4", lambda: tree.at(0, "ping", "-c1", "-r", 4, "broker").returncode == 0)


def test_rank_0_may_be_killed_and_the_tree_forms_again(tree):
    os.kill(tree.pid(0), signal.SIGKILL)
    wait_until("rank 6 to reach rank 3",
               lambda: tree.at(6, "ping", "-c1", "-r", 3, "broker").returncode == 0)
    sub = subprocess.Popen([tree.fluxctl, "event", "sub", "-c1", "again"], text=True, stdout=subprocess.PIPE,
                           env={**tree.env, "FLUX_URI": f"local://{tree.node(5)}/local"})
    wait_until("an event of the new rank 0", lambda: tree.at(4, "event", "pub", "again") and sub.poll() is not None)
    assert "again" in sub.communicate()[0]


def client_at(tree, rank):
    return Client(f"{tree.node(rank)}/local")


def test_events_reach_the_lowest_nodes_also_when_rank_0_counts_them_anew(tree):
    """They keep their connections, and are told by the node above that there is another rank 0."""
    c = client_at(tree, 0)
    assert [c.rpc("event.publish", {"topic": "old", "flags": 0}).errnum for _ in range(100)] == [0] * 100
    c.close()
    os.kill(tree.pid(0), signal.SIGKILL)
    wait_until("rank 5 to reach rank 0", lambda: tree.at(5, "ping", "-c1", "-r", 0, "broker").returncode == 0)
    c = client_at(tree, 5)
    assert c.rpc("event.subscribe", {"topic": "new"}).errnum == 0
    c.send(topic="event.publish", payload=b'{"topic":"new","flags":0}\0')
    got = [c.recv(), c.recv()]
    assert sorted((m.type, m.topic) for m in got) == [(RESPONSE, "event.publish"), (EVENT, "new")]
    c.close()


def test_no_client_misses_an_event_because_routers_are_restarted_in_good_order(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=4) as tree:
        listener, publisher = client_at(tree, 3), client_at(tree, 0)
        assert listener.rpc("event.subscribe", {"topic": "n."}).errnum == 0
        sent, got = 0, []

        def publish(count):
            nonlocal sent
            for _ in range(count):
                assert publisher.rpc("event.publish", {"topic": f"n.{sent}", "flags": 0}).errnum == 0
                sent += 1

        for rank in (3, 0, 1, 0, 3, 1):
            old = tree.daemon_pids("broker", rank)
            os.kill(old[0], signal.SIGTERM)
            while tree.daemon_pids("broker", rank) in ([], old) or tree.at(0, "ping", "-c1", "-r3", "broker").returncode != 0:
                publish(1)
        publish(10)
        while len(got) < sent:
            got.append(listener.recv().topic)
        assert got == [f"n.{i}" for i in range(sent)]


def test_a_restart_of_rank_0s_kvs_in_good_order_ends_nothing_that_other_nodes_asked_it(tree):
    tree.say(5, "kvs", "put", "a=0")  # that node's flux-kvs follows rank 0 now, over the same connection
    tree.say(0, "kvs", "namespace", "create", "quiet")  # nobody else commits there
    c = client_at(tree, 5)
    seq = c.rpc("kvs.getroot", {"namespace": "quiet", "flags": 0}, aux1=0).json["rootseq"]
    c.send(topic="kvs.wait-version", payload=json.dumps({"namespace": "quiet", "rootseq": seq + 1}).encode() + b"\0", aux1=0, aux2=9)
    c.send(topic="kvs.ping", aux1=0, aux2=2)
    assert c.recv().matchtag == 2  # so that one has arrived, too
    (old,) = tree.daemon_pids("kvs")
    os.kill(old, signal.SIGTERM)
    wait_until("the next one", lambda: tree.daemon_pids("kvs") not in ([], [old]))
    tree.say(0, "kvs", "put", "-N", "quiet", "a=1")
    m = c.recv()
    assert (m.errnum, m.json.get("rootseq")) == (0, seq + 1)
    c.close()


def test_a_node_that_was_stopped_is_offline_and_not_lost(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=2) as t:
        host = os.uname().nodename
        os.kill(int(open(f"/proc/{t.pid(1)}/stat").read().rsplit(")", 1)[1].split()[1]), signal.SIGTERM)
        wait_until("it to leave", lambda: t.say(0, "overlay", "status", "-s") != "full")
        assert t.say(0, "overlay", "status", "-t60s", "--no-pretty").splitlines() == [f"0 {host}: partial", f"  1 {host}: offline (it was stopped)"]
        assert re.search(r"rank 1 left \d+ s ago: it was stopped", t.at(0, "ping", "-c1", "1").stderr)


def test_the_start_waits_for_a_quorum_and_says_what_is_wrong(build, tmp_path):
    with Tree(build, tmp_path, size=4) as t:
        assert t.say(0, "getattr", "broker.quorum") == "4"
    command = [t.fluxctl, "start", "--embedded", "-s3", "-Sbroker.quorum=4", "true"]
    done = subprocess.run(command, env=t.env, text=True, capture_output=True, timeout=60)
    assert done.returncode != 0
    assert "broker.quorum: '4' is not a number of nodes from 0 to 3" in done.stderr


def test_the_status_is_that_of_the_program_and_nothing_is_left(build, tmp_path):
    fluxctl = str(build / "fluxctl" / "fluxctl")
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLUX_")}
    done = subprocess.run([fluxctl, "start", "--embedded", "-s4", "sh", "-c", "echo $FLUX_URI; exit 7"], env=env,
                          text=True, capture_output=True, timeout=60)
    assert done.returncode == 7
    top = os.path.dirname(os.path.dirname(done.stdout.strip()[len("local://"):]))
    assert not os.path.exists(os.path.dirname(top)) or not os.path.exists(top)
    assert subprocess.run(["pgrep", "-f", top], capture_output=True).returncode != 0


def test_overlay_shows_the_tree_and_what_is_missing(tree):
    host = tree.say(0, "overlay", "lookup", 4)
    assert tree.say(5, "overlay", "status", "-t60s", "--no-pretty").splitlines() == [
        f"{indent}{rank} {host}: full" for indent, rank in (("", 0), ("  ", 1), ("    ", 3), ("    ", 4), ("  ", 2),
                                                            ("    ", 5), ("    ", 6))]
    assert tree.say(5, "overlay", "status", "-t60s", "-r1", "-H", "3-4").splitlines() == [
        f"1 {host}: full", f"├─ <<3 {host}>>: full", f"└─ <<4 {host}>>: full"]
    assert tree.say(5, "overlay", "status", "-t60s", "-r2", "-d", "--color=always", "-H2") == f"\033[7m2 {host}\033[0m: full"
    assert tree.say(3, "overlay", "parentof", 6) == "2"
    assert tree.at(3, "overlay", "parentof", 7).stderr.strip().endswith("there is no rank 7: this instance has 7 nodes")
    assert tree.say(2, "overlay", "lookup", host) == "0-6"
    assert tree.say(2, "overlay", "lookup", "2-4,6") == ",".join([host] * 4)
    assert tree.at(2, "overlay", "lookup", "nosuch").stderr.strip().endswith("no node has the name nosuch")


def test_what_is_behind_a_node_that_is_not_there_is_shown_as_that_is(tree):
    host = tree.say(0, "overlay", "lookup", 4)
    stopped = tree.pid(1)
    os.kill(stopped, signal.SIGSTOP)
    try:
        # It is connected still, but says nothing: nobody waits for it for long.
        assert f"├─ 1 {host}: degraded (it does not answer in time)" in tree.say(0, "overlay", "status", "-t0.1s")
        tree.say(0, "overlay", "disconnect", 1)
        assert tree.say(0, "overlay", "status", "-t60s", "-d", "--no-pretty").splitlines() == [
            f"0 {host}: degraded", f"  1 {host}: lost (an administrator has disconnected it)", f"    3 {host}: lost",
            f"    4 {host}: lost"]
        assert len(tree.say(0, "overlay", "status", "-t60s", "-d", "--no-ghost").splitlines()) == 2
        assert " for " in tree.say(0, "overlay", "status", "-t60s", "-d", "-v").splitlines()[1]
        assert tree.say(0, "overlay", "status", "-t60s", "-s", "-r1") == "lost"
        assert tree.say(0, "overlay", "errors") == f"{host} (rank 1): an administrator has disconnected it"
        waited = tree.at(0, "overlay", "status", "-s", "--wait=full", "-t0.1s")
        assert waited.returncode != 0 and "rank 0 is not full within 0.1 s, but degraded" in waited.stderr
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert tree.say(0, "overlay", "status", "-s", "--wait=full", "-t60s") == "full"
    assert tree.say(0, "overlay", "errors") == ""


def test_a_node_that_was_disconnected_joins_again(tree):
    before = tree.say(0, "dmesg").count("(rank 2) has joined")
    tree.say(4, "overlay", "disconnect", 2)
    wait_until("rank 2 to join again", lambda: tree.say(0, "dmesg").count("(rank 2) has joined again") == 1)
    assert before == 1
    wait_until("the tree to be whole", lambda: tree.say(0, "overlay", "status", "-s") == "full")
    assert "6!broker.ping" in tree.say(3, "ping", "-c1", "-r", 6, "broker")
    refused = tree.at(0, "overlay", "disconnect", 0)
    assert refused.returncode != 0 and "root of the tree" in refused.stderr


def test_a_rank_that_no_node_can_have_disconnects_none(tree):
    c = client_at(tree, 0)
    for rank in (2**32 + 1, 2**32 + 2, -1, 2**63 - 1):
        m = c.rpc("overlay.disconnect", {"rank": rank})
        assert m.errnum == 71 and "rank" in m.text, (rank, m.text)  # EPROTO
    assert tree.say(0, "overlay", "status", "-s") == "full"
    c.close()


def test_tcp_between_nodes_is_encrypted_with_a_key_of_each(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=3, args=["-Stbon.prefertcp=1"]) as t:
        assert t.say(1, "getattr", "tbon.parent-endpoint").startswith("tcp://")
        assert "1!broker.ping" in t.say(2, "ping", "-c1", "-r", 1, "broker")
        keys = [json.load(open(f"{t.node(r)}/bootstrap.json"))["public"] for r in range(3)]
        assert len(set(keys)) == 3 and all(len(k) == 40 for k in keys)
        assert os.stat(f"{t.node(1)}/bootstrap.json").st_mode & 0o777 == 0o600
