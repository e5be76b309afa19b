# SPDX-License-Identifier: LGPL-3.0-or-later
"""Planned restarts of routers in a tree: what clients of all nodes see of them."""
import base64
import errno
import json
import os
import signal
import threading

from embedded import wait_until
from rawclient import STREAMING, memfd
from test_hostile import build  # noqa: F401  (a fixture)
from test_tree import Tree, client_at


def restart(tree, rank):
    """SIGTERM, and the next process serves; it need not have found its neighbours yet."""
    old = tree.daemon_pids("broker", rank)
    os.kill(old[0], signal.SIGTERM)
    wait_until("the next router", lambda: tree.daemon_pids("broker", rank) not in ([], old))
    c = client_at(tree, rank)
    assert c.rpc("broker.ping").errnum == 0
    c.close()


def test_a_node_that_is_deaf_holds_a_restart_up_for_a_second_and_gets_the_events_that_it_missed(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=3, topo=None) as tree:
        listener, publisher, asker, other = client_at(tree, 1), client_at(tree, 0), client_at(tree, 0), client_at(tree, 2)
        assert listener.rpc("event.subscribe", {"topic": "n."}).errnum == 0
        (deaf,) = tree.daemon_pids("broker", 1)
        os.kill(deaf, signal.SIGSTOP)
        try:
            asker.send(topic="broker.ping", aux1=1, aux2=1)
            for i in range(800):  # more than the connection between the nodes takes
                payload = "eA" * 1000
                assert publisher.rpc("event.publish", {"topic": f"n.{i}", "flags": 0, "payload": payload}).errnum == 0
            restart(tree, 0)
            assert publisher.rpc("event.publish", {"topic": "n.800", "flags": 0}).errnum == 0
            assert asker.recv().errnum == errno.EHOSTUNREACH
            assert other.rpc("broker.ping", aux1=0).errnum == 0  # its session goes on
        finally:
            os.kill(deaf, signal.SIGCONT)
        assert any("is being restarted, and it does not answer" in r["MESSAGE"] for r in tree.log_records("broker"))
        assert [listener.recv().topic for _ in range(801)] == [f"n.{i}" for i in range(801)]


class Strict:
    """Clients of all nodes, each in a thread of its own, for whom any error is one."""

    def __init__(self, tree, size):
        self.tree, self.size, self.stopping, self.problems, self.count = tree, size, threading.Event(), [], {}
        self.published = 0

    def __enter__(self):
        size = self.size
        self.listeners = [threading.Thread(target=self.guard, args=[self.listen, r, client_at(self.tree, r)]) for r in range(size)]
        self.ready = threading.Barrier(size + 1)
        self.workers = [threading.Thread(target=self.guard, args=[self.ask, r, (r + k) % size]) for r in range(size) for k in range(1, size)]
        self.workers += [threading.Thread(target=self.guard, args=[f, size - 1]) for f in (self.publish, self.pile_up, self.write)]
        self.workers += [threading.Thread(target=self.guard, args=[self.carry, 0, size - 1])]
        for t in self.listeners:
            t.start()
        self.ready.wait()
        for t in self.workers:
            t.start()
        return self

    def __exit__(self, *exc):
        self.stopping.set()
        for t in (*self.workers, *self.listeners):
            t.join(60)
            assert not t.is_alive()

    def guard(self, f, *args):
        try:
            f(*args)
        except Exception as e:
            self.problems.append(f"{f.__name__}{args[:2]}: {e!r}")

    def did(self, what):
        self.count[what] = self.count.get(what, 0) + 1

    def call(self, c, topic, payload=None, **kw):
        m = c.rpc(topic, payload, **kw)
        assert m.errnum == 0, f"{topic}: {m.errnum} {m.text}"
        return m

    def ask(self, rank, other):
        c = client_at(self.tree, rank)
        while not self.stopping.is_set():
            self.call(c, "broker.ping", aux1=other)
            self.call(c, "kvs.ping", aux1=other)
            self.did("ping")
        c.close()

    def carry(self, rank, other):
        """What is too large for a datagram."""
        c, n = client_at(self.tree, rank), 0
        while not self.stopping.is_set():
            n += 1
            data = json.dumps({"n": n, "pad": "x" * 5000000}).encode() + b"\0"
            fd = memfd(data)
            c.send(topic="broker.ping", payload=b"", aux1=other, aux2=n, fds=[fd])
            os.close(fd)
            m = c.recv()
            assert (m.errnum, m.matchtag, m.json["n"], len(m.json["pad"])) == (0, n, n, 5000000)
            self.did("large")
        c.close()

    def pile_up(self, rank):
        """Many at once: the answers come in order."""
        c = client_at(self.tree, rank)
        while not self.stopping.is_set():
            for tag in range(1, 101):
                c.send(topic="broker.ping", aux1=0, aux2=tag)
            got = [c.recv() for _ in range(100)]
            assert [(m.matchtag, m.errnum) for m in got] == [(tag, 0) for tag in range(1, 101)]
            self.did("hundred")
        c.close()

    def publish(self, rank):
        c = client_at(self.tree, rank)
        while not self.stopping.is_set():
            self.call(c, "event.publish", {"topic": f"strict.{self.published}", "flags": 0})
            self.published += 1
        self.call(c, "event.publish", {"topic": "strict.end", "flags": 0})
        c.close()

    def listen(self, rank, c):
        self.call(c, "event.subscribe", {"topic": "strict."})
        self.ready.wait()
        got = []
        c.s.settimeout(60)
        while not got or got[-1] != "strict.end":
            got.append(c.recv().topic)
        assert got == [f"strict.{i}" for i in range(self.published)] + ["strict.end"], (len(got), self.published)
        c.close()

    def write(self, rank):
        """Commits on one node, each seen by a watch on the first and on the last."""
        c, n = client_at(self.tree, rank), 0
        watches = [client_at(self.tree, r) for r in (0, rank)]
        while not self.stopping.is_set() or n == 0:
            n += 1
            data = base64.b64encode(str(n).encode()).decode()
            ops = [{"key": "strict", "flags": 0, "dirent": {"ver": 1, "type": "val", "data": data}}]
            self.call(c, "kvs.commit", {"namespace": "primary", "flags": 0, "ops": ops})
            for w in watches:
                if n == 1:
                    w.send(topic="kvs-watch.lookup", payload=b'{"key":"strict","flags":4}\0', aux2=1, flags=STREAMING)
                m = w.recv()
                assert m.errnum == 0, f"watch: {m.errnum} {m.text}"
                assert base64.b64decode(m.json["val"]["data"]).decode() == str(n)
            self.did("commit")
        for x in (c, *watches):
            x.close()


def restart_all(tree, size, ranks):
    with Strict(tree, size) as clients:
        for rank in ranks:
            restart(tree, rank)
            before = clients.count.get("commit", 0)
            wait_until("work to go on", lambda: clients.problems or clients.count.get("commit", 0) > before + 3)
    print(f"{len(ranks)} restarts, {clients.published} events, {clients.count}")
    assert not clients.problems
    assert min(clients.count[what] for what in ("ping", "large", "hundred", "commit")) > 0


def test_no_client_of_any_node_sees_that_routers_are_restarted_in_good_order(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=4, args=["-Stbon.prefertcp=1"]) as tree:  # rank 3 is below rank 1
        restart_all(tree, 4, [1, 0])


def enter(c, name, nprocs, tag):
    c.send(topic="barrier.enter", payload=json.dumps({"name": name, "nprocs": nprocs}).encode() + b"\0", aux2=tag)


def in_order(c):
    """What c has sent before was handled."""
    assert c.rpc("broker.ping").errnum == 0


def test_barriers_and_groups_go_on_over_restarts_of_all_routers(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=4) as tree:
        watcher, member = client_at(tree, 0), client_at(tree, 3)
        assert member.rpc("groups.join", {"name": "mine"}).errnum == 0
        watcher.send(topic="groups.get", payload=b'{"name":"mine"}\0', aux2=100, flags=STREAMING)
        wait_until("the member to be seen", lambda: watcher.recv().json["members"] == "3")
        waiting = [client_at(tree, rank) for rank in (0, 1, 2, 3, 3)]
        for c in waiting:
            c.tag = 10
            in_order(c)
            enter(c, "all", 6, 1)
        leaver, left = client_at(tree, 3), client_at(tree, 2)
        enter(leaver, "broken", 3, 1)
        enter(left, "broken", 3, 1)
        for rank in (1, 3, 0, 1, 2):
            restart(tree, rank)
        leaver.close()
        assert left.recv().errnum == errno.ECONNABORTED
        last = client_at(tree, 2)
        enter(last, "all", 6, 1)
        assert [(c.recv().errnum) for c in (*waiting, last)] == [0] * 6
        member.close()
        seen = watcher.recv().json["members"]
        while seen == "3":  # said again by each next process
            seen = watcher.recv().json["members"]
        assert seen == ""
