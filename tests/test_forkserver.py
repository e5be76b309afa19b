# SPDX-License-Identifier: LGPL-3.0-or-later
"""Job shells that are wanted in quick succession are forked from one that is loaded; nobody can tell them from those that
are executed, and nothing that happens to the process that forks them is noticed by jobs."""
import contextlib
import json
import os
import pathlib
import signal

import pytest
from embedded import Instance, wait_until

JOBS = 8


def stats(i):
    return json.loads(i.flux("module", "stats", "job-exec"))


def forked(i):
    return stats(i)["forked"]


def submit(i, n, *command):
    return [i.flux("submit", *command) for _ in range(n)]


def shells(pid):
    """The shells among the children of a process, with their command lines as ps shows them."""
    got = {}
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            ppid = int(path.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1])
            words = path.joinpath("cmdline").read_text().rstrip("\0").split("\0")
        except (OSError, ValueError):
            continue
        if ppid == pid and words[0] == "flux-shell" and not words[1].startswith("--"):
            got[int(path.name)] = " ".join(words)
    return got


def kill_server(i, sig=signal.SIGKILL):
    """0: there is none, because shells come slowly or it has just been killed."""
    pid = stats(i)["fork-server"]
    if pid > 0:
        with contextlib.suppress(ProcessLookupError):  # it may be gone since it was named
            os.kill(pid, sig)
    return pid


@pytest.fixture
def forking(fresh_instance):
    """An instance whose fork server has forked a shell."""
    i = fresh_instance

    def one_was():
        submit(i, 2, "true")
        return forked(i) > 0

    wait_until("shells to be forked", one_was)
    i.flux("queue", "drain")
    return i


def test_forked_shells_run_their_tasks_as_executed_ones(forking):
    before = forked(forking)
    script = "echo $FLUX_JOB_ID $FLUX_TASK_RANK $(ps -o sid= -p $PPID) $PPID ${LD_BIND_NOW-unset}; exit 3"
    ids = submit(forking, JOBS, "sh", "-c", script)
    for jobid in ids:
        r = forking.run("job", "attach", jobid, check=False)
        words = r.stdout.split()
        assert r.returncode == 3 and words[0] == forking.flux("job", "id", "--to=f58", jobid) and words[1] == "0"
        assert words[2] == words[3], "the shell leads its session"
        assert words[4] == "unset"
    assert forked(forking) > before


def test_ps_shows_a_forked_shell_as_an_executed_one(forking):
    before = forked(forking)
    submit(forking, 2, "true")
    jobid = forking.flux("submit", "sleep", "1000")
    forking.flux("job", "wait-event", "-p", "exec", jobid, "shell.start")
    assert forked(forking) > before
    decimal = forking.flux("job", "id", "--to=dec", jobid)
    found = shells(forking.daemon_pids("exec")[0])
    assert list(found.values()) == [f"flux-shell {decimal}"]
    forking.flux("cancel", jobid)
    forking.run("job", "wait-event", jobid, "clean")
    assert not pathlib.Path(f"/proc/{list(found)[0]}").exists(), "it is reaped"


def test_jobs_do_not_notice_that_the_fork_server_is_killed(forking):
    exec_pid = forking.daemon_pids("exec")
    running = forking.flux("submit", "sleep", "1000")
    ids, killed = [], 0
    for _ in range(10):
        ids += submit(forking, 3, "true")
        killed += kill_server(forking) > 0
    assert killed > 0
    forking.flux("job", "wait-event", running, "start")
    assert forking.flux("jobs", "-no", "{state}", running) == "RUN"
    for jobid in ids:
        assert forking.run("job", "attach", jobid, check=False).returncode == 0
    forking.flux("cancel", running)
    forking.flux("queue", "drain")
    assert forking.daemon_pids("exec") == exec_pid
    wait_until("every shell to be reaped", lambda: not shells(exec_pid[0]))


def test_a_stopped_fork_server_delays_jobs_but_loses_none(forking):
    assert kill_server(forking, signal.SIGSTOP) > 0
    ids = submit(forking, 3, "true")
    for jobid in ids:
        assert forking.run("job", "attach", jobid, check=False).returncode == 0


def test_a_restart_of_flux_exec_ends_the_fork_server_and_no_job(forking, tmp_path):
    up, go = tmp_path / "up", tmp_path / "go"
    submit(forking, 2, "true")
    jobid = forking.flux("submit", "sh", "-c", f"echo up >{up}; while [ ! -e {go} ]; do sleep 0.05; done; exit 5")
    wait_until("the task", up.exists)
    pid = stats(forking)["fork-server"]
    assert pid > 0
    old = forking.kill_daemon("exec")
    wait_until("the fork server to end", lambda: not pathlib.Path(f"/proc/{pid}").exists())
    go.touch()
    assert forking.run("job", "attach", jobid, check=False).returncode == 5
    assert forking.daemon_pids("exec")[0] != old


def test_a_shell_that_the_configuration_names_is_always_executed(build, tmp_path):
    script, called = tmp_path / "shell", tmp_path / "called"
    script.write_text(f'#!/bin/sh\necho "$@" >> {called}\nexec {build}/shell/flux-shell "$@"\n')
    script.chmod(0o755)
    (tmp_path / "exec.toml").write_text(f'[exec]\njob-shell = "{script}"\n')
    with Instance(build, tmp_path, args=["-c", str(tmp_path)]) as i:
        ids = submit(i, JOBS, "true")
        i.flux("queue", "drain")
        assert sorted(called.read_text().split()) == sorted(i.flux("job", "id", "--to=dec", jobid) for jobid in ids)
        assert forked(i) == 0
