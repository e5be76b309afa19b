# SPDX-License-Identifier: LGPL-3.0-or-later
"""The key-value store on nodes other than rank 0: they read what they know, and never fall behind what they were told."""
import json
import os
import re
import signal
import subprocess

import pytest

from embedded import wait_until
from test_hostile import build  # noqa: F401  (a fixture)
from test_tree import Tree

SIZE = 4


@pytest.fixture
def tree(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=SIZE) as t:
        yield t


def stats(t, rank, service="kvs"):
    return json.loads(t.say(rank, "module", "stats", service))


def start(t, rank, *args):
    env = {**t.env, "FLUX_URI": f"local://{t.node(rank)}/local"}
    return subprocess.Popen([t.fluxctl, *args], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_what_is_put_on_one_node_is_read_on_it_at_once_and_on_all_after_wait(tree):
    for i in range(20):
        rank = i % SIZE
        tree.say(rank, "kvs", "put", f"a.b={i}")
        assert tree.say(rank, "kvs", "get", "a.b") == str(i)
        version = tree.say(rank, "kvs", "version")
        for r in range(SIZE):
            tree.say(r, "kvs", "wait", version)
            assert tree.say(r, "kvs", "get", "a.b") == str(i)


def test_followers_read_from_memory_and_open_no_database(tree):
    tree.say(0, "kvs", "put", "x=1")
    version = tree.say(0, "kvs", "version")
    tree.say(3, "kvs", "wait", version)
    before = stats(tree, 0)["methods"].get("kvs.lookup", {"calls": 0})["calls"]
    for _ in range(10):
        assert tree.say(3, "kvs", "get", "x") == "1"
    assert stats(tree, 0)["methods"].get("kvs.lookup", {"calls": 0})["calls"] == before
    assert stats(tree, 3)["lookups"] >= 10
    for r in range(1, SIZE):
        assert not [f for _, _, files in os.walk(tree.node(r)) for f in files if "sqlite" in f]


def test_a_dropped_cache_is_filled_again_from_above(tree):
    value = "x" * 5000
    tree.say(0, "kvs", "put", f"long={value}")
    tree.say(3, "kvs", "wait", tree.say(0, "kvs", "version"))
    assert tree.say(3, "kvs", "get", "long") == value
    loads = stats(tree, 3, "content")["loads"]
    assert loads >= 1
    tree.say(3, "kvs", "dropcache")
    assert tree.say(3, "kvs", "get", "long") == value
    assert stats(tree, 3, "content")["loads"] == loads, "the content cache had it still"
    tree.say(3, "content", "dropcache")
    tree.say(3, "kvs", "dropcache")
    assert tree.say(3, "kvs", "get", "long") == value
    assert stats(tree, 3, "content")["loads"] > loads


def test_caches_of_all_nodes_are_dropped_by_one_command(tree):
    tree.say(0, "kvs", "put", *(f"d{i}.k={'x' * 1000}" for i in range(20)))
    for r in range(SIZE):
        tree.say(r, "kvs", "wait", tree.say(0, "kvs", "version"))
        assert tree.say(r, "kvs", "get", "d3.k")
    assert all(stats(tree, r)["cache-bytes"] > 0 for r in range(SIZE))
    tree.say(2, "kvs", "dropcache", "--all")
    for r in range(SIZE):
        wait_until("the cache to be empty", lambda r=r: stats(tree, r)["cache-bytes"] == 0)
        assert tree.say(r, "kvs", "get", "d3.k") == "x" * 1000


def test_other_namespaces_are_served_everywhere(tree):
    tree.say(2, "kvs", "namespace", "create", "mine")
    tree.say(3, "kvs", "put", "-N", "mine", "k=v")
    assert tree.say(1, "kvs", "get", "-N", "mine", "k") == "v"
    announced = stats(tree, 0)["announced"]
    tree.say(3, "kvs", "put", "-N", "mine", "k=w")
    assert stats(tree, 0)["announced"] == announced, "nobody is told of other namespaces"
    tree.say(1, "kvs", "link", "-T", "mine", "k", "there")
    tree.say(2, "kvs", "wait", tree.say(1, "kvs", "version"))
    assert tree.say(2, "kvs", "get", "there") == "w"
    tree.say(1, "kvs", "namespace", "remove", "mine")
    gone = tree.at(1, "kvs", "get", "-N", "mine", "k")
    assert gone.returncode != 0 and "namespace" in gone.stderr


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


def test_watches_on_all_followers_see_every_byte_while_commits_run(tree):
    tree.say(0, "kvs", "put", "log=begin\n")
    version = tree.say(0, "kvs", "version")
    watches = []
    for r in range(1, SIZE):
        tree.say(r, "kvs", "wait", version)
        w = start(tree, r, "kvs", "get", "--watch", "--append", "log")
        assert w.stdout.readline() == "begin\n"
        watches.append(w)
    for i in range(100):
        tree.say(i % SIZE, "kvs", "put", "--append", f"log={i}\n")
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


def test_watches_on_all_followers_see_every_commit_of_a_key_in_order(tree):
    tree.say(0, "kvs", "put", "k=begin", "other=0")
    watches, first = watches_everywhere(tree, "k")
    assert first == ["begin\n"] * (SIZE - 1)
    noise = start(tree, 2, "bulksubmit", "--wait", "--quiet", "true", ":::", *map(str, range(50)))
    for i in range(100):
        tree.say(i % SIZE, "kvs", "put", "--no-merge", f"k={i}")
    assert lines_of(watches, 100) == [[str(i) for i in range(100)]] * (SIZE - 1)
    assert noise.wait(timeout=60) == 0
    assert all(stats(tree, r)["gaps"] <= 1 for r in range(1, SIZE)), "the first root is one"


def test_watches_on_all_followers_see_a_directory_replaced(tree):
    for name in "AB":
        tree.say(0, "kvs", "put", *(f"{name}.d.k{n}={name}{n}" for n in range(40)))
    a, b = (tree.say(0, "kvs", "get", "--treeobj", name) for name in "AB")
    tree.say(0, "kvs", "put", "--treeobj", f"x={a}")
    watches, first = watches_everywhere(tree, "--full", "x.d.k7")
    assert first == ["A7\n"] * (SIZE - 1)
    for i in range(40):
        tree.say(i % SIZE, "kvs", "put", "--no-merge", "--treeobj", f"x={(b, a)[i % 2]}")
        tree.say(i % SIZE, "kvs", "put", "--no-merge", "x.d.k8=something else")
    assert lines_of(watches, 40) == [["B7", "A7"] * 20] * (SIZE - 1)
