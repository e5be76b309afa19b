# SPDX-License-Identifier: LGPL-3.0-or-later
"""Commands that look at all nodes, or at one of many: each is asked where it is, and one that is lost is named and not waited
for.

Seven nodes of this host in a binary tree: 0 above 1 and 2, 1 above 3 and 4, 2 above 5 and 6."""
import json
import os
import re
import signal
import subprocess

import pytest

from embedded import wait_until
from test_hostile import build  # noqa: F401  (a fixture)
from test_tree import SIZE, Tree

HOSTS = "--test-hosts=a[0-6]"


@pytest.fixture(scope="module")
def tree(build, tmp_path_factory):  # noqa: F811
    with Tree(build, tmp_path_factory.mktemp("commands"), args=[HOSTS]) as t:
        yield t


@pytest.fixture
def wounded(build, tmp_path):  # noqa: F811
    """Rank 4 is lost, rank 5 is connected and says nothing."""
    with Tree(build, tmp_path, args=[HOSTS]) as t:
        four, five = t.pid(4), t.pid(5)
        os.kill(four, signal.SIGSTOP)
        os.kill(five, signal.SIGSTOP)
        t.say(0, "overlay", "disconnect", 4)
        yield t
        os.kill(four, signal.SIGCONT)
        os.kill(five, signal.SIGCONT)


def env(tree, rank):
    return {**tree.env, "FLUX_URI": f"local://{tree.node(rank)}/local"}


def records(tree, *args):
    return [json.loads(l) for l in tree.say(3, "dmesg", "--json", *args).splitlines()]


def test_dmesg_merges_the_logs_of_nodes_by_time_and_names_them(tree):
    for i in (6, 0, 3, 0):
        tree.say(i, "logger", "-s", "warning", f"merge {i}")
    merged = records(tree, "--all", "-s", "logger", "-l", "warning")
    times = [int(r["__REALTIME_TIMESTAMP"]) for r in merged]
    assert times == sorted(times)
    assert [(r["_HOSTNAME"], r["FLUX_RANK"], r["MESSAGE"]) for r in merged if "merge" in r["MESSAGE"]] == [
        (f"a{i}", str(i), f"merge {i}") for i in (6, 0, 3, 0)]
    assert {r["_HOSTNAME"] for r in records(tree, "--rank=a[1-2,4]")} == {"a1", "a2", "a4"}
    assert "_HOSTNAME" not in records(tree)[0]
    assert {r["_HOSTNAME"] for r in records(tree, "-a", "--tail=1")} == {f"a{i}" for i in range(SIZE)}
    assert len(records(tree, "-a", "--tail=2")) == 2 * SIZE


def test_dmesg_for_people_tells_how_much_time_passed(tree):
    for word in ("one", "two"):
        tree.say(2, "logger", "-s", "err", f"human {word}")
    lines = tree.say(2, "dmesg", "-H", "-s", "logger", "-l", "err").splitlines()
    assert re.match(r"\[[A-Z][a-z]{2}[0-9]{2} [0-9]{2}:[0-9]{2}\] logger.err\[2\]: ", lines[0])
    assert re.match(r"\[ +\+[0-9]+\.[0-9]{6}\] logger.err\[2\]: human two$", lines[-1])
    assert "\033[31mhuman two\033[0m" in tree.say(2, "dmesg", "-H", "--color", "-s", "logger", "-l", "err")
    assert "exclude each other" in tree.at(2, "dmesg", "-H", "--json").stderr


def test_dmesg_follows_all_nodes(tree):
    tree.say(2, "logger", "old news")
    p = subprocess.Popen([tree.fluxctl, "dmesg", "--all", "--new", "-s", "logger"], env=env(tree, 1), text=True,
                         stdout=subprocess.PIPE)
    # each node's follower is there when a record of it comes: so records are written until it does
    seen = set()
    while len(seen) < SIZE:
        for i in set(range(SIZE)) - seen:
            tree.say(i, "logger", f"new {i}")
        line = p.stdout.readline()
        assert "old news" not in line
        seen.add(int(re.search(r" a([0-9]) logger.info\[[0-9]\]: new \1$", line).group(1)))
    p.terminate()
    p.communicate()


def test_dmesg_hides_what_was_cleared_on_the_nodes_that_are_named(tree):
    for i in range(SIZE):
        tree.say(i, "logger", "before")
    here = ["-s", "logger"]
    assert tree.say(0, "dmesg", "-r", "1-3", "--clear") == ""
    assert {r["FLUX_RANK"] for r in records(tree, "-a", *here)} == {"0", "4", "5", "6"}
    assert {r["FLUX_RANK"] for r in records(tree, "-r", "0-4", "--read-clear", *here)} == {"0", "4"}
    assert {r["FLUX_RANK"] for r in records(tree, "-a", *here)} == {"5", "6"}
    tree.say(4, "logger", "after")
    assert {r["FLUX_RANK"] for r in records(tree, "-a", *here)} == {"4", "5", "6"}


def test_nodes_that_do_not_answer_are_named_and_not_waited_for(wounded):
    done = wounded.at(0, "dmesg", "--all", "--timeout=0.3s")
    assert done.returncode == 1
    assert {l.split()[1] for l in done.stdout.splitlines()} == {f"a{i}" for i in (0, 1, 2, 3, 6)}
    assert "rank 4 (a4): cannot read its log: rank 4 was lost" in done.stderr
    assert "rank 5 (a5): no answer within 0.3 s; its log is left out" in done.stderr
    done = wounded.at(0, "hwloc", "info", "-r", "0,4,6")
    assert done.returncode == 1 and done.stdout.startswith("2 Machines, ")
    assert "rank 4: cannot get its topology: rank 4 was lost" in done.stderr


def counts(tree, *args):
    return json.loads(tree.say(3, "hwloc", "info", "--json", *args))


def test_hwloc_adds_up_the_nodes_that_are_named(tree):
    one = counts(tree, "-r", 5)
    assert one["machines"] == 1
    assert counts(tree) == {k: SIZE * n for k, n in one.items()}
    assert counts(tree, "-r", "1-2,6") == counts(tree, "--rank=a[1-2,6]") == {k: 3 * n for k, n in one.items()}
    assert tree.say(3, "hwloc", "topology", "-r", "1-2").count("<topology") == 2
    r = tree.at(3, "hwloc", "info", "-r", "a9")
    assert r.returncode == 1 and "no node has the name a9" in r.stderr
