# SPDX-License-Identifier: LGPL-3.0-or-later
"""Jobs on several nodes: shells on every rank of R, signals, exits, and daemons or nodes that go away meanwhile."""
import os
import signal

import pytest

from embedded import wait_until
from test_hostile import build  # noqa: F401  (a fixture)
from test_tree import Tree


@pytest.fixture
def tree(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=4) as t:
        yield t


def tasks(tree, what):
    """{rank: [pid]} of processes with this command line in this instance."""
    top = os.path.dirname(tree.rundir).encode()
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")[:2] != what:
                continue
            env = open(f"/proc/{pid}/environ", "rb").read().split(b"\0")
        except OSError:
            continue
        for e in env:
            if e.startswith(b"FLUX_URI=local://" + top + b"/"):
                found.setdefault(int(e.split(b"/")[-2]), []).append(int(pid))
    return found


def daemon(tree, name, rank):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == f"flux-{name}" and \
               f"FLUX_RUNDIR={tree.node(rank)}".encode() in open(f"/proc/{pid}/environ", "rb").read().split(b"\0"):
                return int(pid)
        except OSError:
            continue
    return None


SLEEP = [b"sleep", b"1000"]


def submit_sleep(tree, nodes=4, *options):
    job = tree.say(0, "submit", f"-N{nodes}", *options, "sleep", "1000")
    wait_until("all tasks to run", lambda: len(tasks(tree, SLEEP)) == nodes)
    return job


def test_a_job_has_its_tasks_on_every_node(tree):
    out = tree.say(2, "run", "-N4", "-n8", "-l", "sh", "-c",
                   'echo $FLUX_TASK_RANK $FLUX_JOB_SIZE $FLUX_JOB_NNODES ${FLUX_URI%/local}')
    lines = sorted(out.splitlines(), key=lambda s: int(s.split(":")[0]))
    assert [s.split()[1:4] for s in lines] == [[str(i), "8", "4"] for i in range(8)]
    assert [s.split("/")[-1] for s in lines] == ["0", "0", "1", "1", "2", "2", "3", "3"]


def test_the_highest_status_of_all_nodes_is_the_jobs(tree):
    assert tree.at(0, "run", "-N4", "sh", "-c", "exit $FLUX_TASK_RANK").returncode == 3
    assert tree.at(0, "run", "-N3", "true").returncode == 0


def test_input_reaches_every_node(tree):
    assert tree.say(0, "run", "-N4", "cat", input="hello\n").splitlines() == ["hello"] * 4


def test_a_job_may_run_where_the_leader_is_not(tree):
    busy = submit_sleep(tree, 1, "--exclusive")
    (rank,) = tasks(tree, SLEEP)
    out = tree.say(0, "run", "-N3", "sh", "-c", "echo ${FLUX_URI%/local}")
    assert sorted(int(s.split("/")[-1]) for s in out.splitlines()) == [r for r in range(4) if r != rank]
    tree.say(0, "cancel", busy)


def test_cancel_ends_the_tasks_of_all_nodes(tree):
    job = submit_sleep(tree)
    tree.say(3, "cancel", job)
    tree.say(0, "job", "wait-event", "-t30", job, "clean")
    assert tasks(tree, SLEEP) == {}


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_outlives_a_restart_of_flux_exec_anywhere(tree, rank, sig):
    job = submit_sleep(tree)
    before = tasks(tree, SLEEP)
    old = daemon(tree, "exec", rank)
    os.kill(old, sig)
    wait_until("flux-exec to be back", lambda: tree.at(rank, "ping", "-c1", "-r", rank, "rexec").returncode == 0 and
               daemon(tree, "exec", rank) not in (None, old))
    assert tasks(tree, SLEEP) == before
    tree.say(0, "cancel", job)
    tree.say(0, "job", "wait-event", "-t30", job, "clean")
    wait_until("the tasks to be gone", lambda: tasks(tree, SLEEP) == {})


def submit_sleep_elsewhere(tree):
    """On all nodes but rank 0, which another job has."""
    tree.say(0, "submit", "-N1", "--exclusive", "sleep", "2000")
    job = submit_sleep(tree, 3)
    assert set(tasks(tree, SLEEP)) == {1, 2, 3}
    return job


def back(tree, name, rank, old):
    wait_until(f"flux-{name} to be back", lambda: tree.at(rank, "ping", "-c1", "-r", rank, {"exec": "rexec"}.get(name, name)).returncode == 0
               and daemon(tree, name, rank) not in (None, old))


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_without_a_shell_on_rank_0_outlives_a_restart_of_its_leader(tree, sig):
    job = submit_sleep_elsewhere(tree)
    before = tasks(tree, SLEEP)
    for name in ("exec", "job-manager", "exec"):
        old = daemon(tree, name, 0)
        os.kill(old, sig)
        back(tree, name, 0, old)
        assert tree.at(0, "job", "wait-event", "-t0.3", job, "finish").returncode != 0
    assert tasks(tree, SLEEP) == before
    tree.say(0, "cancel", job)
    tree.say(0, "job", "wait-event", "-t30", job, "clean")
    assert tasks(tree, SLEEP) == {}


def test_a_job_that_is_canceled_while_its_leader_restarts_leaves_no_task_on_other_nodes(tree):
    job = submit_sleep_elsewhere(tree)
    supervise = int(open(f"/proc/{tree.pid(0)}/stat").read().rsplit(")", 1)[1].split()[1])
    os.kill(supervise, signal.SIGSTOP)  # nobody starts it again, until the exception is in the eventlog
    os.kill(daemon(tree, "exec", 0), signal.SIGKILL)
    tree.say(0, "cancel", job)
    os.kill(supervise, signal.SIGCONT)
    tree.say(0, "job", "wait-event", "-t30", job, "clean")
    assert tasks(tree, SLEEP) == {}


def test_the_tasks_of_other_nodes_end_with_the_shell_of_rank_0_although_nobody_saw_it_go(tree):
    job = submit_sleep(tree)
    (shell,) = tasks(tree, [b"flux-shell", tree.say(0, "job", "id", "--to=dec", job).encode()])[0]
    supervise = int(open(f"/proc/{tree.pid(0)}/stat").read().rsplit(")", 1)[1].split()[1])
    os.kill(supervise, signal.SIGSTOP)
    os.kill(daemon(tree, "exec", 0), signal.SIGKILL)
    os.kill(shell, signal.SIGKILL)
    os.kill(supervise, signal.SIGCONT)
    tree.say(0, "job", "wait-event", "-t30", job, "clean")
    assert tasks(tree, SLEEP) == {}
    assert "vanished" in tree.say(0, "job", "eventlog", job)


def test_a_job_outlives_a_router_that_is_killed(tree):
    job = submit_sleep(tree)
    before = tasks(tree, SLEEP)
    os.kill(tree.pid(1), signal.SIGKILL)
    wait_until("rank 1 and 3 to be back", lambda: tree.at(0, "ping", "-c1", "-r", 3, "rexec").returncode == 0)
    assert tasks(tree, SLEEP) == before
    assert "R" in tree.say(0, "jobs", "-no", "{status_abbrev}")
    tree.say(0, "cancel", job)
    tree.say(0, "job", "wait-event", "-t30", job, "clean")
    wait_until("the tasks to be gone", lambda: tasks(tree, SLEEP) == {})


def test_a_node_that_stays_away_ends_the_job_and_keeps_no_task_of_it_when_it_is_back(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=4, args=["-Stbon.topo=kary:0"]) as t:
        job = submit_sleep(t)
        router = t.pid(3)
        supervise = int(open(f"/proc/{router}/stat").read().rsplit(")", 1)[1].split()[1])
        os.kill(supervise, signal.SIGSTOP)  # nobody starts the router again
        os.kill(router, signal.SIGKILL)
        try:
            t.say(0, "job", "wait-event", "-t55", job, "clean")
            assert "node-failure" in t.say(0, "job", "eventlog", job)
            assert "rank 3 is lost" in t.say(0, "job", "eventlog", job)
            assert set(tasks(t, SLEEP)) <= {3}  # which nobody can reach now
        finally:
            os.kill(supervise, signal.SIGCONT)
        wait_until("its task to be gone", lambda: tasks(t, SLEEP) == {})
        assert t.at(0, "run", "-N4", "true").returncode == 0
