# SPDX-License-Identifier: LGPL-3.0-or-later
"""What a job may ask for, through a live embedded instance: shell options, limits, exits, urgency, waiting."""
import json
import os
import signal
import time

import pytest
from embedded import NCORES, wait_until, with_enough_time


def eventlog_of(instance, jobid, key):
    """The entries of an eventlog of a job's namespace, [] while there is none."""
    r = instance.run("kvs", "get", "--raw", instance.kvs_key(jobid, key), check=False)
    return [json.loads(line) for line in r.stdout.splitlines()] if r.returncode == 0 else []


def wait_inactive(instance, *jobs):
    for j in jobs:
        wait_until(f"{j} inactive", lambda: instance.eventlog(j)[-1]["name"] == "clean")


def exceptions(instance, jobid):
    return [e["context"] for e in instance.eventlog(jobid) if e["name"] == "exception"]


def attach(instance, jobid):
    return instance.run("job", "attach", jobid, check=False)


def pids_with(word):
    """Processes with that word on their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if word.encode() in open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0"):
                found.append(int(pid))
        except OSError:
            pass
    return found


def test_the_first_job_id_is_not_0(fresh_instance):
    jobid = fresh_instance.flux("submit", "true")
    assert int(fresh_instance.flux("job", "id", "--to=dec", jobid)) > 0


def test_environment_entries_that_are_null_are_left_out(instance):
    spec = json.loads(instance.flux("submit", "--dry-run", "sh", "-c", "echo ${GONE-unset} ${HERE-unset}"))
    spec["attributes"]["system"]["environment"].update(GONE=None, HERE="yes")
    jobid = instance.run("job", "submit", "-", input=json.dumps(spec)).stdout.strip()
    assert attach(instance, jobid).stdout == "unset yes\n"


# --- the exit of the first task


def test_exit_on_error_ends_the_job_when_the_first_task_fails(instance):
    jobid = instance.flux("submit", "-n2", "-o", "exit-on-error", "sh", "-c",
                          "[ $FLUX_TASK_RANK = 1 ] && exit 3; sleep 300")
    attach(instance, jobid)
    wait_inactive(instance, jobid)
    (e,) = exceptions(instance, jobid)
    assert e["type"] == "exec" and e["severity"] == 0 and "exit-on-error" in e["note"] and "task 1" in e["note"]


def test_exit_timeout_ends_the_job_some_time_after_the_first_exit(instance):
    jobid = instance.flux("submit", "-n2", "-o", "exit-timeout=0.3s", "sh", "-c", "[ $FLUX_TASK_RANK = 0 ] || sleep 300")
    attach(instance, jobid)
    wait_inactive(instance, jobid)
    (e,) = exceptions(instance, jobid)
    assert e["severity"] == 0 and "exit-timeout" in e["note"] and "300ms" in e["note"]


def test_without_exit_timeout_tasks_may_end_when_they_like(instance):
    jobid = instance.flux("submit", "-n2", "-o", "exit-timeout=none", "sh", "-c", "[ $FLUX_TASK_RANK = 0 ] || sleep 0.5; echo done")
    r = attach(instance, jobid)
    assert (r.returncode, r.stdout) == (0, "done\ndone\n")
    assert exceptions(instance, jobid) == []


def test_an_option_with_a_wrong_value_is_named(instance):
    for option in ("exit-timeout=soon", "exit-on-error=maybe", "signal=NOPE@1", "output.limit=lots", "output.mode=sideways"):
        r = instance.run("run", "-o", option, "true", check=False)
        assert r.returncode != 0 and option.split("=")[0] in r.stderr, option


# --- how tasks are started


def test_tasks_stop_in_exec_until_they_are_continued(instance):
    jobid = instance.flux("submit", "-n2", "-o", "stop-tasks-in-exec", "sh", "-c", "echo on; : stopped-in-exec", "stopped-in-exec")
    pids = wait_until("two tasks", lambda: len(p := pids_with("stopped-in-exec")) == 2 and p)
    for pid in pids:
        wait_until("the stop", lambda: " T " in open(f"/proc/{pid}/stat").read())
        assert "TracerPid:\t0\n" in open(f"/proc/{pid}/status").read()  # a debugger may attach
    instance.run("job", "wait-event", "-p", "guest.exec.eventlog", jobid, "shell.start")
    instance.run("job", "kill", "-s", "CONT", jobid)
    r = attach(instance, jobid)
    assert (r.returncode, r.stdout) == (0, "on\non\n")


def test_a_stopped_task_can_be_canceled_and_a_missing_program_is_said(instance):
    jobid = instance.flux("submit", "-o", "stop-tasks-in-exec", "sleep", "300")
    instance.run("job", "wait-event", "-p", "guest.exec.eventlog", jobid, "shell.start")
    instance.run("cancel", jobid)
    attach(instance, jobid)
    wait_inactive(instance, jobid)
    r = instance.run("run", "-o", "stop-tasks-in-exec", "no-such-program", check=False)
    assert r.returncode == 127 and "no-such-program" in r.stderr


def test_limits_of_the_tasks_are_those_asked_for(instance):
    r = instance.run("run", "-o", "rlimit.nofile=123", "-o", "rlimit.core=0", "sh", "-c", "ulimit -S -n; ulimit -S -c")
    assert r.stdout == "123\n0\n"
    r = instance.run("run", "-o", "rlimit.nofile=999999999999", "sh", "-c", "ulimit -S -n; ulimit -H -n")
    soft, hard = r.stdout.split()
    assert soft == hard and "raising value to hard limit" in r.stderr
    for bad in ("rlimit.fame=1", "rlimit.nofile=many", "rlimit.nofile=-2", "rlimit=3"):
        r = instance.run("run", "-o", bad, "true", check=False)
        assert r.returncode != 0 and "rlimit" in r.stderr, bad


def test_tasks_share_the_process_group_of_the_shell_if_asked_to(instance):
    show = "cut -d' ' -f1,5 /proc/$$/stat"
    pid, group = instance.flux("run", "sh", "-c", show).split()
    assert pid == group
    pid, group = instance.flux("run", "-o", "nosetpgrp", "sh", "-c", show).split()
    assert pid != group
    jobid = instance.flux("submit", "-o", "nosetpgrp", "sleep", "300")
    instance.run("job", "wait-event", "-p", "guest.exec.eventlog", jobid, "shell.start")
    instance.run("cancel", jobid)
    attach(instance, jobid)
    wait_inactive(instance, jobid)


# --- time limits


def test_a_job_over_its_time_limit_gets_a_timeout_exception_and_is_killed(instance):
    jobid = instance.flux("submit", "-t", "0.5s", "sleep", "300")
    r = attach(instance, jobid)
    assert r.returncode != 0
    wait_inactive(instance, jobid)
    assert [e["type"] for e in exceptions(instance, jobid)] == ["timeout"]
    assert instance.flux("jobs", "-an", "-o", "{result}", jobid) == "TIMEOUT"


def test_a_signal_comes_before_the_time_limit(instance, tmp_path):
    def warned_after(seconds):
        jobid = instance.flux("submit", "-t", "60s", "-o", f"signal=USR2@{60 - seconds}s", "sh", "-c",
                              f"trap 'echo warned; exit 4' USR2; : >{tmp_path}/{seconds}; while :; do sleep 0.05; done")
        r = attach(instance, jobid)
        return (r.returncode, r.stdout) if (tmp_path / str(seconds)).exists() else None

    assert with_enough_time(warned_after) == (4, "warned\n")


def test_a_job_shorter_than_the_warning_is_signaled_at_once(instance):
    jobid = instance.flux("submit", "-t", "30s", "-o", "signal", "sh", "-c", "trap 'exit 5' USR1; while :; do sleep 0.05; done")
    assert attach(instance, jobid).returncode in (5, 128 + signal.SIGUSR1)


# --- output and input


def test_each_task_writes_to_its_own_file(instance, tmp_path):
    jobid = instance.flux("submit", "-n2", "-o", "output.stdout.type=file", "-o",
                          f"output.stdout.path={tmp_path}/{{{{jobid.dec}}}}-{{{{taskid}}}}-{{{{size}}}}", "sh", "-c", "echo $FLUX_TASK_RANK")
    attach(instance, jobid)
    dec = instance.flux("job", "id", "--to=dec", jobid)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {f"{dec}-{i}-2": f"{i}\n" for i in range(2)}
    redirects = [e["context"]["path"] for e in eventlog_of(instance, jobid, "guest.output") if e["name"] == "redirect"]
    assert {os.path.basename(p) for p in redirects} == {f"{dec}-{i}-2" for i in range(2)}


def test_labels_begin_each_line_of_a_shared_file(instance, tmp_path):
    out = tmp_path / "out"
    instance.run("run", "-n2", "--label-io", f"--output={out}", "sh", "-c", "echo a; echo b")
    assert sorted(out.read_text().splitlines()) == ["0: a", "0: b", "1: a", "1: b"]


def test_append_mode_keeps_what_a_file_has(instance, tmp_path):
    out = tmp_path / "out"
    out.write_text("before\n")
    instance.run("run", f"--output={out}", "-o", "output.mode=append", "echo", "after")
    assert out.read_text() == "before\nafter\n"
    instance.run("run", f"--output={out}", "echo", "only this")
    assert out.read_text() == "only this\n"


def test_unbuffered_output_comes_before_its_line_is_whole(instance, tmp_path):
    go = tmp_path / "go"
    p = instance.popen("run", "-o", "output.stdout.buffer.type=none", "sh", "-c", f"printf part; while [ ! -e {go} ]; do sleep 0.05; done; echo ial")
    assert p.stdout.read(4) == "part"
    go.touch()
    assert p.communicate(timeout=60)[0] == "ial\n"


def test_output_beyond_the_limit_is_dropped_with_a_warning(instance):
    jobid = instance.flux("submit", "-o", "output.limit=10k", "sh", "-c", "head -c 50000 /dev/zero | tr '\\0' x; echo >&2 err; exit 2")
    r = attach(instance, jobid)
    assert r.returncode == 2
    assert r.stdout == "x" * 10000
    assert "output.limit" in r.stderr and "err" in r.stderr


@pytest.mark.parametrize("args,name", [([], "echo"), (["--job-name=a/b"], "a_b")])
def test_the_name_in_a_template_is_that_of_the_job_or_of_its_command(instance, tmp_path, args, name):
    instance.flux("run", *args, f"--output={tmp_path}/{{{{name}}}}.out", "/bin/echo", "hello")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {f"{name}.out": "hello\n"}


def test_input_comes_from_the_file_of_the_template(instance, tmp_path):
    for i in range(2):
        (tmp_path / f"in{i}").write_text(f"file {i}\n")
    jobid = instance.flux("submit", "-n2", "-o", "input.stdin.type=file", "-o", f"input.stdin.path={tmp_path}/in{{{{taskid}}}}", "cat")
    assert sorted(attach(instance, jobid).stdout.splitlines()) == ["file 0", "file 1"]
    redirects = [e["context"]["path"] for e in eventlog_of(instance, jobid, "guest.input") if e["name"] == "redirect"]
    assert sorted(redirects) == [f"{tmp_path}/in{i}" for i in range(2)]


def test_a_missing_input_file_ends_the_job_and_is_named(instance, tmp_path):
    r = instance.run("run", f"--input={tmp_path}/nothing", "cat", check=False)
    assert r.returncode != 0 and f"{tmp_path}/nothing" in r.stderr


def test_verbose_tells_the_steps_of_the_shell(instance):
    quiet = instance.run("run", "true").stderr
    r = instance.run("run", "-o", "verbose=2", "true")
    assert "starting tasks 0 of 1" in r.stderr and "started as process" in r.stderr
    assert "starting tasks" not in quiet


# --- nothing outlives its job


def test_a_task_that_made_itself_a_daemon_ends_with_the_job(instance, tmp_path):
    word = f"escape-{os.getpid()}-{time.monotonic_ns()}"
    r = instance.run("run", "sh", "-c", f"(env -i setsid sh -c ': >{tmp_path}/up; sleep 300; : $0' {word} &); "
                     f"while [ ! -e {tmp_path}/up ]; do sleep 0.05; done; echo over")
    assert r.stdout == "over\n"
    wait_until("no process of the job", lambda: not pids_with(word))


def test_a_daemon_of_a_shell_that_was_killed_ends_too(instance):
    word = f"escape-{os.getpid()}-{time.monotonic_ns()}"
    jobid = instance.flux("submit", "sh", "-c", f"(env -i setsid sh -c 'sleep 300; : $0' {word} &); sleep 300")
    wait_until("the escaped process", lambda: pids_with(word))
    dec = instance.flux("job", "id", "--to=dec", jobid)
    (shell,) = [p for p in pids_with(dec) if os.path.basename(os.readlink(f"/proc/{p}/exe")) == "flux-shell"]
    os.kill(shell, signal.SIGKILL)
    assert attach(instance, jobid).returncode != 0
    wait_until("no process of the job", lambda: not pids_with(word))


# --- urgency


def test_a_held_job_waits_and_runs_when_its_urgency_is_raised(instance):
    jobid = instance.flux("submit", "--urgency=hold", "true")
    other = instance.flux("submit", "true")
    attach(instance, other)
    assert instance.flux("jobs", "-n", "-o", "{state}", jobid) == "SCHED"
    instance.run("job", "urgency", jobid, "16")
    assert attach(instance, jobid).returncode == 0


def test_an_expedited_job_is_placed_before_those_that_wait(instance, tmp_path):
    ncores = NCORES
    blocker = instance.flux("submit", "-n", ncores, "sleep", "300")
    log = tmp_path / "log"
    first = instance.flux("submit", "-n", ncores, "-o", "exit-timeout=none", "sh", "-c", f"echo first >> {log}")
    second = instance.flux("submit", "-n", ncores, "--urgency=expedite", "sh", "-c", f"echo second >> {log}")
    instance.run("cancel", blocker)
    wait_inactive(instance, first, second)
    assert log.read_text().split() == ["second"] * ncores + ["first"] * ncores


# --- waiting


def test_a_waitable_job_that_ended_can_be_waited_for_after_a_restart_of_the_job_manager(fresh_instance):
    instance = fresh_instance
    good = instance.flux("submit", "--flags=waitable", "true")
    bad = instance.flux("submit", "--flags=waitable", "sh", "-c", "exit 3")
    told = instance.flux("submit", "--flags=waitable", "true")
    wait_inactive(instance, good, bad, told)
    assert instance.run("job", "wait", told).returncode == 0
    victim = instance.kill_daemon("job-manager")
    wait_until("the victim to be gone", lambda: victim not in instance.daemon_pids("job-manager"))
    r = instance.run("job", "wait", bad, check=False)
    assert r.returncode == 1 and "3" in r.stderr
    assert instance.run("job", "wait").stdout.strip() in (good, "")
    r = instance.run("job", "wait", told, check=False)
    assert r.returncode != 0
    r = instance.run("job", "wait", check=False)
    assert r.returncode != 0


# --- dependencies


def test_a_dependency_on_a_job_that_is_not_active_is_refused_at_once(instance):
    ended = instance.flux("submit", "true")
    wait_inactive(instance, ended)
    for scheme in ("after", "afterok", "afterany", "afternotok"):
        for jobid in (ended, "ƒ3"):
            r = instance.run("submit", f"--dependency={scheme}:{jobid}", "true", check=False)
            assert r.returncode != 0 and "cannot be found" in r.stderr, (scheme, jobid)
    first = instance.flux("submit", "--urgency=hold", "true")
    second = instance.flux("submit", f"--dependency=afterok:{first}", "true")
    wait_until("the dependency", lambda: instance.eventlog(second)[-1]["name"] == "dependency-add")
    instance.run("job", "urgency", first, "default")
    wait_inactive(instance, first, second)
    assert exceptions(instance, second) == []


def test_a_dependency_is_taken_while_the_job_manager_is_away(instance):
    first = instance.flux("submit", "--urgency=hold", "true")
    instance.kill_daemon("job-manager")
    second = instance.flux("submit", f"--dependency=afterany:{first}", "true")
    instance.run("cancel", first)
    wait_inactive(instance, first, second)
    assert instance.flux("jobs", "-an", "-o", "{result}", second) == "COMPLETED"


def test_urgencies_are_words_in_either_case_and_bounded(instance):
    jobid = instance.flux("submit", "--urgency=hold", "true")
    for bad in ("32", "-1", "soon", "1e1", ""):
        assert instance.run("job", "urgency", "--", jobid, bad, check=False).returncode != 0, bad
    instance.run("job", "urgency", jobid, "HOLD")
    instance.run("job", "urgency", jobid, "EXPEDITE")
    wait_inactive(instance, jobid)
    r = instance.run("job", "urgency", jobid, "3", check=False)
    assert r.returncode != 0 and "ended" in r.stderr


def test_counters_of_the_job_manager_tell_what_was_done(fresh_instance):
    i = fresh_instance
    # Jobs that it finds when it starts do not count as submitted to it.
    wait_until("the job manager", lambda: json.loads(i.flux("module", "stats", "job-manager"))["sched_ready"])
    i.run("submit", "--cc=1-5", "--wait", "true")
    i.run("run", "false", check=False)
    i.run("cancel", i.flux("submit", "--urgency=hold", "true"))
    i.flux("submit", "--urgency=hold", "true")

    def totals():
        s = json.loads(i.flux("module", "stats", "job-manager"))
        t = s["since_clear"]
        return s, (t["submitted"], t["completed"], t["failed"], t["canceled"])

    wait_until("the end of all", lambda: totals()[1] == (8, 5, 1, 1))
    s, _ = totals()
    assert s["inactive"] == 7 and s["active"] == 1 and s["states"]["SCHED"] == 1 and s["journal"]["past_jobs"] == 7
    t = s["since_clear"]
    assert 0 < t["commits"] <= s["commits"] and 0 < t["commit_seconds"] <= t["commit_seconds_max"]
    assert 0 < t["jobs_per_commit"] <= t["jobs_per_commit_max"]
    i.run("module", "stats", "--clear", "job-manager")
    assert totals()[1] == (0, 0, 0, 0)
