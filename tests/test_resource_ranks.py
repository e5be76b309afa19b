# SPDX-License-Identifier: LGPL-3.0-or-later
"""Resources of several nodes: each says what it has, comes and goes with the tree, and is drained."""
import json
import os
import signal

import pytest
from embedded import CORES, NCORES, Instance, wait_until
from test_tree import Tree
from test_tree_config import configure, free_ports

SIZE = 4


class Nodes(Instance):
    """flux start -s4. A node is taken away by stopping its supervisor and killing its router, and brought back by
    letting the supervisor start it again."""

    def __init__(self, build, workdir, args=()):
        super().__init__(build, workdir, args=[f"--test-size={SIZE}", *args])
        self.stopped = {}

    def __exit__(self, *exc):
        for rank in list(self.stopped):
            self.bring_back(rank)
        super().__exit__(*exc)

    def node(self, rank):
        return os.path.join(os.path.dirname(self.rundir), str(rank))

    def node_env(self, rank):
        return {"FLUX_URI": f"local://{os.path.join(os.path.dirname(self.rundir), str(rank))}/local"}

    def take_away(self, rank):
        pid = int(self.flux("getattr", "broker.pid", env=self.node_env(rank)))
        supervisor = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
        os.kill(supervisor, signal.SIGSTOP)
        self.stopped[rank] = supervisor
        os.kill(pid, signal.SIGKILL)

    def bring_back(self, rank):
        os.kill(self.stopped.pop(rank), signal.SIGCONT)

    def kill_resource(self, rank):
        (pid,) = wait_until(f"flux-resource of rank {rank}", lambda: self.daemon_pids("resource", rank))
        os.kill(pid, signal.SIGKILL)

    def ranks(self, what, state):
        return self.flux("resource", what, "-s", state, "-no", "{ranks}")

    def wait_ranks(self, what, state, ranks):
        wait_until(f"{what}: {state} to be {ranks}",
                   lambda: self.run("resource", what, "-s", state, "-no", "{ranks}", check=False).stdout.strip() == ranks)


@pytest.fixture
def nodes(build, tmp_path):
    with Nodes(build, tmp_path) as n:
        if CORES < 2:  # they are configured, and not asked what they have
            n.wait_ranks("list", "free", "0-3")
        assert n.ranks("list", "free") == "0-3"  # all have come, and the scheduler knows them
        yield n


def test_every_node_says_what_it_has(nodes):
    assert nodes.flux("resource", "info") == f"{SIZE} Nodes, {SIZE * NCORES} Cores, 0 GPUs"
    assert nodes.flux("resource", "list", "-s", "free", "-no", "{rlist}").startswith("rank[0-3]/core")
    assert nodes.flux("resource", "status", "-no", "{state} {ranks}") == "avail 0-3"
    for what in ("list", "status", "list --json", "status --json"):  # a host is named once, however many nodes it has
        assert nodes.flux("resource", *what.split()).count(os.uname().nodename) == 1


def test_the_resources_are_shown_from_every_node(nodes):
    for rank in range(SIZE):
        assert nodes.flux("resource", "list", "-s", "free", "-no", "{ranks}", env=nodes.node_env(rank)) == "0-3"
        assert nodes.flux("resource", "status", "-s", "avail", "-no", "{ranks}", env=nodes.node_env(rank)) == "0-3"


def test_a_lost_node_is_down_and_offline_until_it_comes_back(nodes):
    nodes.take_away(3)
    nodes.wait_ranks("status", "offline", "3")
    nodes.wait_ranks("list", "down", "3")
    assert nodes.flux("resource", "status", "-no", "{state} {status} {ranks}").splitlines() == ["avail online 0-2", "avail* offline 3"]
    nodes.bring_back(3)
    nodes.wait_ranks("list", "free", "0-3")
    assert nodes.ranks("status", "online") == "0-3" and nodes.ranks("status", "offline") == ""


def test_no_job_is_given_a_lost_node(nodes):
    nodes.take_away(2)
    nodes.wait_ranks("list", "down", "2")
    submit = ["submit", "--setattr=system.exec.test.run_duration=100s"]
    three, four = nodes.flux(*submit, "-N3", "true"), nodes.flux(*submit, "-N4", "true")
    nodes.run("job", "wait-event", "-t", 30, three, "alloc")
    r = json.loads(nodes.flux("kvs", "get", "--raw", nodes.kvs_key(three, "R")))["execution"]["R_lite"]
    assert [e["rank"] for e in r] == ["0-1,3"]
    nodes.run("cancel", three)
    nodes.run("job", "wait-event", "-t", 30, three, "clean")
    assert "alloc" not in nodes.flux("job", "eventlog", four)
    nodes.bring_back(2)
    nodes.run("job", "wait-event", "-t", 30, four, "alloc")
    nodes.run("cancel", four)


def test_a_drained_node_stays_drained_when_it_is_lost_and_comes_back(nodes):
    nodes.flux("resource", "drain", "1", "to be rebooted", env=nodes.node_env(3))
    nodes.take_away(1)
    nodes.wait_ranks("status", "offline", "1")
    assert nodes.flux("resource", "drain", "-no", "{state} {ranks} {reason}") == "drained* 1 to be rebooted"
    nodes.bring_back(1)
    nodes.wait_ranks("status", "online", "0-3")
    assert nodes.flux("resource", "drain", "-no", "{state} {ranks} {reason}") == "drained 1 to be rebooted"
    assert nodes.ranks("list", "down") == "1"
    nodes.flux("resource", "undrain", "1")
    nodes.wait_ranks("list", "free", "0-3")


@pytest.mark.parametrize("rank", [0, 3])
def test_the_service_may_be_killed_anywhere_and_finds_the_nodes_again(nodes, rank):
    nodes.flux("resource", "drain", "2", "x")
    nodes.kill_resource(rank)
    nodes.wait_ranks("status", "avail", "0-1,3")  # asks the new one, and so waits until it knows all nodes
    nodes.wait_ranks("list", "free", "0-1,3")
    nodes.take_away(3)
    nodes.wait_ranks("list", "down", "2-3")
    nodes.bring_back(3)
    nodes.wait_ranks("list", "free", "0-1,3")


def test_a_node_that_is_away_is_not_forgotten_when_the_service_starts_again(nodes):
    nodes.take_away(3)
    nodes.wait_ranks("list", "down", "3")
    nodes.kill_resource(0)
    nodes.wait_ranks("status", "offline", "3")
    assert nodes.flux("resource", "info") == f"{SIZE} Nodes, {SIZE * NCORES} Cores, 0 GPUs"
    assert not [r["MESSAGE"] for r in nodes.log_records("resource") if "have come" in r["MESSAGE"]]  # nobody waited for it
    nodes.wait_ranks("list", "down", "3")
    nodes.bring_back(3)
    nodes.wait_ranks("list", "free", "0-3")


def test_a_node_that_lacks_what_is_configured_is_drained_and_the_others_work(build, tmp_path):
    host = os.uname().nodename
    (tmp_path / "conf").mkdir()
    r = {"version": 1, "execution": {"starttime": 0, "expiration": 0, "nodelist": [f"{host},{host},{host},{host}"],
         "R_lite": [{"rank": "0-2", "children": {"core": f"0-{CORES - 1}" if CORES > 1 else "0"}},
                    {"rank": "3", "children": {"core": f"0-{CORES}", "gpu": "0"}}]}}
    (tmp_path / "conf" / "R").write_text(json.dumps(r))
    (tmp_path / "conf" / "r.toml").write_text(f'[resource]\npath = "{tmp_path}/conf/R"\n')
    with Nodes(build, tmp_path, args=["-c", tmp_path / "conf"]) as n:
        n.wait_ranks("status", "drained", "3")
        (row,) = json.loads(n.flux("resource", "drain", "--json"))
        assert row["reason"] == f"rank 3 ({host}): core {CORES} and gpu 0 configured, not found"
        n.wait_ranks("list", "free", "0-2")
        n.flux("resource", "undrain", "3")
        n.wait_ranks("list", "free", "0-3")


def test_what_is_excluded_changes_when_the_configuration_is_read_again(build, tmp_path):
    conf = tmp_path / "conf"
    conf.mkdir()
    toml = conf / "resource.toml"
    toml.write_text('resource.exclude = "2"\n')
    with Nodes(build, tmp_path, args=["-c", conf]) as n:
        n.wait_ranks("list", "free", "0-1,3")
        assert n.ranks("list", "all") == "0-1,3"  # the scheduler does not know of it
        three = n.flux("submit", "--setattr=system.exec.test.run_duration=100s", "-N3", "true")
        n.run("job", "wait-event", "-t", 30, three, "alloc")
        toml.write_text('resource.exclude = "1,3"\n')
        n.flux("config", "reload")
        n.wait_ranks("status", "exclude", "1,3")
        n.wait_ranks("list", "down", "1,3")
        assert "2" in n.ranks("list", "free")  # a job has a part of the first
        n.run("cancel", three)
        n.run("job", "wait-event", "-t", 30, three, "clean")
        n.wait_ranks("list", "free", "0,2")
        toml.write_text('resource.exclude = 7\n')
        n.run("config", "reload", check=False)
        assert n.ranks("status", "exclude") == "1,3"
        toml.write_text("")
        n.flux("config", "reload")
        n.wait_ranks("list", "free", "0-3")
        assert n.flux("run", "-N4", "hostname").count("\n") == 3


def test_hosts_stay_drained_when_their_ranks_have_changed(build, tmp_path):
    def start(hosts):
        ports = free_ports(1)
        array = "\n".join(f'{{ host = "{h}", bind = "tcp://127.0.0.1:{ports[0]}", connect = "tcp://127.0.0.1:{ports[0]}" }},'
                          for h in hosts)
        conf = configure(build, tmp_path / "conf", array)
        work = tmp_path / "-".join(hosts)
        work.mkdir()
        (tmp_path / "state").mkdir(exist_ok=True)
        return Tree(build, work, size=len(hosts), args=[f"--test-hosts={','.join(hosts)}", "-Stbon.topo=kary:0", "-c", conf,
                                                        f"--statedir={tmp_path}/state"])

    def drained(tree):
        wait_until("all to join", lambda: tree.say(0, "overlay", "status", "-s") == "full")
        return tree.say(0, "resource", "status", "-s", "drained", "-no", "{ranks} {nodelist}")

    with start(["a0", "a1", "a2", "a3"]) as t:
        wait_until("all nodes", lambda: t.say(0, "resource", "status", "-s", "avail", "-no", "{ranks}") == "0-3")
        t.say(0, "resource", "drain", "a1,a3", "bad", "memory")
        assert drained(t) == "1,3 a[1,3]"
    with start(["a0", "a2", "a3", "a1"]) as t:
        wait_until("all nodes", lambda: t.say(0, "resource", "status", "-s", "all", "-no", "{ranks}").endswith("3"))
        assert drained(t) == "2-3 a[3,1]"
