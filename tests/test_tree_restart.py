# SPDX-License-Identifier: LGPL-3.0-or-later
"""Planned restarts of routers in a tree: what clients of all nodes see of them."""
import os
import signal

from embedded import wait_until
from test_hostile import build  # noqa: F401  (a fixture)
from test_tree import Tree, client_at


def restart(tree, rank):
    """SIGTERM, and the next process is there."""
    old = tree.daemon_pids("broker", rank)
    os.kill(old[0], signal.SIGTERM)
    wait_until("the next router", lambda: tree.daemon_pids("broker", rank) not in ([], old))


def test_a_node_that_was_deaf_while_rank_0s_router_was_restarted_gets_the_events_that_it_missed(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=2, topo=None) as tree:
        listener, publisher = client_at(tree, 1), client_at(tree, 0)
        assert listener.rpc("event.subscribe", {"topic": "n."}).errnum == 0
        (deaf,) = tree.daemon_pids("broker", 1)
        os.kill(deaf, signal.SIGSTOP)
        try:
            for i in range(800):  # more than the connection between the nodes takes
                payload = "eA" * 1000
                assert publisher.rpc("event.publish", {"topic": f"n.{i}", "flags": 0, "payload": payload}).errnum == 0
            restart(tree, 0)
            assert publisher.rpc("event.publish", {"topic": "n.800", "flags": 0}).errnum == 0
        finally:
            os.kill(deaf, signal.SIGCONT)
        assert [listener.recv().topic for _ in range(801)] == [f"n.{i}" for i in range(801)]
