# SPDX-License-Identifier: LGPL-3.0-or-later
"""The life of an instance: its states, its end in good order over the tree, the list of its runs, safe mode."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from embedded import Instance, tmpdir_of_the_killed, wait_until
from rawclient import STREAMING, Client
from test_hostile import build  # noqa: F401  (a fixture)
from test_tree import Tree

STATE = re.compile(r" \d\d:\d\d:\d\d (\w+) (\S+),  owner \w+,  depth 0,  size (\d+)")


def start(build, *args, cmd, timeout=60, cwd=None):  # noqa: F811
    """fluxctl start with a program, to its end."""
    fluxctl = str(build / "fluxctl" / "fluxctl")
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLUX_")}
    with tmpdir_of_the_killed() as env["TMPDIR"]:
        return subprocess.run([fluxctl, "start", "--embedded", *map(str, args), "--", "sh", "-c", cmd.replace("flux ", f"{fluxctl} ")],
                              env=env, text=True, capture_output=True, timeout=timeout, cwd=cwd)


def test_every_node_says_in_which_state_the_instance_is(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=3) as t:
        for rank in range(3):
            wait_until("run", lambda: (m := STATE.match(t.at(rank, "uptime").stdout)) and m.group(1, 3) == ("run", "3"))


def test_nodes_below_a_router_that_is_started_again_run_again(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=7) as t:
        os.kill(t.pid(1), signal.SIGKILL)
        wait_until("run again", lambda: all((m := STATE.match(t.at(r, "uptime").stdout)) and m.group(1) == "run" for r in (1, 3, 4)))


def test_the_state_is_watched_by_a_stream(build, tmp_path):  # noqa: F811
    with Instance(build, tmp_path) as i:
        c = Client(os.path.join(i.rundir, "local"))
        c.send(topic="state-machine.monitor", aux2=1, flags=STREAMING)
        assert c.recv().json["state"] == "run"
        i.run("shutdown")
        states = [c.recv().json["state"] for _ in range(4)]
        assert states == ["cleanup", "shutdown", "finalize", "goodbye"]


def test_the_end_of_the_program_cancels_what_runs_and_keeps_what_waits(build, tmp_path):  # noqa: F811
    state = tmp_path / "state"
    one = start(build, f"--statedir={state}", cwd=tmp_path, cmd="""
        flux submit -n1 sleep 1000 >running
        flux job wait-event $(cat running) start >/dev/null
        flux submit --urgency=hold true >waiting; cat running waiting; exit 7""")
    assert one.returncode == 7, one.stderr
    running, waiting = one.stdout.split()
    two = start(build, f"--statedir={state}", cmd=f"""
        flux job eventlog {running}; flux job urgency {waiting} default; flux job attach {waiting}; flux job last""")
    assert two.returncode == 0, two.stderr
    assert re.search(r" exception type=.?cancel.* severity=0 .*the instance is being shut down", two.stdout), two.stdout
    assert re.search(r" clean$", two.stdout, re.M)


def test_shutdown_ends_all_nodes_from_any_of_them_and_the_program_gets_sighup(build, tmp_path):  # noqa: F811
    began = time.monotonic()
    done = start(build, "-s5", "-Stbon.topo=kary:2", f"--rundir={tmp_path}", cwd=tmp_path, cmd=f"""
        flux submit -N5 sleep 1000 >job
        flux job wait-event $(cat job) start >/dev/null
        (trap '' HUP; FLUX_URI=local://{tmp_path}/4/local flux shutdown --verbose)  # it is part of the program
        exec sleep 1000""")
    assert done.returncode == 128 + signal.SIGHUP, done.stderr
    assert "cleanup: waiting for 1 job to end: " in done.stderr
    assert time.monotonic() - began < 30
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True).stdout
    assert left == ""


def test_a_node_that_hangs_holds_the_shutdown_up_no_longer_than_its_limit_and_is_named(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=3, args=["-Sbroker.shutdown-timeout=0.5s", "--test-exit-timeout=0.5s"]) as t:
        pid = t.pid(2)
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        done = t.run("shutdown", "--quiet")
        assert time.monotonic() - began < 30
        assert re.fullmatch(r"flux-shutdown: not waiting any longer for nodes: \S+ \(rank 2\)\n", done.stderr)


def test_a_job_that_does_not_end_holds_the_shutdown_up_no_longer_than_its_limit_and_is_named(build, tmp_path):  # noqa: F811
    with Instance(build, tmp_path, args=["-Sbroker.cleanup-timeout=0.3s"]) as i:
        job = i.flux("submit", "sh", "-c", f"trap '' TERM; echo deaf; while :; do sleep 0.1; : {tmp_path}; done")
        out = i.flux("job", "id", "--to=kvs", job) + ".guest.output"
        wait_until("it to be deaf", lambda: "deaf" in i.run("kvs", "eventlog", "get", "-u", out, check=False).stdout)
        done = i.run("shutdown")
        assert f"waiting for 1 job to end: {job}" in done.stderr
        assert f"not waiting any longer for jobs: {job}" in done.stderr
    left = subprocess.run(["pgrep", "-f", f"while :; do sleep 0.1; : {tmp_path}"], capture_output=True, text=True).stdout
    assert left == ""


def test_only_the_owner_shuts_down_and_only_rank_0_is_asked(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=2) as t:
        c = Client(os.path.join(t.rundir, "local"))
        assert c.rpc("state-machine.shutdown", userid=777, rolemask=2).errnum == 1
        assert c.rpc("state-machine.shutdown", payload={"hold": 7}).errnum == 71
        follower = Client(os.path.join(t.node(1), "local"))
        assert follower.rpc("state-machine.shutdown").errnum == 22
        assert STATE.match(t.at(1, "uptime").stdout)


@pytest.mark.parametrize("setting", ["broker.shutdown-timeout=soon", "broker.cleanup-timeout=-1s", "broker.quorum-warn="])
def test_a_limit_that_is_no_duration_is_refused(build, setting):  # noqa: F811
    done = start(build, f"-S{setting}", cmd="true")
    assert done.returncode == 1 and setting.split("=")[0] in done.stderr


def test_startlog_lists_runs_and_tells_a_crash_from_an_end(build, tmp_path):  # noqa: F811
    state = f"--statedir={tmp_path}/state"
    time_ = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
    assert start(build, state, cmd="flux startlog --check").returncode == 0
    done = start(build, state, cmd="flux startlog --check && kill -9 $PPID")
    assert re.fullmatch(rf"{time_} - {time_} \(.*\)\n{time_} - running \(.*\)\n", done.stdout), done.stderr
    done = start(build, state, cmd="flux startlog -v; flux startlog --check --quiet; echo $?")
    assert re.fullmatch(rf"{time_} - {time_} \(.*\) \[\S+\]\n{time_} - crashed \[\S+\]\n{time_} - running \(.*\) \[\S+\]\n1\n",
                        done.stdout), done.stderr
    runs = json.loads(start(build, state, cmd="flux startlog --json --check").stdout)
    assert [r["state"] for r in runs] == ["ended", "crashed", "ended", "running"] and ["finish" in r for r in runs] == [True, False, True, False]
    assert all(r["version"] and r["start"] > 1e9 for r in runs)


def test_a_router_that_is_started_again_goes_on_with_the_run(build, tmp_path):  # noqa: F811
    with Instance(build, tmp_path, args=["--statedir", tmp_path / "state"]) as i:
        for sig in (signal.SIGKILL, signal.SIGTERM):
            i.flux("startlog")
            i.kill_daemon("broker", sig)
            wait_until("the router", lambda: i.run("getattr", "rank", check=False).returncode == 0)
        assert len(i.flux("startlog").splitlines()) == 1
        i.run("startlog", "--check")


def test_after_a_crash_nothing_is_started_until_the_administrator_says_so_if_configured(build, tmp_path):  # noqa: F811
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "broker.toml").write_text("[broker]\nsafe-mode = true\n")
    args = [f"--statedir={tmp_path}/state", f"--config-path={conf}"]
    start(build, *args, cmd="flux submit --urgency=hold true && flux startlog && kill -9 $PPID")
    done = start(build, *args, cmd="""
        flux run true; flux uptime; flux queue status
        flux queue enable && flux queue start && flux run echo it runs""")
    assert "not shut down properly" in done.stderr
    assert "submit disabled,  scheduler stopped" in done.stdout
    assert done.stdout.endswith("it runs\n"), done.stdout + done.stderr
    done = start(build, *args, cmd="flux run echo and so on")  # the run before ended in order
    assert done.stdout == "and so on\n", done.stderr


def test_the_kvs_is_archived_in_the_last_moment(build, tmp_path):  # noqa: F811
    archive = tmp_path / "dump.tgz"
    done = start(build, "-s2", cmd=f"flux kvs put last=word; flux shutdown --dump={archive}")
    assert archive.exists(), done.stderr
    done = start(build, cmd=f"flux restore --key=old {archive} && flux kvs get old.last")
    assert done.stdout.endswith("word\n"), done.stderr


def test_what_nobody_needs_is_removed_in_the_last_moment(build, tmp_path):  # noqa: F811
    began = time.monotonic()
    done = start(build, cmd="flux kvs put a=$(printf %0999d 1); flux kvs put a=$(printf %0999d 2); flux shutdown --gc")
    assert re.search(r"removed [1-9]\d* of \d+ blobs", done.stdout), done.stderr
    assert time.monotonic() - began < 30


def test_jobs_nobody_can_tell_of_do_not_hold_the_end_up(build, tmp_path):  # noqa: F811
    """The job manager cannot start: the store was written by a newer version."""
    state = tmp_path / "state"
    start(build, f"--statedir={state}", cmd="flux kvs put a=1")
    with open(state / "content.sqlite", "r+b") as f:
        f.seek(60)  # PRAGMA user_version
        f.write((1000).to_bytes(4, "big"))
    began = time.monotonic()
    done = start(build, f"--statedir={state}", cmd="true")
    assert done.returncode == 0 and time.monotonic() - began < 30, done.stderr
