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
