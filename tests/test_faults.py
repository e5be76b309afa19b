# SPDX-License-Identifier: LGPL-3.0-or-later
"""Daemons killed while jobs run and wait: every acknowledged job ends exactly once, running tasks are not touched
(hardening.md, I1-I4)."""
import contextlib
import json
import os
import signal
import time

import pytest
from embedded import NCORES, wait_until
from rawclient import Client
from soak import jobspec, sign, soak

DAEMONS = ["broker", "content", "kvs", "job-ingest", "job-manager", "sched", "exec", "resource", "job-list"]


def start_jobs(instance, out, go):
    """2 running jobs that wait for the file go, and 20 queued ones behind them. Every task appends to its file."""
    script = f'echo start >> {out}/$FLUX_JOB_CC; while [ ! -e {go} ]; do sleep 0.05; done; echo end >> {out}/$FLUX_JOB_CC'
    cores = max(1, NCORES // 2)
    running = instance.flux("submit", "--cc=1-2", "-c", cores, "sh", "-c", script).split()
    wait_until("2 running tasks", lambda: all((out / str(i)).exists() for i in (1, 2)))
    queued = instance.flux("submit", "--cc=3-22", "sh", "-c", f"echo start >> {out}/$FLUX_JOB_CC; echo end >> {out}/$FLUX_JOB_CC").split()
    assert len(running) == 2 and len(queued) == 20
    return running, queued


def check_all_ended_once(instance, jobs, out):
    def states():
        r = instance.run("jobs", "-an", "-c", "0", "-o", "{id.f58} {state} {result}", check=False)
        return {l.split()[0]: l.split()[1:] for l in r.stdout.splitlines()} if r.returncode == 0 else {}

    final = wait_until("all jobs inactive", lambda: all((s := states()).get(j, [""])[0] == "INACTIVE" for j in jobs) and s, timeout=60)
    assert {j: final[j] for j in jobs} == {j: ["INACTIVE", "COMPLETED"] for j in jobs}
    assert {p.name: p.read_text() for p in out.iterdir()} == {str(i): "start\nend\n" for i in range(1, 23)}
    for j in jobs:
        names = [e["name"] for e in instance.eventlog(j)]
        for once in ("submit", "start", "finish", "free", "clean"):
            assert names.count(once) == 1, (j, names)


@pytest.mark.parametrize("daemon", DAEMONS)
def test_kill_9_of_a_daemon_loses_no_job_and_repeats_none(fresh_instance, tmp_path, daemon):
    instance = fresh_instance
    out, go = tmp_path / "out", tmp_path / "go"
    out.mkdir()
    running, queued = start_jobs(instance, out, go)
    if daemon == "job-list":
        instance.flux("jobs")
    victim = instance.kill_daemon(daemon)
    wait_until("the victim to be gone", lambda: victim not in instance.daemon_pids(daemon))
    go.touch()
    check_all_ended_once(instance, running + queued, out)


def holdings(instance, jobid):
    """(time of alloc, time of free, cores)"""
    times = {e["name"]: e["timestamp"] for e in instance.eventlog(jobid)}
    r = json.loads(instance.flux("job", "info", jobid, "R"))
    return times["alloc"], times["free"], r["execution"]["R_lite"][0]["children"]["core"]


@pytest.mark.parametrize("daemon", ["job-manager", "sched", "exec", "kvs"])
def test_kill_9_while_cores_change_hands_gives_none_to_two_jobs(fresh_instance, daemon):
    """Simulated jobs, so that hardly anything else happens."""
    instance = fresh_instance
    jobs = instance.flux("submit", "--cc=1-80", "-c", NCORES, "--setattr=exec.test.run_duration=0.008s", "true").split()
    victims = []
    for _ in range(2):
        wait_until("a daemon to kill", lambda: instance.daemon_pids(daemon) not in ([], victims))
        victims = [instance.kill_daemon(daemon)]
    for j in jobs:
        wait_until("the end of all", lambda: instance.eventlog(j)[-1]["name"] == "clean", timeout=60)
        names = [e["name"] for e in instance.eventlog(j)]
        assert [names.count(n) for n in ("alloc", "start", "finish", "free", "clean")] == [1] * 5, names
    held = sorted(holdings(instance, j) for j in jobs)
    assert all(before[1] <= after[0] for before, after in zip(held, held[1:])), held


def test_kill_9_of_all_daemons_at_once(fresh_instance, tmp_path):
    instance = fresh_instance
    out, go = tmp_path / "out", tmp_path / "go"
    out.mkdir()
    running, queued = start_jobs(instance, out, go)
    for daemon in DAEMONS:
        for pid in instance.daemon_pids(daemon):
            with contextlib.suppress(ProcessLookupError):  # it ended by itself: the router is gone
                os.kill(pid, 9)
    go.touch()
    check_all_ended_once(instance, running + queued, out)


def test_a_client_that_watches_a_job_survives_a_router_restart(fresh_instance, tmp_path):
    instance = fresh_instance
    p = instance.popen("run", "sh", "-c", f"echo before; touch {tmp_path}/up; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo after; exit 7")
    wait_until("task is up", (tmp_path / "up").exists)
    instance.kill_daemon("broker")
    (tmp_path / "go").touch()
    out, err = p.communicate(timeout=60)
    assert (p.returncode, out) == (7, "before\nafter\n"), err


def test_a_planned_restart_of_the_router_is_not_noticed_by_an_attached_client(fresh_instance, tmp_path):
    instance = fresh_instance
    p = instance.popen("run", "sh", "-c", f"echo before; touch {tmp_path}/up; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo after; exit 7")
    wait_until("task is up", (tmp_path / "up").exists)
    others = {d: instance.daemon_pids(d) for d in DAEMONS if d != "broker"}
    for _ in range(3):
        old = instance.kill_daemon("broker", signal.SIGTERM)
        wait_until("the next router", lambda: instance.daemon_pids("broker") not in ([], [old]))
    assert {d: instance.daemon_pids(d) for d in others} == others  # nobody else noticed either
    (tmp_path / "go").touch()
    out, err = p.communicate(timeout=60)
    assert (p.returncode, out, err) == (7, "before\nafter\n", "")


def test_an_acknowledged_commit_survives_kill_9_of_the_store_and_the_kvs(fresh_instance):
    instance = fresh_instance
    for i in range(20):
        # One that was under way to the killed one may get ECONNRESET: it is not acknowledged.
        wait_until("an acknowledgement", lambda: instance.run("kvs", "put", f"kept.k{i}={i}", check=False).returncode == 0)
        instance.kill_daemon("content" if i % 2 else "kvs")
        value = wait_until("the value to be readable", lambda: instance.run("kvs", "get", f"kept.k{i}", check=False).stdout.strip())
        assert value == str(i)
    assert len(instance.flux("kvs", "ls", "kept").split()) == 20


def test_a_restarted_job_list_answers_with_all_jobs_at_once(fresh_instance):
    instance = fresh_instance
    jobs = instance.flux("submit", "--cc=1-5", "--wait", "true").split()
    # Neither the index nor the journal knows them: the job manager is new, and job-list was never asked before.
    instance.kill_daemon("job-manager")
    instance.run("job", "attach", instance.flux("submit", "true"))
    listed = instance.flux("jobs", "-an", "-o", "{id.f58}").split()
    assert set(jobs) <= set(listed)


def active(instance):
    """What the KVS has of jobs that have not ended."""
    return instance.run("kvs", "ls", "job-active", check=False).stdout


def test_a_stored_job_is_acknowledged_although_its_ingest_ends(fresh_instance, tmp_path):
    """It has been stored, the job manager has not confirmed yet, and the router dies: an error would be a lie."""
    instance = fresh_instance
    before = instance.flux("submit", "true")
    instance.flux("job", "wait-event", before, "clean")
    wait_until("no active job", lambda: not active(instance))
    manager = instance.kill_daemon("job-manager", signal.SIGSTOP)
    c = Client(os.path.join(instance.rundir, "leader", "job-ingest"))
    c.send(topic="job-ingest.submit", aux2=1, payload=json.dumps(
        {"J": sign(jobspec("true", tmp_path)), "urgency": 16, "flags": 0}).encode() + b"\0")
    wait_until("the job to be stored", lambda: active(instance))
    instance.kill_daemon("broker")
    m = c.recv()
    os.kill(manager, signal.SIGKILL)
    assert m.errnum == 0, m.text
    wait_until("the end", lambda: instance.run("job", "attach", m.json["id"], check=False).returncode == 0)
    c.close()


def test_twenty_random_kills_under_load_lose_and_repeat_nothing(fresh_instance, tmp_path):
    """Clients see ECONNRESET at most. The long run of this is tools/soak."""
    out = tmp_path / "out"
    out.mkdir()
    report = soak(fresh_instance, out, kills=20, seed=20)
    print(report.summary())
    assert not report.problems
    assert len(report.killed) == 20 and set(report.killed) == set(DAEMONS)
    assert len(report.load.acknowledged) >= 100 and len(report.load.kept) >= 10


def test_a_shell_that_begins_while_the_router_dies_can_be_found_afterwards(fresh_instance, tmp_path):
    """Its registration was on the way. Daemons call one another directly, so the job begins without a router."""
    instance = fresh_instance
    instance.flux("run", "true")
    router = instance.kill_daemon("broker", signal.SIGSTOP)
    c = Client(os.path.join(instance.rundir, "leader", "job-ingest"))
    J = sign(jobspec(f"touch {tmp_path}/up; head -n 1", tmp_path))
    id = c.rpc("job-ingest.submit", {"J": J, "urgency": 16, "flags": 0}).json["id"]
    c.close()
    wait_until("the task", (tmp_path / "up").exists)
    os.kill(router, signal.SIGKILL)
    r = instance.run("job", "attach", id, input="found\n", timeout=60)
    assert r.stdout == "found\n"
