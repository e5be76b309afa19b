# SPDX-License-Identifier: LGPL-3.0-or-later
"""Commands that look at all nodes, or at one of many: each is asked where it is, and one that is lost is named and not waited
for.

Seven nodes of this host in a binary tree: 0 above 1 and 2, 1 above 3 and 4, 2 above 5 and 6."""
import json
import os
import re
import signal
import subprocess
import threading

import pytest

from embedded import wait_until, with_enough_time
from test_groups import loadable_library
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
    for n, i in enumerate((6, 0, 3, 0)):
        tree.say(i, "logger", "-s", "warning", f"merge {n}")
        wait_until("it to be written", lambda: f"merge {n}" in tree.say(i, "dmesg"))  # logger does not wait for that
    merged = records(tree, "--all", "-s", "logger", "-l", "warning")
    times = [int(r["__REALTIME_TIMESTAMP"]) for r in merged]
    assert times == sorted(times)
    assert [(r["_HOSTNAME"], r["FLUX_RANK"], r["MESSAGE"]) for r in merged if "merge" in r["MESSAGE"]] == [
        (f"a{i}", str(i), f"merge {n}") for n, i in enumerate((6, 0, 3, 0))]
    assert {r["_HOSTNAME"] for r in records(tree, "--rank=a[1-2,4]")} == {"a1", "a2", "a4"}
    assert "_HOSTNAME" not in records(tree)[0]
    assert {r["_HOSTNAME"] for r in records(tree, "-a", "--tail=1")} == {f"a{i}" for i in range(SIZE)}
    assert len(records(tree, "-a", "--tail=2")) == 2 * SIZE


def test_dmesg_for_people_tells_how_much_time_passed(tree):
    for word in ("one", "two"):
        tree.say(2, "logger", "-s", "err", f"human {word}")
        wait_until("it to be written", lambda: f"human {word}" in tree.say(2, "dmesg"))
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
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(p.stdout.readline, "")), daemon=True)
    reader.start()

    def all_seen():
        seen = {int(re.search(r" a([0-9]) logger.info\[[0-9]\]: new \1$", line).group(1)) for line in list(lines)}
        for i in set(range(SIZE)) - seen:
            tree.say(i, "logger", f"new {i}")
        return len(seen) == SIZE

    wait_until("records of all", all_seen)
    p.terminate()
    reader.join()
    assert not [line for line in lines if "old news" in line]
    p.wait()


def test_dmesg_goes_on_following_a_node_that_comes_back(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, args=[HOSTS]) as t:
        p = subprocess.Popen([t.fluxctl, "dmesg", "-r", "4,6", "-f", "-s", "logger"], env=env(t, 0), text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        t.say(4, "logger", "before")
        assert "before" in p.stdout.readline()
        os.kill(t.pid(1), signal.SIGKILL)
        assert re.match(r"flux-dmesg: rank 4 \(a4\): its log is not followed until it is back: rank 1 ", p.stderr.readline())
        t.say(4, "logger", "meanwhile")
        assert p.stderr.readline() == "flux-dmesg: rank 4 (a4): followed again\n"
        assert "meanwhile" in p.stdout.readline()
        t.say(6, "logger", "other")
        assert "other" in p.stdout.readline()
        p.terminate()
        p.communicate()


def test_dmesg_hides_what_was_cleared_on_the_nodes_that_are_named(tree):
    for i in range(SIZE):
        tree.say(i, "logger", "-n", "clearing", "before")
    here = ["-s", "clearing"]
    wait_until("all to be written", lambda: len(records(tree, "-a", *here)) == SIZE)
    assert tree.say(0, "dmesg", "-r", "1-3", "--clear") == ""
    assert {r["FLUX_RANK"] for r in records(tree, "-a", *here)} == {"0", "4", "5", "6"}
    assert {r["FLUX_RANK"] for r in records(tree, "-r", "0-4", "--read-clear", *here)} == {"0", "4"}
    assert {r["FLUX_RANK"] for r in records(tree, "-a", *here)} == {"5", "6"}
    tree.say(4, "logger", "-n", "clearing", "after")
    wait_until("the new one", lambda: {r["FLUX_RANK"] for r in records(tree, "-a", *here)} == {"4", "5", "6"})


def test_nodes_that_do_not_answer_are_named_and_not_waited_for(wounded):
    def shown_within(seconds):
        done = wounded.at(0, "dmesg", "--all", f"--timeout={seconds}s")
        return (done, seconds) if {l.split()[1] for l in done.stdout.splitlines()} == {f"a{i}" for i in (0, 1, 2, 3, 6)} else None

    done, seconds = with_enough_time(shown_within)
    assert done.returncode == 1
    assert "rank 4 (a4): cannot read its log: rank 4 was lost" in done.stderr
    assert f"rank 5 (a5): no answer within {seconds} s; its log is left out" in done.stderr
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


def test_ping_finds_a_service_of_any_rank_and_says_when_there_is_none(tree):
    for args, start in (((6,), "6!broker.ping"), (("4!kvs",), "4!kvs.ping"), (("-r", "upstream", "kvs"), "kvs.ping"),
                        (("-r", 5, "resource"), "5!resource.ping")):
        assert tree.say(3, "ping", "-c1", *args).startswith(f"{start} pad=0 seq=0 time=")
    assert "rank 0 has no node above it" in tree.at(0, "ping", "-c1", "-r", "upstream").stderr
    assert "this instance has 7 nodes" in tree.at(3, "ping", "-c1", 7).stderr
    assert "userid=" in tree.say(3, "ping", "-c1", "-u", "0!sched")


def test_attributes_belong_to_a_node(tree):
    tree.say(5, "setattr", "test.mine", "five")
    assert tree.say(5, "getattr", "test.mine") == "five" and "test.mine" in tree.say(5, "lsattr").split()
    assert tree.at(4, "getattr", "test.mine").returncode == 1
    tree.say(5, "setattr", "--expunge", "test.mine")
    assert tree.at(5, "getattr", "test.mine").returncode == 1
    assert [tree.say(r, "getattr", "rank") for r in range(SIZE)] == [str(r) for r in range(SIZE)]
    assert "cannot be changed" in tree.at(5, "setattr", "rank", "0").stderr


def test_an_event_comes_back_to_who_published_it_on_any_node(tree):
    for rank in range(SIZE):
        tree.say(rank, "event", "pub", "--loopback", "--synchronous", "test.loop", '{"a":1}')
        tree.say(rank, "event", "pub", "-rl", "test.loop", "raw", "text")


def test_services_of_another_node_are_listed_and_counted(tree):
    pid = {r: tree.say(r, "getattr", "broker.pid") for r in (3, 5)}
    assert tree.say(3, "module", "stats", "-r5", "-p", "pid") == pid[5] != pid[3]
    listed = {s["name"]: s for s in json.loads(tree.say(3, "module", "list", "-r", 5, "--json"))}
    here = {s["name"]: s for s in json.loads(tree.say(5, "module", "list", "--json"))}
    assert listed["resource"]["pid"] == here["resource"]["pid"] and listed["resource"]["idle"] >= 0
    assert "sched" not in listed
    assert tree.say(3, "module", "list", "resource").splitlines()[0].split() == ["SERVICE", "STATE", "PID", "UID", "MESSAGES", "IDLE"]


def test_statistics_are_cleared_on_all_ranks_that_have_the_service(tree):
    def counted(rank):
        return json.loads(tree.say(rank, "module", "stats", "broker"))["methods"].get("attr.list", {"calls": 0})["calls"]
    for rank in range(SIZE):
        tree.say(rank, "lsattr")
    assert 0 not in [counted(r) for r in range(SIZE)]
    tree.say(4, "module", "stats", "--clear-all", "broker")
    assert [counted(r) for r in range(SIZE)] == [0] * SIZE
    tree.say(4, "module", "stats", "--clear-all", "sched")  # rank 0 alone has it
    assert "no rank has a service nosuch" in tree.at(4, "module", "stats", "-C", "nosuch").stderr


SYNC = """
import ctypes, sys
f = ctypes.CDLL(sys.argv[1], use_errno=True)
for n in ("flux_open", "flux_sync_create"):
    getattr(f, n).restype = ctypes.c_void_p
h = ctypes.c_void_p(f.flux_open(None, 0))
future = ctypes.c_void_p(f.flux_sync_create(h, ctypes.c_double(0)))
for _ in range(2):
    assert f.flux_future_get(future, None) == 0
    f.flux_future_reset(future)
"""


def test_the_heartbeat_is_felt_on_every_node_and_after_its_router_has_come_back(build, tmp_path):  # noqa: F811
    library = loadable_library(build)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a.toml").write_text("[heartbeat]\nperiod = 0.1\n")
    with Tree(build, tmp_path, args=["-c", tmp_path / "conf"]) as t:
        def feel():
            procs = [subprocess.Popen(["python3", "-c", SYNC, library], env=env(t, r)) for r in (0, 3, 6)]
            return [p.wait(60) for p in procs]
        assert feel() == [0] * 3
        old = t.pid(1)
        os.kill(old, signal.SIGKILL)
        wait_until("rank 1 to be back", lambda: t.at(3, "ping", "-c1", 0).returncode == 0)
        assert feel() == [0] * 3
