# SPDX-License-Identifier: LGPL-3.0-or-later
"""flux job, flux cancel and flux watch: every subcommand and option, in a live embedded instance."""
import json
import signal
import subprocess

import pytest
from embedded import caught, wait_until


@pytest.fixture(scope="module")
def failed(instance):
    """A job of two tasks that has ended with status 3."""
    jobid = instance.flux("submit", "-n2", "sh", "-c", "echo out $FLUX_TASK_RANK; exit 3")
    instance.run("job", "wait-event", jobid, "clean")
    return jobid


@pytest.fixture(scope="module")
def canceled(instance):
    """A job that was canceled before it ran."""
    jobid = instance.flux("submit", "--urgency=hold", "true")
    instance.run("cancel", jobid, "no", "need")
    instance.run("job", "wait-event", jobid, "clean")
    return jobid


@pytest.fixture
def running(instance):
    jobid = instance.flux("submit", "sleep", "300")
    instance.run("job", "wait-event", jobid, "start")
    yield jobid
    instance.run("job", "cancelall", "-fq", check=False)


@pytest.fixture
def held(instance):
    jobid = instance.flux("submit", "--urgency=hold", "true")
    yield jobid
    instance.run("cancel", jobid, check=False)


def names(text):
    return [line.split()[1] for line in text.splitlines()]


# --- attach


def test_attach_shows_events_on_request(instance, failed):
    r = instance.run("job", "attach", "-E", failed, check=False)
    assert r.returncode == 3 and "job.submit" in r.stderr and "exec." not in r.stderr
    r = instance.run("job", "attach", "--show-exec", failed, check=False)
    assert "exec.shell.init" in r.stderr and "job.submit" not in r.stderr
    r = instance.run("job", "attach", "-vvv", failed, check=False)
    assert "exec.shell.init" in r.stderr and "job.submit" in r.stderr
    assert sorted(instance.run("job", "attach", "-l", failed, check=False).stdout.splitlines()) == ["0: out 0", "1: out 1"]


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_attach_and_not_the_job(instance, running, sig):
    p = instance.popen("job", "attach", running)
    wait_until("its signals are watched", lambda: all(caught(p.pid, s) for s in (signal.SIGTERM, signal.SIGHUP)))
    p.send_signal(sig)
    assert p.wait(timeout=30) == 128 + sig and f"detached from job {running}, which goes on" in p.stderr.read()
    assert instance.flux("jobs", "-no", "{state}", running) == "RUN"


def test_attach_ends_when_its_output_cannot_be_written(instance):
    job = instance.flux("submit", "sh", "-c", "echo up; exec sleep 300")
    with open("/dev/full", "w") as full:
        r = subprocess.run([instance.fluxctl, "job", "attach", job], env=instance.environ(), stdin=subprocess.DEVNULL, stdout=full,
                           stderr=subprocess.PIPE, text=True, timeout=60)
    assert r.returncode == 1 and "cannot write to standard output: No space left" in r.stderr, r
    assert instance.flux("jobs", "-no", "{state}", job) == "RUN"
    instance.flux("cancel", job)


def test_attach_detaches_at_an_event(instance, running):
    r = instance.run("job", "attach", "--wait-event=start", running)
    assert (r.returncode, r.stdout) == (0, "")
    assert instance.flux("jobs", "-n", "-o", "{state}", running) == "RUN"


def test_attach_forwards_input_to_the_tasks_that_are_named(instance):
    jobid = instance.flux("submit", "-n2", "sh", "-c", "[ $FLUX_TASK_RANK = 0 ] || head -1")
    r = instance.run("job", "attach", "-u", "--stdin-ranks=1", jobid, input="for one\n")
    assert r.stdout == "for one\n"
    for wrong in ("x", "-1"):
        assert "--stdin-ranks" in instance.run("job", "attach", "-i", wrong, jobid, check=False).stderr
    assert "exclude" in instance.run("job", "attach", "-i0", "-r", jobid, check=False).stderr


def test_attach_quiet_says_nothing_of_the_end(instance, canceled):
    r = instance.run("job", "attach", canceled, check=False)
    assert r.returncode == 1 and "was canceled: no need" in r.stderr
    r = instance.run("job", "attach", "-q", canceled, check=False)
    assert (r.returncode, r.stderr) == (1, "")


# --- status, wait


def test_status_exits_as_the_worst_of_the_jobs(instance, failed, canceled):
    ok = instance.flux("submit", "true")
    assert instance.run("job", "status", ok).stdout == ""
    assert instance.run("job", "status", ok, failed, canceled, check=False).returncode == 3
    assert instance.run("job", "status", "-e", "42", ok, failed, canceled, check=False).returncode == 42
    assert instance.run("job", "status", "--exception-exit-code=0", ok, canceled).returncode == 0
    r = instance.run("job", "status", "-v", ok, failed, canceled, check=False)
    assert r.stdout.splitlines() == [f"{ok}: exited with exit code 0", f"{failed}: exited with exit code 3",
                                     f"{canceled}: exception type=cancel: no need"]


def test_status_waits_and_prints_json(instance, failed, canceled):
    slow = instance.flux("submit", "sh", "-c", "sleep 0.3; kill -9 $$")
    r = instance.run("job", "status", "--json", slow, failed, canceled, check=False)
    a, b, c = map(json.loads, r.stdout.splitlines())
    assert (a["result"], a["returncode"], a["success"], a["exception_occurred"]) == ("FAILED", 137, False, False) and r.returncode == 137
    assert (b["id"], b["waitstatus"]) == (failed, 3 << 8) and b["t_inactive"] > b["t_submit"]
    assert (c["result"], c["exception_type"], c["exception_note"]) == ("CANCELED", "cancel", "no need") and "waitstatus" not in c


@pytest.mark.parametrize("args,why", [(["1234"], "there is no such job"), (["x!"], "'x!' is not a job id"), (["-e", "256", "1"], "0 to 255")])
def test_status_of_what_is_no_job(instance, args, why):
    r = instance.run("job", "status", *args, check=False)
    assert r.returncode == 1 and why in r.stderr


def test_wait_takes_one_or_the_next_or_all(instance):
    a, b, c = (instance.flux("submit", "--flags=waitable", "sh", "-c", f"exit {n}") for n in (0, 1, 0))
    assert instance.run("job", "wait", a).stdout == ""
    r = instance.run("job", "wait", b, check=False)
    assert r.returncode == 1 and f"job {b} failed" in r.stderr
    assert instance.flux("job", "wait") == c
    assert "there are no more waitable jobs" in instance.run("job", "wait", check=False).stderr
    r = instance.run("job", "wait", a, check=False)  # the manager says why
    assert r.returncode == 1 and "has ended and was not waitable or waited for" in r.stderr
    instance.flux("submit", "--flags=waitable", "false")
    assert instance.run("job", "wait", "--all", check=False).returncode == 1


# --- eventlog, wait-event


def test_eventlog_has_formats_and_paths(instance, failed):
    assert names(instance.flux("job", "eventlog", failed))[0] == "submit"
    assert [json.loads(l)["name"] for l in instance.flux("job", "eventlog", "-f", "json", failed).splitlines()][-1] == "clean"
    assert instance.flux("job", "eventlog", "-T", "offset", failed).startswith("0.000000 submit")
    assert instance.flux("job", "eventlog", "-H", failed) == instance.flux("job", "eventlog", "--time-format=human", failed)
    assert instance.flux("job", "eventlog", "-T", "iso", failed).split()[0].endswith("Z")
    assert "shell.init" in names(instance.flux("job", "eventlog", "-p", "exec", failed))
    assert instance.flux("job", "eventlog", "-p", "exec", failed) == instance.flux("job", "eventlog", "-p", "guest.exec.eventlog", failed)
    assert "data" in names(instance.flux("job", "eventlog", "-p", "output", failed))


def test_eventlog_colors(instance, failed):
    plain = instance.flux("job", "eventlog", failed)
    assert "\033" not in plain and instance.flux("job", "eventlog", "--color=never", failed) == plain
    assert "\033[" in instance.flux("job", "eventlog", "-L", failed) and "\033[" in instance.flux("job", "eventlog", "--color=always", failed)
    assert "--color must be" in instance.run("job", "eventlog", "--color=red", failed, check=False).stderr
    assert "exclude" in instance.run("job", "eventlog", "-H", "-T", "iso", failed, check=False).stderr


def test_eventlog_follow_ends_with_the_job(instance, held):
    p = instance.popen("job", "eventlog", "--follow", held)
    assert "submit" in p.stdout.readline()
    instance.run("job", "urgency", held, "default")
    assert names(p.communicate(timeout=60)[0])[-1] == "clean" and p.returncode == 0


def test_wait_event_chooses_by_context_and_count(instance, failed):
    assert names(instance.flux("job", "wait-event", "-m", "status=768", failed, "finish")) == ["finish"]
    assert "without event" in instance.run("job", "wait-event", "-m", "status=0", failed, "finish", check=False).stderr
    assert instance.flux("job", "wait-event", "-m", 'rank=1', "-p", "output", "-f", "json", "-c", "2", failed, "data")
    assert "KEY=VALUE" in instance.run("job", "wait-event", "-m", "status", failed, "finish", check=False).stderr
    assert instance.flux("job", "wait-event", "-q", failed, "finish") == ""
    assert names(instance.flux("job", "wait-event", "-v", failed, "depend")) == ["submit", "validate", "depend"]
    assert "shell.start" in instance.flux("job", "wait-event", "-W", "-p", "exec", failed, "shell.start")
    assert instance.run("job", "wait-event", "-c", "0", failed, "finish", check=False).returncode == 1


def test_wait_event_gives_up(instance, held):
    r = instance.run("job", "wait-event", "--timeout=0.1s", held, "start", check=False)
    assert r.returncode == 1 and "timed out waiting for event 'start'" in r.stderr


# --- info, id, last, timeleft, stats, namespace


def test_info_prints_every_key(instance, failed):
    assert json.loads(instance.flux("job", "info", failed, "jobspec"))["version"] == 1
    assert json.loads(instance.flux("job", "info", failed, "R"))["version"] == 1
    assert instance.flux("job", "info", failed, "J").endswith(".none")
    for key in ("eventlog", "guest.exec.eventlog", "guest.output"):
        assert json.loads(instance.flux("job", "info", failed, key).splitlines()[0])["name"]
    original = json.loads(instance.flux("job", "info", "--original", failed, "jobspec"))
    assert original["tasks"] == json.loads(instance.flux("job", "info", "-b", failed, "jobspec"))["tasks"]
    assert "--original" in instance.run("job", "info", "-o", failed, "R", check=False).stderr


def test_id_converts_every_spelling_into_every_other(instance, failed):
    styles = ("dec", "hex", "dothex", "words", "f58", "f58plain", "kvs")
    spelled = {s: instance.flux("job", "id", f"--to={s}", failed) for s in styles}
    assert len(set(spelled.values())) == len(styles) and spelled["kvs"] == f"job.{spelled['dothex']}"
    for source in styles:
        for to in styles:
            assert instance.flux("job", "id", f"--from={source}", "--to", to, spelled[source]) == spelled[to]
    text = "".join(f"{s}\n" for s in spelled.values())
    assert instance.run("job", "id", input=text).stdout == f"{spelled['dec']}\n" * len(styles)
    assert "not a job id in the spelling hex" in instance.run("job", "id", "--from=hex", spelled["dec"], check=False).stderr
    for option in ("--to=x", "--from=x"):
        assert "must be dec, hex" in instance.run("job", "id", option, failed, check=False).stderr


def test_last_is_what_was_submitted_last(fresh_instance):
    i = fresh_instance
    assert "no jobs" in i.run("job", "last", check=False).stderr
    jobs = [i.flux("submit", "true") for _ in range(4)]
    i.run("job", "wait-event", jobs[-1], "clean")
    newest = jobs[::-1]

    def last(*args):
        return i.flux("job", "last", *args).split()

    wait_until("all are listed", lambda: len(last("[:]")) == 4)
    assert last() == newest[:1] and last("2") == newest[:2] and last("99") == newest
    for s in ("[:]", "[0]", "[-1]", "[1:3]", "[:2]", "[-1:]", "[::-1]", "[::2]", "[-2::-1]", "[9:]", "[3:1:-1]", "[-9:2]"):
        want = eval(f"newest{s}")
        assert last(s) == ([want] if isinstance(want, str) else want), s
    assert last("[9]") == []
    for wrong in ("0", "x", "[x]", "[]", "[1:2:0]", "[1:2:3:4]", "[1", "[1 2]"):
        assert i.run("job", "last", wrong, check=False).returncode == 1, wrong


def test_timeleft(instance, failed, held):
    jobid = instance.flux("submit", "-t", "10m", "sh", "-c", f"{instance.fluxctl} job timeleft; sleep 300")
    instance.run("job", "wait-event", "-p", "output", "-m", "stream=stdout", jobid, "data")
    assert 500 < int(instance.flux("job", "timeleft", jobid)) <= 600
    assert instance.flux("job", "timeleft", "--human", jobid).endswith("m")
    assert 500 < int(instance.run("job", "attach", "-w", "start", jobid).stdout or 600) <= 600
    instance.run("cancel", jobid)
    instance.run("job", "wait-event", jobid, "clean")
    wait_until("it is listed as ended", lambda: instance.flux("job", "timeleft", jobid) == "0")
    assert instance.flux("job", "timeleft", failed) == "0"
    assert "has not started" in instance.run("job", "timeleft", held, check=False).stderr
    assert "FLUX_JOB_ID" in instance.run("job", "timeleft", check=False).stderr
    assert instance.flux("run", instance.fluxctl, "job", "timeleft") == "infinity"


def test_stats_counts_jobs(instance, failed, canceled):
    def counted():
        stats = json.loads(instance.flux("job", "stats"))
        return stats["failed"] >= 1 and stats["canceled"] >= 1 and stats["job_states"]["inactive"] >= 2

    wait_until("both to be counted", counted)  # nobody waits for the list to be up to date, here


def test_namespace_names_where_a_job_writes(instance, running):
    (ns,) = instance.flux("job", "namespace", running).split()
    assert ns == "job-" + instance.flux("job", "id", running)
    assert ns in instance.flux("kvs", "namespace", "list")


# --- doing something to jobs


def test_cancel_takes_a_message_and_many_jobs(instance):
    jobs = [instance.flux("submit", "--urgency=hold", "true") for _ in range(3)]
    instance.run("cancel", jobs[0], jobs[1], "not", "needed")
    instance.run("job", "cancel", "-m", "for a reason", jobs[2])
    notes = [e["context"]["note"] for j in jobs for e in instance.eventlog(j) if e["name"] == "exception"]
    assert notes == ["not needed", "not needed", "for a reason"]


def test_raise_and_its_severities(instance, held):
    instance.run("job", "raise", "-s", "3", "-t", "oops", held, "just", "saying")
    instance.run("job", "raise", "--severity=7", "--type=oops", "-m", "again", held)
    assert [e["context"]["note"] for e in instance.eventlog(held) if e["name"] == "exception"] == ["just saying", "again"]
    for wrong in ("8", "-1", "x"):
        assert "0 (fatal) to 7" in instance.run("job", "raise", "-s", wrong, held, check=False).stderr
    instance.run("job", "raise", held)
    instance.run("job", "wait-event", held, "clean")


def test_kill_signals_running_jobs(instance, running, held):
    r = instance.run("job", "kill", held, check=False)
    assert r.returncode == 1 and "not running" in r.stderr
    assert "is not a signal" in instance.run("job", "kill", "-s", "NOPE", running, check=False).stderr
    instance.run("job", "kill", "--signal=SIGUSR1", running)
    assert instance.run("job", "status", running, check=False).returncode == 128 + signal.SIGUSR1


def test_urgency(instance, held):
    blocker = instance.flux("submit", "-N1", "--exclusive", "sleep", "300")
    instance.run("job", "wait-event", blocker, "start")
    for word, value in (("7", 7), ("expedite", 31), ("EXPEDITE", 31), ("default", 16), ("Hold", 0)):
        instance.run("job", "urgency", held, word)
        assert [e["context"]["urgency"] for e in instance.eventlog(held) if e["name"] == "urgency"][-1] == value
    instance.run("cancel", blocker)
    for wrong in ("32", "-1", "4x"):
        assert "0 to 31" in instance.run("job", "urgency", "--", held, wrong, check=False).stderr


@pytest.mark.parametrize("args", [("attach",), ("cancel",), ("eventlog",), ("eventlog", "-F"), ("kill",), ("raise",), ("timeleft",), ("status",)])
def test_unknown_and_malformed_ids_are_named(instance, args):
    r = instance.run("job", *args, "1234", check=False)
    assert r.returncode == 1 and len(r.stderr.splitlines()) == 1 and "NH" in r.stderr, r.stderr
    r = instance.run("job", *args, "no-job", check=False)
    assert r.returncode == 1 and "'no-job' is not a job id" in r.stderr
    for more in (("urgency", "1234", "3"), ("wait-event", "1234", "start"), ("info", "1234", "R")):
        r = instance.run("job", *more, check=False)
        assert r.returncode == 1 and len(r.stderr.splitlines()) == 1


def test_many_jobs_at_once_are_hit_only_with_force(fresh_instance):
    i = fresh_instance
    held = [i.flux("submit", "--urgency=hold", "true") for _ in range(2)]
    run = i.flux("submit", "sleep", "300")
    i.run("job", "wait-event", run, "start")
    assert "3 jobs would be canceled" in i.run("job", "cancelall").stderr
    assert "2 jobs would be given" in i.run("job", "raiseall", "-S", "pending", "oops").stderr
    assert "2 jobs given the exception" in i.run("job", "raiseall", "-f", "-S", "pending", "-s", "6", "oops", "a", "note").stderr
    event = json.loads(i.flux("job", "wait-event", "-f", "json", held[0], "exception"))
    assert event["context"].items() >= {"type": "oops", "severity": 6, "note": "a note"}.items()
    assert "1 job would be signaled" in i.run("job", "killall").stderr
    assert "1 job signaled" in i.run("job", "killall", "-f", "-s", "USR1").stderr
    assert i.run("job", "status", run, check=False).returncode == 128 + signal.SIGUSR1
    assert "2 jobs canceled" in i.run("job", "cancelall", "-f", "-u", "all", "enough").stderr
    assert "0 jobs" in i.run("job", "cancelall", "-f").stderr and i.run("job", "cancelall", "-fq").stderr == ""
    for wrong, why in ((["-S", "nosuch"], "not a state"), (["-u", "nobody-here"], "no user")):
        assert why in i.run("job", "cancelall", *wrong, check=False).stderr


def test_submit_takes_a_jobspec_with_urgency_and_flags(instance, tmp_path):
    spec = instance.flux("submit", "--dry-run", "true")
    (tmp_path / "spec").write_text(spec)
    a = instance.flux("job", "submit", "-u", "5", "-f", "debug,waitable", tmp_path / "spec")
    assert next(e for e in instance.eventlog(a) if e["name"] == "submit")["context"].items() >= {"urgency": 5, "flags": 6}.items()
    instance.run("job", "wait", a)
    assert "there is no flag 'x'" in instance.run("job", "submit", "-f", "waitable,x", tmp_path / "spec", check=False).stderr
    assert "line 1" in instance.run("job", "submit", input="nonsense", check=False).stderr


# --- watch


def test_watch_shows_the_output_of_many_jobs(instance, failed):
    jobs = instance.flux("submit", "--cc=1-3", "sh", "-c", "echo job $FLUX_JOB_CC").split()
    r = instance.run("watch", "-l", *jobs)
    assert sorted(r.stdout.splitlines()) == sorted(f"{j}: 0: job {n}" for n, j in enumerate(jobs, 1))
    assert sorted(instance.run("watch", *jobs).stdout.splitlines()) == ["job 1", "job 2", "job 3"]
    r = instance.run("watch", jobs[0], failed, check=False)
    assert r.returncode == 3 and "job 1" in r.stdout and "out 1" in r.stdout


def test_watch_chooses_jobs_and_shows_progress(fresh_instance):
    i = fresh_instance
    assert "no such jobs" in i.run("watch", "--active", check=False).stderr
    done = i.flux("submit", "echo", "done")
    i.run("job", "wait-event", done, "clean")
    slow = i.popen("submit", "--wait", "sh", "-c", "echo slow; while [ ! -e go ]; do sleep 0.05; done")
    wait_until("it runs", lambda: i.flux("jobs", "-n", "-o", "{state}") == "RUN")
    wait_until("both are listed", lambda: len(i.flux("jobs", "-an").splitlines()) == 2)
    assert i.run("watch", "--inactive").stdout == i.run("watch", "-f", "inactive").stdout == "done\n"
    watch = i.popen("watch", "-a")
    everything = i.popen("watch", "--all", "--progress=always", "--jps")
    assert watch.stdout.readline() == "slow\n"  # it has chosen
    (i.workdir / "go").touch()
    assert watch.communicate(timeout=60)[0] == ""
    out, err = everything.communicate(timeout=60)
    assert sorted(out.split()) == ["done", "slow"] and "completed 2, failed 0" in err and "jobs/s" in err
    slow.communicate(timeout=60)
    wait_until("both have ended in the list", lambda: i.run("watch", "--active", check=False).returncode == 1)
    assert len(i.run("watch", "--since=-1h").stdout.split()) == 2 and len(i.run("watch", "-A", "-c1").stdout.split()) == 1


@pytest.mark.parametrize("args,why", [([], "say which jobs"), (["--active", "1"], "name jobs, or"), (["-f", "x"], "--filter"),
                                      (["--since=+9d"], "--since"), (["x!"], "not a job id"), (["1234"], "there is no such job")])
def test_watch_says_what_it_cannot_do(instance, args, why):
    r = instance.run("watch", *args, check=False)
    assert r.returncode == 1 and why in r.stderr


def test_watch_says_how_jobs_ended_unless_quiet(instance, canceled):
    assert "was canceled" in instance.run("watch", canceled, check=False).stderr
    assert instance.run("watch", "-q", canceled, check=False).stderr == ""


# --- taskmap


VECTORS = [("0", [[0, 1, 1, 1]]), ("0;1", [[0, 2, 1, 1]]), ("0-1", [[0, 1, 2, 1]]), ("0-1;2-3", [[0, 2, 2, 1]]), ("0,2;1,3", [[0, 2, 1, 2]]), ("1;0", [[1, 1, 1, 1], [0, 1, 1, 1]]),
           ("0-3;4-7;8-11;12-15", [[0, 4, 4, 1]]), ("0,4,8,12;1,5,9,13;2,6,10,14;3,7,11,15", [[0, 4, 1, 4]]), ("0-1,8-9;2-3,10-11;4-5,12-13;6-7,14-15", [[0, 4, 2, 2]]),
           ("0-1;2-3;4-5;6-7;8-11;12-15", [[0, 4, 2, 1], [4, 2, 4, 1]]), ("0,6;1,7;2,8;3,9;4,10,12,14;5,11,13,15", [[0, 6, 1, 2], [4, 2, 1, 2]]),
           ("14-15;12-13;10-11;8-9;4-7;0-3", [[5, 1, 4, 1], [4, 1, 4, 1], [3, 1, 2, 1], [2, 1, 2, 1], [1, 1, 2, 1], [0, 1, 2, 1]]),
           ("0-1;2-3;4-5;6-7;8-9;12-13;10-11;14-15", [[0, 5, 2, 1], [6, 1, 2, 1], [5, 1, 2, 1], [7, 1, 2, 1]]),
           ("12-15;8-11;4-7;0-3", [[3, 1, 4, 1], [2, 1, 4, 1], [1, 1, 4, 1], [0, 1, 4, 1]])]


@pytest.mark.parametrize("raw, map", VECTORS, ids=[v[0] for v in VECTORS])
def test_task_maps_are_converted_as_the_rfc_has_them(instance, raw, map):
    assert json.loads(instance.flux("job", "taskmap", raw)) == {"version": 1, "map": map}
    for given in (json.dumps(map), json.dumps({"version": 1, "map": map})):
        assert instance.flux("job", "taskmap", "--to=raw", given) == raw
    pmi = instance.flux("job", "taskmap", "--to=pmi", raw)
    assert pmi.startswith("(vector,(") and instance.flux("job", "taskmap", "--to=raw", pmi) == raw


def test_a_task_map_answers_questions(instance):
    def ask(option, map="0-1,8-9;2-3,10-11;4-5;6-7"):
        return instance.flux("job", "taskmap", option, map)

    assert (ask("--taskids=1"), ask("--ntasks=2"), ask("--nodeid=9"), ask("--hostname=10")) == ("2-3,10-11", "2", "0", "1")
    assert ask("--to=hosts", "0-1;2") == "0: 0-1\n1: 2" and ask("--to=multiline", "0-1;2") == "0: 0\n1: 0\n2: 1"


def test_the_task_map_of_a_job_names_its_host(instance, failed):
    host = instance.flux("getattr", "hostname")
    assert instance.flux("job", "taskmap", failed) == '{"version":1,"map":[[0,1,2,1]]}'
    assert instance.flux("job", "taskmap", "--to=hosts", failed) == f"{host}: 0-1" and instance.flux("job", "taskmap", "--to=multiline", failed) == f"0: {host}\n1: {host}"
    assert instance.flux("job", "taskmap", f"--taskids={host}", failed) == "0-1" and instance.flux("job", "taskmap", "--hostname=1", failed) == host


@pytest.mark.parametrize("args, why", [(["--to=xml", "0"], "--to must be"), (["--taskids=1", "0"], "no node '1', only 0"), (["--nodeid=4", "0-3"], "no task '4', only 0 to 3"), (["{}"], "version 1"),
                                       (["x"], "neither a job id nor a task map"), (["--nodeid=0", "--ntasks=0", "0"], "exclude each other"), (["0;0"], "'0;0'"), (["1234"], "no such job"), ([], "too few")])
def test_taskmap_says_what_is_wrong(instance, args, why):
    r = instance.run("job", "taskmap", *args, check=False)
    assert r.returncode == 1 and r.stdout == "" and why in r.stderr and r.stderr.startswith("flux-job: "), r


def test_a_job_without_tasks_has_no_task_map(instance, canceled):
    r = instance.run("job", "taskmap", canceled, check=False)
    assert r.returncode == 1 and f"cannot read the task map of job {canceled}" in r.stderr


# --- list, list-inactive, list-ids


def listed(instance, *args):
    return [json.loads(l) for l in instance.flux("job", *args).splitlines()]


def ids_of(instance, *ids):
    return [int(instance.flux("job", "id", id)) for id in ids]


def test_list_prints_a_line_of_json_for_each_job(instance, failed, held):
    one, other = ids_of(instance, failed, held)
    assert [j["id"] for j in listed(instance, "list", "-s", "pending")] == [other] and other in [j["id"] for j in listed(instance, "list")]
    assert {one, other} <= {j["id"] for j in listed(instance, "list", "-a", "-c0")} & {j["id"] for j in listed(instance, "list", "-A", "-c", "0")}
    assert listed(instance, "list", "-u", "4242") == [] and len(listed(instance, "list", "-a", "-c", "1")) == 1 and listed(instance, "list", "-a", "-n", "nobody") == []
    (job,) = [j for j in listed(instance, "list", "-s", "inactive", "-c0") if j["id"] == one]
    assert job["ntasks"] == 2 and job["state"] == 64 and job["result"] == 2


def test_list_inactive_chooses_by_time_and_name(instance, failed, held):
    one, other = ids_of(instance, failed, held)
    all = listed(instance, "list-inactive", "-c0")
    assert one in [j["id"] for j in all] and other not in [j["id"] for j in all] and {j["state"] for j in all} == {64}
    ended = next(j["t_inactive"] for j in all if j["id"] == one)
    since = [j["id"] for j in listed(instance, "list-inactive", "-c0", "-s", f"{ended - .001:.6f}", "-n", "sh")]
    assert one in since and len(since) <= len(all)
    assert listed(instance, "list-inactive", "--name=nobody") == []


def test_list_ids_waits_for_a_state(instance, failed, held):
    one, other = ids_of(instance, failed, held)
    assert [j["id"] for j in listed(instance, "list-ids", failed, held)] == [one, other]
    assert [j["state"] for j in listed(instance, "list-ids", "-W", "sched", failed, held)] == [64, 8]
    p = instance.popen("job", "list-ids", "--wait-state=inactive", held)
    instance.run("job", "urgency", held, "16")
    out, err = p.communicate(timeout=60)
    assert json.loads(out)["state"] == 64 and err == ""
    r = instance.run("job", "list-ids", "1234", failed, check=False)
    assert r.returncode == 1 and "no such job" in r.stderr and json.loads(r.stdout)["id"] == one
    assert "--wait-state" in instance.run("job", "list-ids", "-W", "tired", failed, check=False).stderr


# --- memo


def test_a_memo_is_shown_by_jobs_and_kept_in_the_eventlog(instance, held):
    instance.run("job", "memo", held, "a=1", "b.c=some words", "list=[1,2]")
    assert instance.flux("jobs", "-no", "{user.a} {user.b.c} {user.list}", held) == "1 some words [1,2]"
    instance.run("job", "memo", held, "a=null", "b.d=2")
    assert json.loads(instance.flux("jobs", "-no", "{user}", held)) == {"b": {"c": "some words", "d": 2}, "list": [1, 2]}
    assert [json.loads(l)["context"] for l in instance.flux("job", "info", held, "eventlog").splitlines() if '"memo"' in l] == [
        {"a": 1, "b": {"c": "some words"}, "list": [1, 2]}, {"a": None, "b": {"d": 2}}]


def test_a_volatile_memo_is_shown_and_not_kept(instance, held):
    instance.run("job", "memo", "--volatile", held, "phase=3")
    assert instance.flux("jobs", "-no", "{user.phase}", held) == "3" and "memo" not in instance.flux("job", "eventlog", held)


def test_memos_outlive_the_daemons_and_stay_beside_what_the_scheduler_says(fresh_instance):
    i = fresh_instance
    held = i.flux("submit", "--urgency=hold", "true")
    i.run("job", "memo", held, "a=1")
    assert i.flux("jobs", "-no", "{user.a}", held) == "1"
    for daemon in ("job-manager", "job-list"):
        i.kill_daemon(daemon)
    i.run("job", "memo", "--volatile", held, "b=2")
    assert i.flux("jobs", "-no", "{user.a} {user.b}", held) == "1 2"
    i.run("job", "urgency", held, "16")
    i.run("job", "status", held)
    assert i.flux("jobs", "-no", "{user.a} {user.b} {sched.resource_summary}", held) == "1 2 rank0/core0"


@pytest.mark.parametrize("memo, why", [(["a"], "not of the form KEY=VALUE"), (["a=" + 5000 * "x"], "longer than 4096 bytes"), ([], "too few arguments")])
def test_memo_refuses(instance, held, memo, why):
    r = instance.run("job", "memo", held, *memo, check=False)
    assert r.returncode == 1 and why in r.stderr, r


def test_a_memo_is_for_a_job_that_has_not_ended(instance, failed):
    r = instance.run("job", "memo", failed, "a=1", check=False)
    assert r.returncode == 1 and r.stderr == f"flux-job: cannot note that of job {failed}: the job has ended\n"


# --- cancel


def said(r):
    assert r.returncode == 0 and r.stdout == "", r
    return r.stderr


def test_cancel_takes_all_jobs_of_a_selection(fresh_instance):
    i = fresh_instance
    held = [i.flux("submit", "--urgency=hold", "true") for _ in range(3)]
    run = i.flux("submit", "sleep", "300")
    i.run("job", "wait-event", run, "start")
    assert said(i.run("cancel", "--user=all", "--dry-run")) == "flux-cancel: Would cancel 4 jobs\n" and said(i.run("cancel", "-n", "-s", "run")) == "flux-cancel: Would cancel 1 job\n"
    assert said(i.run("cancel", "-u", "4242")) == "flux-cancel: Canceled 0 jobs (0 errors)\n" and said(i.run("cancel", "-q", "-u", "4242")) == ""
    assert said(i.run("cancel", "--states=pending", "for", "good", "reasons")) == "flux-cancel: Canceled 3 jobs (0 errors)\n"
    assert {i.flux("jobs", "-no", "{result} {exception.note}", id) for id in held} == {"CANCELED for good reasons"} and i.flux("jobs", "-no", "{state}", run) == "RUN"
    assert said(i.run("cancel", "--all", "-m", "the end")) == "flux-cancel: Canceled 1 job (0 errors)\n"
    i.run("job", "wait-event", run, "clean")
    assert i.flux("jobs", "-no", "{result} {exception.note}", run) == "CANCELED the end"


@pytest.mark.parametrize("args, why", [([], "say which jobs"), (["x!"], "'x!' is not a job id"), (["--all", "ƒ2"], "exclude each other"), (["-n", "ƒ2"], "--dry-run is for"), (["-q", "ƒ2"], "--quiet is for"),
                                       (["-s", "tired"], "--states"), (["-u", "no such"], "no user"), (["ƒ2"], "cannot cancel job ƒ2")])
def test_cancel_says_what_is_wrong(instance, args, why):
    r = instance.run("cancel", *args, check=False)
    assert r.returncode == 1 and r.stdout == "" and why in r.stderr and r.stderr.startswith("flux-cancel: "), r


def test_words_of_the_reason_may_look_like_job_ids(instance):
    first, second = (instance.flux("submit", "--urgency=hold", "true") for _ in range(2))
    instance.run("cancel", first, "f" + second[1:], "for", "foo")
    assert {instance.flux("jobs", "-no", "{result} {exception.note}", id) for id in (first, second)} == {"CANCELED for foo"}


def test_urgency_has_the_same_names_everywhere(instance, tmp_path):
    (tmp_path / "spec").write_text(instance.flux("run", "--dry-run", "true"))
    for name, number in (("hold", 0), ("EXPEDITE", 31), ("Default", 16), ("7", 7)):
        ids = [instance.flux("submit", f"--urgency={name}", "sleep", "0"), instance.flux("job", "submit", "-u", name, tmp_path / "spec")]
        assert {instance.flux("jobs", "-no", "{urgency}", id) for id in ids} == {str(number)}
    for args in (("submit", "--urgency=soon", "true"), ("job", "submit", "-u", "soon", tmp_path / "spec"), ("job", "urgency", ids[0], "soon")):
        assert "hold, default or expedite, not 'soon'" in instance.run(*args, check=False).stderr
    instance.run("cancel", "--all", "-q")
