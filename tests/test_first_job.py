# SPDX-License-Identifier: LGPL-3.0-or-later
"""A user's first hour with an embedded instance: every promise of the README and of the man pages of the commands."""
import json
import os
import re
import signal
import subprocess

import pytest
from embedded import NCORES, wait_until



def test_run_prints_the_output_of_the_task(instance):
    assert instance.flux("run", "hostname") == os.uname().nodename


def test_run_starts_as_many_tasks_as_asked_for_and_labels_their_output(instance):
    out = instance.flux("run", "-n", NCORES, "--label-io", "sh", "-c", "echo task $FLUX_TASK_RANK of $FLUX_JOB_SIZE")
    assert sorted(out.splitlines()) == sorted(f"{i}: task {i} of {NCORES}" for i in range(NCORES))


def test_run_exits_with_the_exit_code_of_the_task(instance):
    assert instance.run("run", "sh", "-c", "exit 42", check=False).returncode == 42


def test_run_exits_with_128_plus_the_signal_that_killed_the_task(instance):
    assert instance.run("run", "sh", "-c", "kill -TERM $$", check=False).returncode == 143


def test_run_keeps_stdout_and_stderr_apart(instance):
    r = instance.run("run", "sh", "-c", "echo out; echo err >&2")
    assert r.stdout == "out\n" and "err\n" in r.stderr


def test_run_forwards_stdin(instance):
    assert instance.run("run", "wc", "-c", input="x" * 300_000).stdout.strip() == "300000"


def test_run_keeps_the_working_directory_and_the_environment(instance):
    r = instance.run("run", "sh", "-c", "pwd; echo $COLOUR", env={"COLOUR": "blue with spaces"})
    assert r.stdout.splitlines() == [str(instance.workdir), "blue with spaces"]


def test_run_passes_bytes_that_are_not_utf8(instance):
    r = subprocess.run([instance.fluxctl, "run", "printf", r"a\377\000b\n"], env=instance.environ(), capture_output=True, timeout=60)
    assert r.stdout == b"a\xff\x00b\n"


def test_run_of_a_command_that_does_not_exist_says_so_and_exits_127(instance):
    r = instance.run("run", "/no/such/program", check=False)
    assert r.returncode == 127 and "/no/such/program" in r.stderr


def test_ctrl_c_of_run_ends_the_job(instance):
    p = instance.popen("run", "-v", "sh", "-c", "echo ready; exec sleep 100")
    assert p.stdout.readline() == "ready\n"  # the command is attached
    p.send_signal(signal.SIGINT)
    p.send_signal(signal.SIGINT)
    wait_until("second ctrl-c", lambda: p.poll() is not None or p.send_signal(signal.SIGINT))
    assert p.returncode != 0
    wait_until("no active job", lambda: instance.flux("jobs", "-n") == "")


def test_submit_prints_the_job_id_and_attach_shows_the_output(instance):
    jobid = instance.flux("submit", "sh", "-c", "echo hello; exit 3")
    assert re.fullmatch(r"[ƒf][1-9A-HJ-NP-Za-km-z]+", jobid)
    r = instance.run("job", "attach", jobid, check=False)
    assert (r.stdout, r.returncode) == ("hello\n", 3)


def test_job_id_converts_between_all_encodings(instance):
    jobid = instance.flux("submit", "true")
    for style in ("dec", "hex", "dothex", "words", "f58"):
        assert instance.flux("job", "id", "--to=f58", instance.flux("job", "id", f"--to={style}", jobid)) == jobid


def test_submit_cc_makes_one_job_per_index_and_waits_for_all(instance, tmp_path):
    out = instance.run("submit", "--cc=1-20", "--wait", "sh", "-c", f"echo $FLUX_JOB_CC > {tmp_path}/$FLUX_JOB_CC")
    assert len(out.stdout.split()) == 20
    assert sorted(int(p.read_text()) for p in tmp_path.iterdir()) == list(range(1, 21))


def test_submit_wait_fails_when_a_job_fails(instance):
    assert instance.run("submit", "--cc=0-3", "--wait", "sh", "-c", "exit $FLUX_JOB_CC", check=False).returncode != 0


def test_output_goes_to_the_file_of_the_template(instance, tmp_path):
    jobid = instance.flux("submit", f"--output={tmp_path}/out-{{{{id}}}}.txt", "echo", "to a file")
    instance.run("job", "attach", jobid)
    assert (tmp_path / f"out-{jobid}.txt").read_text() == "to a file\n"


def test_jobs_lists_what_ran_with_result_and_time(instance):
    good = instance.flux("submit", "--job-name=good", "true")
    bad = instance.flux("submit", "--job-name=bad", "false")
    for j in (good, bad):
        instance.run("job", "attach", j, check=False)
    rows = dict(r.split(None, 1) for r in instance.flux("jobs", "-an", "-o", "{id.f58} {name} {status_abbrev} {returncode}").splitlines())
    assert rows[good] == "good CD 0" and rows[bad] == "bad F 1"
    header = instance.flux("jobs", "-a").splitlines()[0].split()
    assert header[:3] == ["JOBID", "USER", "NAME"]


def test_a_list_waits_for_what_the_job_manager_has_still_to_tell(instance):
    """So it shows all that a client has seen in the KVS before it asked."""
    jobid = instance.flux("submit", "true")
    instance.flux("job", "wait-event", jobid, "clean")
    assert instance.flux("jobs", "-n", "-o", "{state}", jobid) == "INACTIVE"
    instance.kill_daemon("job-manager", signal.SIGSTOP)
    try:
        lists = instance.popen("jobs", "-an", "-o", "{id.f58}")
        wait_until("the list to wait", lambda: instance.flux("module", "stats", "-p", "job-list.waiting", "job-list") == "1")
        assert instance.flux("jobs", "-n", "-o", "{state}", jobid) == "INACTIVE"  # final: waits for nothing
    finally:
        instance.kill_daemon("job-manager", signal.SIGCONT)
    assert jobid in lists.communicate(timeout=60)[0].split()


def test_cancel_of_a_pending_job_ends_it_without_running_it(instance, tmp_path):
    first = instance.flux("submit", "-n", NCORES, "sleep", "100")
    second = instance.flux("submit", "-n", NCORES, "touch", tmp_path / "ran")
    instance.run("cancel", second)
    wait_until("second job inactive", lambda: instance.flux("jobs", "-n", "-o", "{state}", second) == "INACTIVE")
    assert instance.flux("jobs", "-n", "-o", "{result}", second) == "CANCELED"
    instance.run("cancel", first)
    instance.run("job", "attach", first, check=False)
    assert not (tmp_path / "ran").exists()


def test_job_kill_sends_the_signal_named(instance):
    jobid = instance.flux("submit", "sh", "-c", "trap 'echo got usr1; exit 5' USR1; echo ready; while :; do sleep 0.05; done")
    wait_until("task ready", lambda: "ready" in instance.run("kvs", "get", "--raw", instance.kvs_key(jobid, "guest.output"), check=False).stdout)
    instance.run("job", "kill", "--signal=SIGUSR1", jobid)
    r = instance.run("job", "attach", jobid, check=False)
    assert r.returncode == 5 and "got usr1" in r.stdout


def test_eventlog_has_the_events_of_rfc_21_in_order(instance):
    jobid = instance.flux("submit", "true")
    instance.run("job", "attach", jobid)
    wait_until("clean", lambda: instance.eventlog(jobid)[-1]["name"] == "clean")
    names = [e["name"] for e in instance.eventlog(jobid)]
    wanted = ["submit", "validate", "depend", "priority", "alloc", "start", "finish", "release", "free", "clean"]
    assert [n for n in names if n in wanted] == wanted
    for e in instance.eventlog(jobid):
        assert set(e) <= {"timestamp", "name", "context"} and e["timestamp"] > 1.5e9


def test_a_request_that_can_never_fit_is_refused_with_the_reason(instance):
    r = instance.run("run", "-n", "100000", "true", check=False)
    assert r.returncode != 0 and re.search(r"core|resource|never|unsatisfiable", r.stderr)


def test_a_bad_jobspec_is_refused_and_the_key_is_named(instance):
    spec = json.loads(instance.flux("submit", "--dry-run", "true"))
    spec["resources"][0]["count"] = -1
    r = instance.run("job", "submit", "-", input=json.dumps(spec), check=False)
    assert r.returncode != 0 and "resources[0].count" in r.stderr


def test_kvs_put_get_ls_dir_unlink(instance):
    instance.run("kvs", "put", "t.a=1", "t.b=two words", "t.c.d=3")
    assert instance.flux("kvs", "get", "t.a") == "1"
    assert instance.flux("kvs", "get", "t.b") == "two words"
    assert instance.flux("kvs", "ls", "t").split() == ["a", "b", "c"]
    assert "t.c.d = 3" in instance.flux("kvs", "dir", "-R", "t")
    r = instance.run("kvs", "unlink", "t.c", check=False)
    assert r.returncode != 0
    instance.run("kvs", "unlink", "-R", "t.c")
    r = instance.run("kvs", "get", "t.c.d", check=False)
    assert r.returncode != 0 and "t.c.d" in r.stderr and "No such file" in r.stderr


def test_kvs_large_value_survives_the_trip(instance, tmp_path):
    value = os.urandom(600_000).hex()
    instance.run("kvs", "put", "--raw", "big=-", input=value)
    assert instance.run("kvs", "get", "--raw", "big").stdout == value


@pytest.mark.parametrize("service", ["kvs", "content", "job-manager", "sched", "resource", "job-list", "job-ingest", "rexec", "broker"])
def test_ping_reaches_every_service(instance, service):
    assert re.search(rf"{service}.ping pad=0 seq=0 time=[0-9.]+ ms", instance.flux("ping", "-c", "1", service))


def test_attributes(instance):
    assert instance.flux("getattr", "rank") == "0"
    assert instance.flux("getattr", "size") == "1"
    instance.run("setattr", "mine", "some value")
    assert instance.flux("getattr", "mine") == "some value"
    assert "rank" in instance.flux("lsattr").split()
    assert instance.run("getattr", "nosuch", check=False).returncode != 0
    assert instance.run("setattr", "rank", "7", check=False).returncode != 0


def test_an_event_reaches_its_subscriber(instance):
    sub = instance.popen("event", "sub", "-c", "1", "test.hello")
    def publish():
        instance.run("event", "pub", "test.hello", '{"x":1}')
        return sub.poll() is not None
    wait_until("event received", publish)
    assert sub.stdout.read().split("\t")[0] == "test.hello"


def test_logger_and_dmesg(instance):
    instance.run("logger", "--severity=warning", "--appname=mine", "a message of mine")
    line = wait_until("message in dmesg", lambda: [l for l in instance.flux("dmesg").splitlines() if "a message of mine" in l])
    assert "mine" in line[0]


def test_module_list_names_running_services_and_stats_counts(instance):
    assert {"kvs", "content", "job-manager"} <= set(instance.flux("module", "list").split())
    json.loads(instance.flux("module", "stats", "kvs"))


def test_resource_list_shows_the_cores_of_this_machine(instance):
    out = instance.flux("resource", "list")
    assert re.search(rf"free.*\b{NCORES}\b", out)


def test_version_and_help(instance):
    assert "libflux-core" in instance.flux("version")
    assert "submit" in instance.flux("--help")
    for cmd in ("run", "submit", "jobs", "kvs", "ping", "start"):
        assert "Usage" in instance.flux(cmd, "--help") or "usage" in instance.flux(cmd, "--help")


def test_an_unknown_command_or_option_is_named(instance):
    r = instance.run("frobnicate", check=False)
    assert r.returncode != 0 and "frobnicate" in r.stderr
    r = instance.run("run", "--frobnicate", "true", check=False)
    assert r.returncode != 0 and "--frobnicate" in r.stderr


def test_without_an_instance_the_error_says_what_to_do(build, tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLUX_")}
    env["FLUX_URI"] = f"local://{tmp_path}/nothing"
    r = subprocess.run([build / "fluxctl" / "fluxctl", "jobs"], env=env, capture_output=True, text=True, timeout=60)
    assert r.returncode != 0 and str(tmp_path) in r.stderr and "flux start" in r.stderr


def test_start_returns_the_exit_code_of_its_command_and_leaves_nothing(build, tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLUX_")}
    flux = str(build / "fluxctl" / "fluxctl")
    r = subprocess.run([flux, "start", "--embedded", "--", "sh", "-c", f"echo $FLUX_URI; {flux} run hostname; exit 9"],
                       env=env, capture_output=True, text=True, timeout=60)
    uri, host = r.stdout.split()
    assert (host, r.returncode) == (os.uname().nodename, 9)
    assert not os.path.exists(os.path.dirname(uri[len("local://"):]))
