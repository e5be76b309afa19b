# SPDX-License-Identifier: LGPL-3.0-or-later
"""Jobs on several nodes: shells on every rank of R, signals, exits, and daemons or nodes that go away meanwhile."""
import contextlib
import errno
import json
import os
import signal

import pytest

from embedded import wait_until
from rawclient import Client
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
    return next(iter(tree.daemon_pids(name, rank)), None)


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


def short_patience(path):
    """A configuration in which a node is lost after a second."""
    path.mkdir()
    (path / "exec.toml").write_text('[exec]\nnode-timeout = "1s"\nreconcile-delay = "1s"\n')
    return path


@contextlib.contextmanager
def cut_off(tree, rank):
    """The router of a leaf is gone, and nobody starts it again meanwhile."""
    router = tree.pid(rank)
    supervise = int(open(f"/proc/{router}/stat").read().rsplit(")", 1)[1].split()[1])
    os.kill(supervise, signal.SIGSTOP)
    os.kill(router, signal.SIGKILL)
    try:
        yield
    finally:
        os.kill(supervise, signal.SIGCONT)


def exceptions(tree, job):
    events = [json.loads(e) for e in tree.say(0, "job", "eventlog", "-f", "json", job).splitlines()]
    return [(e["context"]["type"], e["context"]["severity"], e["context"]["note"]) for e in events if e["name"] == "exception"]


@pytest.mark.parametrize("hangs", [False, True], ids=["a shell that works", "a shell that hangs"])
def test_a_node_that_stays_away_ends_the_job_and_keeps_nothing_of_it_when_it_is_back(build, tmp_path, hangs):  # noqa: F811
    with Tree(build, tmp_path, size=4, args=["-Stbon.topo=kary:0", "-c", short_patience(tmp_path / "conf")]) as t:
        job = submit_sleep(t)
        (shell,) = tasks(t, [b"flux-shell", t.say(0, "job", "id", "--to=dec", job).encode()])[3]
        if hangs:
            os.kill(shell, signal.SIGSTOP)
        with cut_off(t, 3):
            t.say(0, "job", "wait-event", "-t30", job, "clean")
            ((kind, severity, note),) = exceptions(t, job)  # one, and it says which node
            assert (kind, severity) == ("node-failure", 0)
            assert f"{os.uname().nodename} (rank 3) is lost" in note
            assert set(tasks(t, SLEEP)) <= {3}  # which nobody can reach now
            assert not hangs or any(map(str.isdigit, os.listdir(f"{t.node(3)}/jobs")))
        wait_until("its task to be gone", lambda: tasks(t, SLEEP) == {})
        wait_until("its shell to be gone", lambda: not os.path.exists(f"/proc/{shell}"))
        wait_until("its record to be gone", lambda: not any(map(str.isdigit, os.listdir(f"{t.node(3)}/jobs"))))
        assert t.at(0, "run", "-N4", "true").returncode == 0


def test_a_node_that_is_back_in_time_goes_on_with_its_tasks(tree):
    job = submit_sleep(tree)
    before = tasks(tree, SLEEP)
    with cut_off(tree, 3):
        wait_until("the node to be seen lost", lambda: "lost" in tree.say(0, "overlay", "status"))
    wait_until("it to be back", lambda: tree.at(0, "ping", "-c1", "-r", 3, "rexec").returncode == 0)
    wait_until("its shell to be taken up", lambda: "found its shell" in open(f"{tree.node(3)}/log/exec.log").read())
    assert tree.at(0, "run", "-N4", "true").returncode == 0
    assert tasks(tree, SLEEP) == before and exceptions(tree, job) == []
    tree.say(0, "cancel", job)
    tree.say(0, "job", "wait-event", "-t30", job, "clean")


def test_rank_0_that_was_started_a_moment_ago_ends_no_shell_that_it_does_not_know(tree):
    assert tree.at(0, "run", "-N4", "true").returncode == 0
    old = daemon(tree, "exec", 0)
    os.kill(old, signal.SIGKILL)
    back(tree, "exec", 0, old)
    c = Client(f"{tree.node(0)}/node/rexec")
    answer = c.rpc("rexec.job-over", {"rank": 3, "ids": [7]})
    assert answer.errnum == errno.EAGAIN and "not all jobs" in answer.text
    answer = Client(f"{tree.node(3)}/node/rexec").rpc("rexec.job-over", {"rank": 3, "ids": [7]})
    assert answer.errnum == errno.EINVAL
