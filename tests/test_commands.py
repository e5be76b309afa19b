# SPDX-License-Identifier: LGPL-3.0-or-later
"""Commands and options beyond a user's first hour, each driven through a live embedded instance."""
import json
import os
import re
import signal
import subprocess

import pytest
from embedded import wait_until


# --- submit, bulksubmit ---


def test_bulksubmit_dry_run_prints_a_line_for_each_combination(instance):
    out = instance.flux("bulksubmit", "--dry-run", "-n", "{.p2}", "--define=p2=2**int(x)", "hostname", ":::", 0, 1, 2)
    assert out.splitlines() == [f"flux-bulksubmit: submit -n{n} hostname" for n in (1, 2, 4)]
    out = instance.flux("mini", "bulksubmit", "--dry-run", "echo", "{1}", "{0}", ":::", 1, 2, ":::", 3, 4)
    assert out.splitlines() == [f"flux-mini: submit echo {x}" for x in ("3 1", "4 1", "3 2", "4 2")]


def test_bulksubmit_reads_inputs_from_stdin_and_runs_a_job_for_each(instance, tmp_path):
    r = instance.run("bulksubmit", "--wait", "sh", "-c", f"echo {{seq}} > {tmp_path}/{{./%}}", input="/x/a.c\n/x/b.c\n")
    assert len(r.stdout.split()) == 2
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a": "0\n", "b": "1\n"}


def test_bulksubmit_combines_inputs_with_cc(instance):
    out = instance.flux("bulksubmit", "--quiet", "--watch", "--cc={}", "echo", "{}:{cc}", ":::", "1-2", "7")
    assert sorted(out.splitlines()) == ["1-2:1", "1-2:2", "7:7"]


def jobs(instance):
    """All, whatever has become of them meanwhile."""
    return set(instance.flux("jobs", "-a", "-n", "-c", 0, "-o", "{id}").split())


def test_bulksubmit_refuses_what_it_does_not_understand_before_it_submits(instance):
    before = jobs(instance)
    for template in ("{foo}", "{3}", "{.x}"):
        r = instance.run("bulksubmit", "echo", template, ":::", "a", check=False)
        assert r.returncode == 1 and r.stderr.startswith("flux-bulksubmit: ")
    r = instance.run("bulksubmit", "--define=d=open(x)", "echo", "{.d}", ":::", "a", check=False)
    assert "open()" in r.stderr
    assert jobs(instance) == before


def test_submit_log_writes_ids_and_output_to_files(instance, tmp_path):
    instance.flux("submit", "--cc=1-2", "--watch", f"--log={tmp_path}/{{cc}}", f"--log-stderr={tmp_path}/err", "sh", "-c", "echo out{cc}; echo err{cc} >&2")
    for cc in (1, 2):
        jobid, out = (tmp_path / str(cc)).read_text().splitlines()
        assert instance.flux("job", "id", jobid).isdigit() and out == f"out{cc}"
    assert sorted((tmp_path / "err").read_text().splitlines()) == ["err1", "err2"]


def test_begin_time_holds_a_job_back(instance):
    jobid = instance.flux("submit", "--begin-time=+1h", "true")
    assert instance.flux("jobs", "-n", "-o", "{state} {dependencies}", jobid).startswith("DEPEND begin-time")
    instance.flux("cancel", jobid)
    spec = json.loads(instance.flux("run", "--dry-run", "--begin-time=2033-05-18 12:00", "true"))
    assert spec["attributes"]["system"]["dependencies"][0]["scheme"] == "begin-time"
    assert "not understood" in instance.run("run", "--begin-time=soon", "true", check=False).stderr


def test_progress_shows_jobs_per_second(instance):
    r = instance.run("submit", "--cc=1-5", "--wait", "--progress=always", "--jps", "true")
    assert "completed 5" in r.stderr and "jobs/s" in r.stderr


def test_setattr_reads_json_from_a_file(instance, tmp_path):
    (tmp_path / "v.json").write_text('{"a": [1, 2]}')
    spec = json.loads(instance.flux("run", "--dry-run", f"--setattr=^user.x={tmp_path}/v.json", "--setattr=y=3", "-o", "verbose", "true"))
    assert spec["attributes"]["user"]["x"] == {"a": [1, 2]}
    assert spec["attributes"]["system"]["y"] == 3 and spec["attributes"]["system"]["shell"]["options"]["verbose"] == 1


# --- queue ---


def test_a_disabled_queue_refuses_jobs_with_the_reason_until_enabled(fresh_instance):
    i = fresh_instance
    out = i.flux("queue", "disable", "shutdown", "at", "8")
    assert out.splitlines() == ["Job submission is disabled: shutdown at 8", "Scheduling is started"]
    r = i.run("submit", "true", check=False)
    assert r.returncode == 1 and "job submission is disabled: shutdown at 8" in r.stderr
    for service in ("job-manager", "job-ingest"):  # it outlives the daemons
        i.flux("module", "reload", service)
        assert "disabled: shutdown at 8" in i.run("submit", "true", check=False).stderr
        assert json.loads(i.flux("queue", "status", "--json"))["enable"] is False
    i.flux("queue", "enable", "--quiet")
    assert i.flux("run", "echo", "again") == "again"


def test_the_reason_may_be_an_option_and_the_status_be_left_out(fresh_instance):
    i = fresh_instance
    assert i.flux("queue", "disable", "--quiet", "--message=for tests") == ""
    assert i.flux("queue", "status").splitlines()[0] == "Job submission is disabled: for tests"
    i.flux("queue", "disable", "--quiet", "red\x1b[31m\nSecond")
    assert i.flux("queue", "status").splitlines()[0] == "Job submission is disabled: red.[31m.Second"
    assert i.flux("queue", "stop", "-m", "too").splitlines()[1] == "Scheduling is stopped: too"
    assert i.flux("queue", "enable") and i.flux("queue", "start", "--quiet") == ""
    assert i.flux("queue", "status", "--verbose").splitlines()[-1] == "0 running jobs"
    for command in ("drain", "idle"):
        i.run("queue", command, "--timeout=10s")
    job = i.flux("submit", "sleep", "300")
    i.run("job", "wait-event", job, "start")
    for command in ("drain", "idle"):
        r = i.run("queue", command, "-t", "0.05", check=False)
        assert r.returncode == 1 and "timed out" in r.stderr


def test_queue_list_has_a_line_for_the_only_queue(fresh_instance):
    i = fresh_instance
    i.flux("queue", "stop", "--quiet", "repair")
    i.flux("submit", "true")
    assert [l.split() for l in i.flux("queue", "list").splitlines()] == [
        ["QUEUE", "SUBMIT", "SCHEDULE", "PENDING", "RUNNING", "ACTIVE"], ["-", "enabled", "stopped", "1", "0", "1"]]
    assert i.flux("queue", "list", "-n", "-o", "{scheduling.reason}/{submission.reason:h}") == "repair/-" and i.flux("queue", "list", "-no", "long").split()[-1] == "repair"
    (queue,) = json.loads(i.flux("queue", "list", "--json"))
    assert queue["start"] is False and queue["stop_reason"] == "repair" and queue["pending"] == 1
    assert i.flux("queue", "list", "-o", "help").splitlines()[0].split()[0] == "default"
    assert i.flux("queue", "enable", "-a", "-v").splitlines()[-1] == "0 running jobs"


@pytest.mark.parametrize("command", ["disable", "drain", "enable", "idle", "list", "start", "status", "stop"])
def test_there_are_no_named_queues(instance, command):
    r = instance.run("queue", command, "-q", "batch", check=False)
    assert r.returncode == 1 and r.stdout == "" and r.stderr == "flux-queue: there is no queue 'batch': this instance has no named queues\n"


def test_one_queue_or_all(instance):
    assert "exclude each other" in instance.run("queue", "stop", "-a", "-q", "x", check=False).stderr


def test_a_stopped_queue_starts_nothing_until_started(fresh_instance):
    i = fresh_instance
    i.flux("queue", "stop", "repair")
    jobid = i.flux("submit", "true")
    i.flux("module", "reload", "job-manager")
    assert "Scheduling is stopped: repair" in i.flux("queue", "status", "-v")
    i.flux("queue", "idle")
    r = i.run("queue", "drain", "--timeout=0.2s", check=False)
    assert r.returncode == 1 and "timed out" in r.stderr
    assert i.flux("jobs", "-n", "-o", "{state}", jobid) == "SCHED"
    i.flux("queue", "start")
    i.flux("queue", "drain")
    assert " clean" in i.flux("job", "eventlog", jobid)


# --- content ---


def test_content_store_and_load_return_the_same_bytes(instance):
    blob = "bytes\n" * 50_000
    ref = instance.run("content", "store", input=blob).stdout.strip()
    assert re.fullmatch(r"[a-z0-9]+-[0-9a-f]{64}", ref)
    instance.flux("content", "flush")
    instance.flux("content", "dropcache")
    assert instance.run("content", "load", ref).stdout == blob
    assert instance.run("content", "load", "--bypass-cache", ref).stdout == blob
    r = instance.run("content", "load", ref[:-4] + "0000", check=False)
    assert r.returncode == 1 and "cannot load" in r.stderr
    for wrong in ("sha1-" + "0" * 40, "blake2b-00", ref.upper(), "x"):
        r = instance.run("content", "load", wrong, check=False)
        assert r.returncode == 1 and "is not a blobref" in r.stderr, wrong


# --- module ---


def test_module_remove_ends_a_daemon_and_load_starts_it(fresh_instance):
    i = fresh_instance
    state = lambda: json.loads(i.flux("module", "info", "job-list"))["state"]  # noqa: E731
    i.flux("jobs")
    assert "runs already" in i.run("module", "load", "job-list", check=False).stderr
    i.flux("module", "remove", "job-list")
    assert state() == "idle"
    i.flux("module", "load", "job-list")
    assert state() == "running"
    i.flux("module", "remove", "job-list")
    assert i.flux("jobs", "-n") == ""  # a request starts it again
    assert state() == "running"


def test_module_refuses_what_is_no_daemon(instance):
    for args, words in (
        (("load", "nosuch"), "there is no nosuch.so"),
        (("load", "./x.so"), "No such file"),
        (("load", "kvs", "a=b"), "no arguments"),
        (("remove", "broker"), "flux shutdown"),
        (("remove", "nosuch"), "is not loaded"),
        (("list", "nosuch"), "there is no service"),
    ):
        r = instance.run("module", *args, check=False)
        assert r.returncode == 1 and words in r.stderr, args
    instance.flux("module", "remove", "-f", "nosuch")


# --- exec ---


def test_exec_forwards_input_no_faster_than_it_is_read(instance):
    text = "x" * 79 + "\n"
    r = instance.run("exec", "-r0", "sh", "-c", "sleep 0.2; cat", input=text * 50_000)
    assert r.stdout == text * 50_000
    assert instance.run("exec", "-r", "0", "-n", "wc", "-c", input="abc").stdout.strip() == "0"
    assert instance.run("exec", "--label-io", "cat", input="a\nb\n").stdout == "0: a\n0: b\n"


def test_exec_exits_as_the_process_did(instance):
    assert instance.run("exec", "sh", "-c", "exit 7", check=False).returncode == 7
    assert instance.run("exec", "sh", "-c", "kill -TERM $$", check=False).returncode == 143
    r = instance.run("exec", "-r", "5", "true", check=False)
    assert r.returncode == 68 and "no rank 5" in r.stderr


def test_exec_forwards_signals(instance):
    p = instance.popen("exec", "-n", "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done")
    assert p.stdout.readline().strip() == "ready"
    p.send_signal(signal.SIGTERM)
    wait_until("end of exec", lambda: p.poll() is not None)
    assert p.returncode == 9


def test_closed_standard_input_is_empty(instance):
    for cmd in ("run", "exec"):
        r = subprocess.run(f"{instance.fluxctl} {cmd} wc -c <&-", shell=True, env=instance.environ(), capture_output=True, text=True, timeout=60)
        assert r.stdout.strip() == "0", r


# --- words ---


@pytest.mark.parametrize("command", [["exec", "printf", "%s"], ["setattr", "x"], ["getattr"], ["queue", "disable"], ["ping", "-c1"],
                                     ["resource", "drain", "0"], ["job", "raise", "f1"], ["cancel", "-m"], ["job", "memo", "f1"]])
def test_words_that_messages_cannot_carry_are_named(instance, command):
    r = instance.run(*command, os.fsdecode(b"a\xffb"), check=False, errors="surrogateescape")
    assert r.returncode == 1 and "'a\udcffb' is not valid UTF-8" in r.stderr, r
