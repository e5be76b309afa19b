# SPDX-License-Identifier: LGPL-3.0-or-later
"""fluxctl start: options for the router, state that is kept and state that is not."""
import contextlib
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest
from embedded import DAEMONS, NCORES, Instance, wait_until
from rawclient import Client


def start(build, *args, **variables):
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLUX_")} | variables
    return subprocess.run([str(build / "fluxctl" / "fluxctl"), "start", "--embedded", *map(str, args)], env=env,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("option", ["-o,--setattr=x=y", "-Sx=y", "-o,-S,x=y"])
def test_attributes_are_set_at_the_start(build, option):
    r = start(build, option, "--", build / "fluxctl" / "fluxctl", "getattr", "x")
    assert (r.returncode, r.stdout) == (0, "y\n"), r.stderr


@pytest.mark.parametrize("option,sentence", [
    ("-Srank=7", "attribute rank cannot be set"),
    ("-Sx", "expected NAME=VALUE"),
    ("-o,--nonsense", "unknown option --nonsense"),
    ("-o,word", "unexpected argument 'word'"),
    ("-Slog-stderr-level=8", "'8' is no number from 0 to 7"),
    ("-Slog-stderr-mode=leader", "each node shows its own records"),
    ("-Slog-level=8", "expected a number from 0 to 7"),
    ("-Slog-filename=/nonexistent/log", "cannot write '/nonexistent/log': No such file"),
])
def test_what_the_router_cannot_take_is_told_by_the_command(build, option, sentence):
    r = start(build, option, "--", "true")
    assert r.returncode == 1 and "flux-broker did not start" in r.stderr and sentence in r.stderr, r


def test_what_the_daemons_of_all_nodes_log_is_shown_if_asked_for(build):
    r = start(build, "-s2", "-o,-S,log-stderr-level=6", "--", build / "fluxctl" / "fluxctl", "run", "true")
    assert r.returncode == 0
    for daemon in ("broker.info[0]", "broker.info[1]", "job-manager.info[0]"):
        assert f"\n{daemon}: " in r.stderr, r.stderr
    assert start(build, "--", "true").stderr == ""


def test_what_the_daemons_of_all_nodes_log_is_copied_to_a_file_if_asked_for(build, tmp_path):
    r = start(build, "-s2", f"-Slog-filename={tmp_path}/log", "-Slog-forward-level=6", "-Slog-critical-level=6", "--", "true")
    assert r.returncode == 0 and "\nbroker.info[1]: " in r.stderr, r
    lines = (tmp_path / "log").read_text().splitlines()
    for daemon in ("broker.info[0]", "broker.info[1]", "job-manager.info[0]"):
        assert any(re.match(rf"20\d\d-\d\d-\d\dT[0-9:.]+Z {re.escape(daemon)}: ", x) for x in lines), lines
    assert not any(".debug[" in x for x in lines)


def test_what_daemons_know_from_their_start_on_is_not_set_later(instance):
    for name in ("log-filename", "log-forward-level", "log-critical-level"):
        assert "cannot be changed; `flux start -S` sets it" in instance.run("setattr", name, "3", check=False).stderr
    assert "log-level is a number from 0 to 7" in instance.run("setattr", "log-level", "8", check=False).stderr


def test_an_instance_ends_with_any_node_and_with_the_highest_status(build):
    script = "p=$(FLUX_URI=${FLUX_URI%/0/local}/1/local $0 getattr broker.pid); kill -9 $(ps -o ppid= $p); exec sleep 1000"
    r = start(build, "-s2", "--", "sh", "-c", script, build / "fluxctl" / "fluxctl")
    assert r.returncode == 128 + 15 and "node 1 ended with status 137" in r.stderr, r  # 15: so the program was ended


@pytest.mark.parametrize("size", [1, 2])
def test_a_missing_tmpdir_is_told_by_the_command(build, monkeypatch, size):
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    r = start(build, f"-s{size}", "--", "true")
    assert r.returncode == 1 and "cannot create a directory in /nonexistent: No such file" in r.stderr, r


@pytest.mark.parametrize("variable", [None, "FLUX_URI", "SLURM_JOB_ID", "PMI_FD", "PMI_RANK", "PMI_LIBRARY"])
def test_what_somebody_else_launched_is_not_given_to_the_users_systemd(build, tmp_path, variable):
    (tmp_path / "systemd").mkdir()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(tmp_path / "systemd" / "private"))
        env = {k: v for k, v in os.environ.items() if not k.startswith(("FLUX_", "PMI_", "SLURM_"))}
        env.update({"XDG_RUNTIME_DIR": str(tmp_path), **({variable: "1"} if variable else {})})
        r = subprocess.run([build / "fluxctl" / "fluxctl", "start", "-X", "-v", "true"], env=env, capture_output=True, text=True, timeout=60)
    assert r.returncode == 0 and ("--user-manager" in r.stdout + r.stderr) == (variable is None), r


def test_what_a_batch_system_signals_to_all_processes_disturbs_no_daemon_and_reaches_the_tasks(fresh_instance):
    job = fresh_instance.flux("submit", "sh", "-c", "trap 'echo got it; exit 0' USR1; echo up; while :; do sleep 0.1; done").strip()
    fresh_instance.flux("job", "wait-event", "-p", "guest.output", job, "data")
    pids = {d: fresh_instance.daemon_pids(d) for d in DAEMONS}
    assert pids["broker"] and pids["exec"]
    for sig in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGALRM, signal.SIGUSR2, signal.SIGUSR1):
        for pid in sum(pids.values(), []):
            os.kill(pid, sig)
    assert fresh_instance.flux("run", "echo", "well") == "well"
    assert {d: fresh_instance.daemon_pids(d) for d in DAEMONS if pids[d]} == {d: p for d, p in pids.items() if p}
    fresh_instance.flux("job", "kill", "-s", "USR1", job)
    assert "got it" in fresh_instance.flux("job", "attach", job)


def content_sync(inst):
    return Client(inst.rundir + "/local").rpc("content.stats-get").json["sync"]


def environment(inst, daemon):
    (pid,) = inst.daemon_pids(daemon)
    with open(f"/proc/{pid}/environ", "rb") as f:
        return dict(v.split("=", 1) for v in f.read().decode().split("\0") if v)


def test_an_instance_without_a_state_directory_keeps_nothing_and_syncs_nothing(fresh_instance):
    fresh_instance.run("kvs", "put", "a=1")
    fresh_instance.run("jobs", "-a")
    for daemon in ("broker", "content", "kvs", "job-list"):
        assert "STATE_DIRECTORY" not in environment(fresh_instance, daemon)
    files = os.listdir(fresh_instance.rundir)
    assert "content.sqlite" in files and "job-list.sqlite" in files and "state" not in files
    assert fresh_instance.run("getattr", "statedir", check=False).returncode != 0
    assert content_sync(fresh_instance) == "off"


def test_jobs_and_keys_survive_in_a_state_directory(build, tmp_path):
    state = tmp_path / "state"
    go = tmp_path / "go"
    args = [f"--statedir={state}"]
    with Instance(build, tmp_path, args) as inst:
        assert environment(inst, "broker")["STATE_DIRECTORY"] == str(state)
        inst.run("kvs", "put", "kept=here")
        done = inst.flux("submit", "--cc=1-3", "--wait", "true").split()
        assert content_sync(inst) == "full"
        running = inst.flux("submit", "-n", NCORES, "sleep", "1000")
        inst.run("job", "wait-event", running, "start")
        queued = inst.flux("submit", "touch", go)
    assert not go.exists()
    with Instance(build, tmp_path, args) as inst:
        assert inst.flux("kvs", "get", "kept") == "here"

        def results():
            rows = [line.split() for line in inst.flux("jobs", "-an", "-o", "{id.f58} {state} {result}").splitlines()]
            return {r[0]: r[1:] for r in rows}

        assert {*done, running, queued} <= set(results())
        assert all(results()[j] == ["INACTIVE", "COMPLETED"] for j in done)
        wait_until("the queued job has run", lambda: results()[queued] == ["INACTIVE", "COMPLETED"])
        assert go.exists()
        assert results()[running][0] == "INACTIVE" and results()[running][1] in ("FAILED", "CANCELED")


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_nobody_is_told_that_he_cannot_own_an_instance(build):
    r = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", build / "fluxctl" / "fluxctl",
         "start", "--embedded", "--", "true"], capture_output=True, text=True, timeout=60)
    assert r.returncode != 0 and "names nobody" in r.stderr


@pytest.mark.parametrize("wrap", ["env,WRAPPED=yes", "strace,-f,-o,/dev/null"])  # in its process, and in one below
def test_the_router_can_be_run_under_another_program(build, wrap):
    if not shutil.which(wrap.split(",")[0]):
        pytest.skip(f"there is no {wrap.split(',')[0]}")
    flux = str(build / "fluxctl" / "fluxctl")
    r = start(build, f"--wrap={wrap}", "--", "sh", "-c",
              f"{flux} run echo ran; tr '\\0' '\\n' < /proc/$({flux} getattr broker.pid)/environ | grep WRAPPED")
    assert r.returncode == 0 and r.stdout.startswith("ran\n") and "FLUX_WRAPPED=1" in r.stdout, r
    assert ("WRAPPED=yes" in r.stdout.split()) == wrap.startswith("env")


def test_a_directory_for_a_test_is_kept_or_removed_as_told(build, tmp_path):
    kept, gone = tmp_path / "kept", tmp_path / "gone"
    for d in (kept, gone):
        d.mkdir(mode=0o700)
    r = start(build, "-s2", f"--test-rundir={kept}", "--", "sh", "-c", "echo $FLUX_URI")
    assert (r.returncode, r.stdout) == (0, f"local://{kept}/0/local\n") and kept.is_dir(), r
    assert start(build, "-s2", f"--test-rundir={gone}", "--test-rundir-cleanup", "--", "true").returncode == 0
    assert not gone.exists()


@pytest.mark.parametrize("options,sentence", [
    (["--rundir=/tmp/" + 90 * "x"], "leaves no room for the names of sockets: at most 88 bytes"),
    (["--test-size=5000"], "expected a number of nodes, at most 4096"),
    (["--test-rundir=/nonexistent", "-s2"], "--test-rundir=/nonexistent: there is no such directory"),
    (["--test-rundir=/tmp"], "need --test-size"),
    (["--test-rundir-cleanup", "-s2"], "needs --test-rundir"),
    (["--test-pmi-clique=some", "-s2"], "expected single or none"),
    (["--wrap=no-such-program"], "--wrap=no-such-program: there is no such program"),
    (["--caliper-profile=x"], "this Flux has no Caliper"),
])
def test_options_that_make_no_sense_are_refused_in_words(build, options, sentence):
    r = start(build, *options, "--", "true")
    assert r.returncode != 0 and sentence in r.stderr, r


def test_nodes_that_pmi_does_not_place_on_one_host_are_joined_by_tcp(build):
    flux = str(build / "fluxctl" / "fluxctl")
    for mode, scheme in (("single", "ipc://"), ("none", "tcp://")):
        r = start(build, "-s2", f"--test-pmi-clique={mode}", "--", flux, "getattr", "tbon.endpoint")
        assert r.stdout.startswith(scheme), r


def test_the_second_level_of_verbosity_shows_what_pmi_says(build):
    assert "pmi:" not in start(build, "-s2", "-v", "--", "true").stderr
    for option in ("-vv", "--verbose=2"):
        r = start(build, "-s2", option, "--", "true")
        assert "flux-supervise: pmi: 1 > cmd=barrier_in" in r.stderr and "pmi: 0 < cmd=barrier_out" in r.stderr, r.stderr


def processes_with(variable):
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        with contextlib.suppress(OSError), open(path, "rb") as f:
            if variable.encode() in f.read().split(b"\0"):
                found.append(path)
    return found


def left(tmp, seconds_ago):
    """What is in the directory, everything made so old."""
    for path, _, files in os.walk(tmp):
        for f in [path, *(os.path.join(path, f) for f in files)]:
            os.utime(f, (time.time() - seconds_ago,) * 2, follow_symlinks=False)
    return set(os.listdir(tmp))


@pytest.mark.parametrize("kill", [["--", "sh", "-c", "kill -9 $PPID"], ["-s2", "--", "sh", "-c", "kill -9 $(ps -o ppid= -p $PPID)"]])
def test_what_a_killed_instance_left_is_removed_by_the_next_start_when_it_is_old(build, kill):
    with tempfile.TemporaryDirectory(dir="/tmp") as tmp:
        assert start(build, *kill, TMPDIR=tmp).returncode != 0
        wait_until("the end of all", lambda: not processes_with(f"TMPDIR={tmp}"))
        assert len(left(tmp, 2 * 86400)) == 1
        assert start(build, "--", "true", TMPDIR=tmp).returncode == 0
        assert len(left(tmp, 4 * 86400)) == 1
        (other,) = start(build, "--", "sh", "-c", f"ls {tmp}", TMPDIR=tmp).stdout.split()
        assert left(tmp, 0) == set() and other.startswith("flux-")
