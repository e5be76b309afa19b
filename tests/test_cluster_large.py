# SPDX-License-Identifier: LGPL-3.0-or-later
"""The system instance on eight booted nodes, three levels of the tree below rank 0: what four are too few for."""
import os

import pytest
from embedded import wait_until
from systemd_node import unusable
from test_cluster import booted, flux, summary

SIZE = 8
ALL = [f"node{i}" for i in range(SIZE)]
pytestmark = [pytest.mark.skipif(unusable() is not None, reason=str(unusable())),
              pytest.mark.skipif("FLUX_LONG_TESTS" not in os.environ, reason="a long test: set FLUX_LONG_TESTS=1")]


def hosts_of_a_job(nodes, frm):
    return sorted(flux(nodes[frm], "run", f"-N{SIZE}", "hostname").stdout.split())


def test_eight_nodes_lose_an_interior_router_and_a_link_and_heal(build, tmp_path):
    with booted(build, tmp_path, SIZE) as nodes:
        assert flux(nodes[7], "getattr", "tbon.level").stdout == "3\n"
        assert hosts_of_a_job(nodes, 0) == hosts_of_a_job(nodes, 7) == ALL
        flux(nodes[7], "kvs", "put", "from=node7")
        job = flux(nodes[0], "submit", f"-N{SIZE}", "sleep", "1000").stdout.strip()
        flux(nodes[0], "job", "wait-event", "-t60", job, "start")
        nodes[1].run("kill", "-9", nodes[1].main_pid("flux-broker"))  # above 3, 4 and 7
        wait_until("the tree to be whole", lambda: summary(nodes[0]) == "full" and
                   flux(nodes[7], "ping", "-c1", "-r0", "broker", check=False).returncode == 0, timeout=60)
        assert flux(nodes[0], "jobs", "-no", "{status_abbrev}").stdout == "R\n"
        flux(nodes[0], "cancel", job)
        flux(nodes[0], "job", "wait-event", "-t60", job, "clean")
        nodes[3].link("down")
        wait_until("node3 and node7 to be down", lambda: "node[3,7]" in
                   flux(nodes[0], "resource", "list", "-sdown", check=False).stdout, timeout=60)
        assert sorted(flux(nodes[0], "run", "-N6", "hostname").stdout.split()) == [h for h in ALL if h not in ("node3", "node7")]
        nodes[3].link("up")
        wait_until("all to be up", lambda: summary(nodes[0]) == "full" and
                   "node[0-7]" in flux(nodes[0], "resource", "list", "-sfree", check=False).stdout, timeout=60)
        assert hosts_of_a_job(nodes, 3) == ALL
        for node in nodes:
            assert flux(node, "kvs", "get", "from").stdout == "node7\n"
            assert "sleep 1000" not in node.sh("ps -eo args").stdout
