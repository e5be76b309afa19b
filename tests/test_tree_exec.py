# SPDX-License-Identifier: LGPL-3.0-or-later
"""flux exec on the ranks of an instance."""
import os
import signal

import pytest

from embedded import wait_until
from test_hostile import build  # noqa: F401  (a fixture)
from test_tree import Tree


@pytest.fixture(scope="module")
def tree(build, tmp_path_factory):  # noqa: F811
    with Tree(build, tmp_path_factory.mktemp("exec"), size=4) as t:
        yield t


def test_every_rank_runs_it_and_says_which_it_is(tree):
    out = tree.say(2, "exec", "-l", "sh", "-c", "echo $FLUX_URI")
    assert sorted(out.splitlines()) == [f"{r}: local://{tree.node(r)}/local" for r in range(4)]
    assert sorted(tree.say(0, "exec", "-l", "-r1,3", "echo", "x").splitlines()) == ["1: x", "3: x"]


def test_input_goes_to_all(tree):
    assert sorted(tree.say(1, "exec", "-l", "cat", input="a\nb\n").splitlines()) == \
        [f"{r}: {c}" for r in range(4) for c in "ab"]
    assert tree.say(1, "exec", "-n", "-l", "cat") == ""


def test_the_largest_status_counts(tree):
    script = f"case $FLUX_URI in *{tree.node(2)}/local) exit 5;; *) exit 3;; esac"
    assert tree.at(0, "exec", "sh", "-c", script).returncode == 5
    assert tree.at(0, "exec", "-r3", "sh", "-c", "kill -TERM $$").returncode == 128 + signal.SIGTERM
    assert tree.at(0, "exec", "true").returncode == 0


def test_a_rank_that_is_not_there_is_status_68_and_named(tree):
    done = tree.at(0, "exec", "-r9", "true")
    assert done.returncode == 68 and "there is no rank 9, the instance has 4 nodes" in done.stderr


def test_a_lost_node_is_status_68_and_the_others_go_on(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=4, args=["-Stbon.topo=kary:0"]) as t:
        pid = t.pid(3)
        supervise = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
        os.kill(supervise, signal.SIGKILL)  # and all of its node with it
        wait_until("rank 3 to be lost", lambda: t.say(0, "overlay", "status", "-s") == "degraded")
        done = t.at(0, "exec", "-l", "echo", "here")
        assert done.returncode == 68
        assert sorted(done.stdout.splitlines()) == ["0: here", "1: here", "2: here"]
        assert "rank 3" in done.stderr and "was lost" in done.stderr
