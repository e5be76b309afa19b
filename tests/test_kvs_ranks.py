# SPDX-License-Identifier: LGPL-3.0-or-later
"""The key-value store on nodes other than rank 0: they read what they know, and never fall behind what they were told."""
import base64
import errno
import json
import os
import re
import signal
import subprocess
import threading

import pytest

from embedded import wait_until
from rawclient import STREAMING, Client
from test_hostile import build  # noqa: F401  (a fixture)
from test_tree import Tree

SIZE = 4


@pytest.fixture
def tree(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=SIZE) as t:
        yield t


@pytest.fixture(scope="module")
def calm(build, tmp_path_factory):  # noqa: F811
    """One for all tests that kill nothing."""
    with Tree(build, tmp_path_factory.mktemp("calm"), size=SIZE) as t:
        t.settle()
        yield t


def stats(t, rank, service="kvs"):
    return json.loads(t.say(rank, "module", "stats", service))


def start(t, rank, *args):
    env = {**t.env, "FLUX_URI": f"local://{t.node(rank)}/local"}
    return subprocess.Popen([t.fluxctl, *args], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_what_is_put_on_one_node_is_read_on_it_at_once_and_on_all_after_wait(calm):
    for i in range(20):
        rank = i % SIZE
        calm.say(rank, "kvs", "put", f"a.b={i}")
        assert calm.say(rank, "kvs", "get", "a.b") == str(i)
        version = calm.say(rank, "kvs", "version")
        for r in range(SIZE):
            calm.say(r, "kvs", "wait", version)
            assert calm.say(r, "kvs", "get", "a.b") == str(i)


def test_followers_read_from_memory_and_open_no_database(calm):
    calm.say(0, "kvs", "put", "x=1")
    version = calm.say(0, "kvs", "version")
    calm.say(3, "kvs", "wait", version)
    assert calm.say(3, "kvs", "get", "x") == "1"
    before = stats(calm, 3)["relayed"]
    for _ in range(10):
        assert calm.say(3, "kvs", "get", "x") == "1"
    assert stats(calm, 3)["relayed"] == before
    assert stats(calm, 3)["lookups"] >= 10
    for r in range(1, SIZE):
        assert not [f for _, _, files in os.walk(calm.node(r)) for f in files if "sqlite" in f]


def test_a_dropped_cache_is_filled_again_from_above(calm):
    """In one snapshot: daemons commit too, and new directories come with the news of a commit."""
    value = "x" * 5000
    calm.say(0, "kvs", "put", f"long={value}")
    calm.say(3, "kvs", "wait", calm.say(0, "kvs", "version"))
    root = calm.say(3, "kvs", "getroot")

    def loads_to_read():
        before = stats(calm, 3, "content")["loads"]
        calm.say(3, "kvs", "dropcache")
        assert calm.say(3, "kvs", "get", "-a", root, "long") == value
        return stats(calm, 3, "content")["loads"] - before

    assert loads_to_read() >= 1
    assert loads_to_read() == 0, "the content cache has it still"
    calm.say(3, "content", "dropcache")
    assert loads_to_read() == 2, "the root and the value"


def test_caches_of_all_nodes_are_dropped_by_one_command(calm):
    calm.say(0, "kvs", "put", *(f"d{i}.k={'x' * 1000}" for i in range(20)))
    for r in range(SIZE):
        calm.say(r, "kvs", "wait", calm.say(0, "kvs", "version"))
        assert calm.say(r, "kvs", "get", "d3.k")
    assert all(stats(calm, r)["cache-bytes"] > 0 for r in range(SIZE))
    calm.say(2, "kvs", "dropcache", "--all")
    for r in range(SIZE):
        wait_until("the cache to be empty", lambda r=r: stats(calm, r)["cache-bytes"] == 0)
        assert calm.say(r, "kvs", "get", "d3.k") == "x" * 1000


def test_other_namespaces_are_served_everywhere(calm):
    calm.say(2, "kvs", "namespace", "create", "mine")
    calm.say(3, "kvs", "put", "-N", "mine", "k=v")
    assert calm.say(1, "kvs", "get", "-N", "mine", "k") == "v"
    announced = stats(calm, 0)["announced"]
    calm.say(3, "kvs", "put", "-N", "mine", "k=w")
    assert stats(calm, 0)["announced"] == announced, "nobody is told of other namespaces"
    calm.say(1, "kvs", "link", "-T", "mine", "k", "there")
    calm.say(2, "kvs", "wait", calm.say(1, "kvs", "version"))
    assert calm.say(2, "kvs", "get", "there") == "w"
    calm.say(1, "kvs", "namespace", "remove", "mine")
    gone = calm.at(1, "kvs", "get", "-N", "mine", "k")
    assert gone.returncode != 0 and "namespace" in gone.stderr


def test_a_namespace_that_is_removed_and_made_again_is_another_one(calm):
    for life in ("first", "second", "third"):
        calm.say(1, "kvs", "namespace", "create", "again")
        calm.say(2, "kvs", "put", "-N", "again", f"k={life}")
        assert calm.say(3, "kvs", "version", "-N", "again") == "1"
        watches = [start(calm, r, "kvs", "get", "-N", "again", "--watch", "--waitcreate", "k") for r in range(SIZE)]
        assert [w.stdout.readline() for w in watches] == [f"{life}\n"] * SIZE
        calm.say(2, "kvs", "put", "-N", "again", "k=last", "other=1")
        calm.say(3, "kvs", "namespace", "remove", "again")
        for w in watches:
            out, err = w.communicate(timeout=60)
            assert out == "last\n" and w.returncode == 1 and "no such namespace, or it was removed: 'again'" in err
        assert "no such namespace" in calm.at(1, "kvs", "wait", "-N", "again", "9").stderr


def test_a_follower_that_was_killed_knows_the_root_again(tree):
    tree.say(3, "kvs", "put", "k=1")
    os.kill(stats(tree, 3)["pid"], signal.SIGKILL)
    version = tree.say(0, "kvs", "version")
    wait_until("rank 3 to answer", lambda: tree.at(3, "kvs", "wait", version).returncode == 0)
    assert tree.say(3, "kvs", "get", "k") == "1"
    tree.say(3, "kvs", "put", "k=2")
    assert tree.say(3, "kvs", "get", "k") == "2"


@pytest.mark.parametrize("victim", [0, 1])
def test_watches_of_followers_go_on_when_a_process_above_is_killed(tree, victim):
    """victim 0: the key-value store of rank 0; 1: the router between rank 3 and rank 0."""
    tree.say(0, "kvs", "put", "log=begin\n")
    tree.say(3, "kvs", "wait", tree.say(0, "kvs", "version"))
    watch = start(tree, 3, "kvs", "get", "--watch", "--append", "log")
    assert watch.stdout.readline() == "begin\n"
    if victim == 0:
        os.kill(stats(tree, 0)["pid"], signal.SIGKILL)
    else:
        os.kill(tree.pid(1), signal.SIGKILL)
    for i in range(5):
        wait_until("rank 0 to take a commit",
                   lambda i=i: tree.at(0, "kvs", "put", "--append", f"log={i}\n").returncode == 0)
    text = ""
    while "4" not in text:
        line = watch.stdout.readline()
        assert line, watch.stderr.read()
        text += line
    assert re.sub(r"\s", "", text) == "01234"
    watch.kill()
    watch.communicate()


def test_watches_on_all_followers_see_every_byte_while_commits_run(calm):
    calm.say(0, "kvs", "put", "log=begin\n")
    version = calm.say(0, "kvs", "version")
    watches = []
    for r in range(1, SIZE):
        calm.say(r, "kvs", "wait", version)
        w = start(calm, r, "kvs", "get", "--watch", "--append", "log")
        assert w.stdout.readline() == "begin\n"
        watches.append(w)
    for i in range(100):
        calm.say(i % SIZE, "kvs", "put", "--append", f"log={i}\n")
    for w in watches:
        seen = []
        while len(seen) < 100:
            line = w.stdout.readline()
            assert line, w.stderr.read()
            if line.strip():
                seen.append(int(line))
        assert seen == list(range(100))
        w.kill()
        w.communicate()


def parent_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"^PPid:\s*(\d+)", f.read(), re.M).group(1))


def test_without_the_node_above_what_is_known_is_read_and_commits_say_why_they_fail(tree):
    tree.say(0, "kvs", "put", "known=1", "long=" + "x" * 5000)
    tree.say(3, "kvs", "wait", tree.say(0, "kvs", "version"))
    assert tree.say(3, "kvs", "get", "known") == "1"
    watch = start(tree, 3, "kvs", "get", "--watch", "known")
    assert watch.stdout.readline() == "1\n"
    router = tree.pid(1)
    supervisor = parent_of(router)
    os.kill(supervisor, signal.SIGSTOP)  # so that the router is not started again yet
    try:
        os.kill(router, signal.SIGKILL)
        wait_until("a commit to fail", lambda: tree.at(3, "kvs", "put", "known=2").returncode != 0)
        refused = tree.at(3, "kvs", "put", "known=2")
        assert "rank 3 is not connected to its parent" in refused.stderr
        assert tree.say(3, "kvs", "get", "known") == "1"
        missing = tree.at(3, "kvs", "get", "long")
        assert missing.returncode != 0 and "the node above cannot be reached" in missing.stderr
        tree.say(0, "kvs", "put", "known=3")
    finally:
        os.kill(supervisor, signal.SIGCONT)
    line = watch.stdout.readline()
    while line and line != "3\n":
        line = watch.stdout.readline()
    assert line == "3\n", watch.stderr.read()
    assert tree.say(3, "kvs", "get", "known") == "3"
    watch.kill()
    watch.communicate()


def test_a_follower_whose_own_router_was_killed_comes_back(tree):
    tree.say(3, "kvs", "put", "k=1")
    os.kill(tree.pid(3), signal.SIGKILL)
    wait_until("rank 3 to commit", lambda: tree.at(3, "kvs", "put", "k=2").returncode == 0)
    assert tree.say(3, "kvs", "get", "k") == "2"


def watches_everywhere(t, *args):
    """One on each follower, the first line of each read."""
    version = t.say(0, "kvs", "version")
    watches = []
    for r in range(1, SIZE):
        t.say(r, "kvs", "wait", version)
        watches.append(start(t, r, "kvs", "get", "--watch", *args))
    return watches, [w.stdout.readline() for w in watches]


def lines_of(watches, count):
    seen = [[w.stdout.readline().rstrip("\n") for _ in range(count)] for w in watches]
    for w in watches:
        w.kill()
        w.communicate()
    return seen


def test_watches_on_all_followers_see_every_commit_of_a_key_in_order(calm):
    calm.say(0, "kvs", "put", "k=begin", "other=0")
    watches, first = watches_everywhere(calm, "k")
    assert first == ["begin\n"] * (SIZE - 1)
    noise = start(calm, 2, "bulksubmit", "--wait", "--quiet", "true", ":::", *map(str, range(50)))
    for i in range(100):
        calm.say(i % SIZE, "kvs", "put", "--no-merge", f"k={i}")
    assert lines_of(watches, 100) == [[str(i) for i in range(100)]] * (SIZE - 1)
    assert noise.wait(timeout=60) == 0
    assert all(stats(calm, r)["gaps"] <= 1 for r in range(1, SIZE)), "the first root is one"


def test_watches_on_all_followers_see_a_directory_replaced(calm):
    for name in "AB":
        calm.say(0, "kvs", "put", *(f"{name}.d.k{n}={name}{n}" for n in range(40)))
    a, b = (calm.say(0, "kvs", "get", "--treeobj", name) for name in "AB")
    calm.say(0, "kvs", "put", "--treeobj", f"x={a}")
    watches, first = watches_everywhere(calm, "--full", "x.d.k7")
    assert first == ["A7\n"] * (SIZE - 1)
    for i in range(40):
        calm.say(i % SIZE, "kvs", "put", "--no-merge", "--treeobj", f"x={(b, a)[i % 2]}")
        calm.say(i % SIZE, "kvs", "put", "--no-merge", "x.d.k8=something else")
    assert lines_of(watches, 40) == [["B7", "A7"] * 20] * (SIZE - 1)


# --- under load: watches of all kinds on all nodes, while three nodes commit as fast as they can

WATCH, UNIQ, APPEND, FULL, NO_MERGE, APPEND_OP = 4, 256, 512, 128, 64, 32
COMMITS = 30000 if os.environ.get("FLUX_LONG_TESTS") else 300


def val(text):
    return {"ver": 1, "type": "val", "data": base64.b64encode(text.encode()).decode()}


def text_of(m):
    assert m.errnum == 0, m.text
    return base64.b64decode(m.json["val"]["data"]).decode()


class Watcher(threading.Thread):
    """Takes what a watch delivers, until the last one."""

    def __init__(self, path, key, flags):
        super().__init__(daemon=True)
        self.client = Client(path)
        self.seen = [text_of(self.client.rpc("kvs-watch.lookup", {"key": key, "flags": WATCH | flags, "namespace": "primary"}, flags=STREAMING))]
        self.start()

    def run(self):
        while not self.seen[-1].endswith("end\n"):
            self.seen.append(text_of(self.client.recv()))
        self.client.close()


class Committer(threading.Thread):
    """Commits one after the other, 32 of them under way."""

    def __init__(self, path, flags, op):
        super().__init__(daemon=True)
        self.path, self.flags, self.op = path, flags, op
        self.start()

    def run(self):
        c = Client(self.path)
        for i, text in enumerate(TEXTS):
            payload = json.dumps({"namespace": "primary", "flags": self.flags, "ops": [self.op(text)]})
            c.send(topic="kvs.commit", payload=payload.encode() + b"\0", aux2=i + 1)
            if i >= 32:
                assert c.recv().errnum == 0
        self.failed = [m.text for m in (c.recv() for _ in range(32)) if m.errnum]
        c.close()


TEXTS = [f"{i}\n" for i in range(COMMITS)] + ["end\n"]


def test_no_watch_of_any_kind_misses_anything_while_three_nodes_commit(calm):
    calm.say(0, "kvs", "put", "k=begin", "log=begin\n", "d.a.k=begin")
    version = calm.say(0, "kvs", "version")
    paths = [f"{calm.node(r)}/local" for r in range(SIZE)]
    for r in range(SIZE):
        calm.say(r, "kvs", "wait", version)
    watches = {(r, key, how): Watcher(paths[r], key, how)
               for r in range(SIZE) for key, how in (("k", 0), ("k", UNIQ), ("log", APPEND), ("d.a.k", FULL))}
    writers = [Committer(paths[1], NO_MERGE, lambda text: {"key": "k", "flags": 0, "dirent": val(text)}),
               Committer(paths[2], 0, lambda text: {"key": "log", "flags": APPEND_OP, "dirent": val(text)}),
               Committer(paths[3], NO_MERGE, lambda text: {"key": "d.a", "flags": 0, "dirent": {"ver": 1, "type": "dir", "data": {"k": val(text)}}})]
    for t in [*writers, *watches.values()]:
        t.join(300 + COMMITS / 100)
    assert [w.failed for w in writers] == [[]] * 3
    for (rank, key, how), w in watches.items():
        if how == APPEND:  # commits may have been merged, bytes are not lost
            assert "".join(w.seen) == "begin\n" + "".join(TEXTS), rank
        else:
            assert w.seen == ["begin", *TEXTS], (rank, key, how, rank and stats(calm, rank), calm.say(rank, "overlay", "errors"))


def test_a_fence_of_all_nodes_is_one_commit_in_each_namespace(calm):
    calm.say(1, "kvs", "namespace", "create", "fenced")
    clients = [Client(f"{calm.node(r)}/local") for r in range(SIZE)]

    def enter(c, ns, name, key, flags=0, dirent=val("1")):
        ops = [{"key": key, "flags": 0, "dirent": dirent}]
        c.tag += 1
        c.send(topic="kvs.fence", payload=json.dumps({"namespace": ns, "flags": flags, "name": name, "nprocs": SIZE, "ops": ops}).encode() + b"\0", aux2=c.tag)

    for ns in ("primary", "fenced"):
        for r, c in enumerate(clients):
            enter(c, ns, f"f-{ns}", f"fence.{r}")
        answers = [c.recv() for c in clients]
        assert [m.errnum for m in answers] == [0] * SIZE and len({m.json["rootseq"] for m in answers}) == 1
        assert [calm.say(r, "kvs", "ls", "-N", ns, "fence") for r in range(SIZE)] == ["0\n1\n2\n3"] * SIZE
        for r, c in enumerate(clients[:3]):
            enter(c, ns, f"g-{ns}", f"fence.later{r}", NO_MERGE)
        for errnum, args in ((errno.EOVERFLOW, (f"f-{ns}", "x")), (errno.EINVAL, (f"g-{ns}", "x")), (errno.EINVAL, (f"g-{ns}", "x", NO_MERGE, {"ver": 1, "type": "bad"}))):
            enter(clients[3], ns, *args)
            assert clients[3].recv().errnum == errnum
        leaver = Client(f"{calm.node(3)}/local")
        enter(leaver, ns, f"g-{ns}", "fence.later3", NO_MERGE)
        leaver.close()  # its part counts all the same
        assert [c.recv().errnum for c in clients[:3]] == [0] * 3
        assert calm.say(1, "kvs", "get", "-N", ns, *(f"fence.later{r}" for r in range(SIZE))) == "1\n1\n1\n1"
    for c in clients:
        c.close()
