# SPDX-License-Identifier: LGPL-3.0-or-later
"""flux run, submit, bulksubmit and flux mini: every option of flux-mini(1) that these commands have. What ends in the jobspec is
looked at with --dry-run, the rest through a live instance."""
import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest
from embedded import caught, wait_until

COMMANDS = (["run"], ["submit"], ["mini", "run"], ["mini", "submit"])


def dry(i, *args, command=("run",), **kw):
    return json.loads(i.flux(*command, "--dry-run", *args, **kw))


def system(spec):
    return spec["attributes"]["system"]


def environment(i, *rules, cwd=None, **env):
    return system(dry(i, *rules, "true", env=env))["environment"]


# --- the shape of a job (RFC 14, 25)


def slot(n, cores=1, gpus=0):
    with_ = [{"type": "core", "count": cores}] + ([{"type": "gpu", "count": gpus}] if gpus else [])
    return {"type": "slot", "count": n, "with": with_, "label": "task"}


@pytest.mark.parametrize("args, resources, count", [
    ([], slot(1), {"per_slot": 1}), (["-n4"], slot(4), {"per_slot": 1}), (["--ntasks=4", "-c", "2"], slot(4, 2), {"per_slot": 1}),
    (["-n2", "-g1"], slot(2, 1, 1), {"per_slot": 1}), (["-n1", "--gpus-per-task=0"], slot(1), {"per_slot": 1}),
    (["-N2"], {"type": "node", "count": 2, "with": [slot(1)]}, {"per_slot": 1}),
    (["-N2", "-n4", "--cores-per-task=3"], {"type": "node", "count": 2, "with": [slot(2, 3)]}, {"per_slot": 1}),
    (["-N2", "-n3"], {"type": "node", "count": 2, "with": [slot(2)]}, {"total": 3}),
    (["-N1", "-x"], {"type": "node", "count": 1, "exclusive": True, "with": [slot(1)]}, {"per_slot": 1}),
], ids=lambda x: " ".join(x) if isinstance(x, list) else "")
def test_the_jobspec_is_that_of_rfc_25(instance, args, resources, count):
    specs = [dry(instance, *args, "cmd", "a b", "-n", command=c) for c in COMMANDS]
    assert all(s == specs[0] for s in specs)
    (spec,) = specs[:1]
    assert set(spec) == {"version", "resources", "tasks", "attributes"} and spec["version"] == 1
    assert spec["resources"] == [resources]
    assert spec["tasks"] == [{"command": ["cmd", "a b", "-n"], "slot": "task", "count": count}]
    assert system(spec)["duration"] == 0 and system(spec)["cwd"] == str(instance.workdir)
    assert all(isinstance(v, str) for v in system(spec)["environment"].values())


@pytest.mark.parametrize("limit, seconds", [("30", 30), ("30s", 30), ("1.5m", 90), ("2h", 7200), ("1d", 86400), ("500ms", 0.5), ("0", 0)])
def test_time_limits_are_standard_durations(instance, limit, seconds):
    assert system(dry(instance, "-t", limit, "true"))["duration"] == system(dry(instance, f"--time-limit={limit}", "true"))["duration"] == seconds


def test_a_relative_working_directory_is_below_that_of_the_command(instance):
    here = str(instance.workdir)
    for name, path in ((".", here), ("sub/dir", f"{here}/sub/dir"), ("/abs", "/abs")):
        assert system(dry(instance, f"--cwd={name}", "true"))["cwd"] == path


def test_options_end_where_the_jobspec_has_them(instance, tmp_path):
    spec = dry(instance, "--job-name=x y", "--cwd=/usr", "--input=in", "--output=out.{{id}}", "--error=err", "-l", "-u", "--signal=TERM@5s",
               "-o", "verbose", "-o", "a.b=2", "--setopt=c={\"d\":[1]}", "-o", "e=text", "--setattr=f=1.5", "--setattr=user.g.h=text",
               "--setattr=system.i=null", "--setattr=attributes.user.j=[]", "--dependency=afterok:ƒ1", "--dependency=x:y?k=v&l=w", "true")
    s = system(spec)
    assert (s["job"]["name"], s["cwd"], s["f"], s["i"]) == ("x y", "/usr", 1.5, None)
    o = s["shell"]["options"]
    assert (o["verbose"], o["a"], o["c"], o["e"], o["signal"]) == (1, {"b": 2}, {"d": [1]}, "text", "TERM@5s")
    assert o["input"] == {"stdin": {"type": "file", "path": "in"}}
    assert o["output"]["stdout"] == {"type": "file", "path": "out.{{id}}", "label": True, "buffer": {"type": "none"}}
    assert o["output"]["stderr"] == {"type": "file", "path": "err", "label": True, "buffer": {"type": "none"}}
    assert spec["attributes"]["user"] == {"g": {"h": "text"}, "j": []}
    assert s["dependencies"] == [{"scheme": "afterok", "value": "ƒ1"}, {"scheme": "x", "value": "y", "k": "v", "l": "w"}]
    for none in ("none", "kvs"):
        assert "shell" not in system(dry(instance, f"--output={none}", f"--error={none}", "true"))


def test_begin_time_is_a_dependency_on_that_time(instance):
    (d,) = system(dry(instance, "--begin-time=+90m", "true"))["dependencies"]
    assert d["scheme"] == "begin-time" and float(d["value"]) == pytest.approx(time.time() + 5400, abs=60)


def test_urgencies_and_flags_reach_the_job(instance):
    for value, urgency in (("hold", 0), ("default", 16), ("expedite", 31), ("7", 7)):
        jobid = instance.flux("submit", f"--urgency={value}", "--begin-time=+1h", "true")
        submit = instance.eventlog(jobid)[0]["context"]
        assert submit["urgency"] == urgency
        instance.flux("cancel", jobid)
    flags = [instance.eventlog(instance.flux("submit", *f, "true"))[0]["context"]["flags"]
             for f in ([], ["--debug"], ["--flags=debug"], ["--flags=waitable"], ["--flags=debug,waitable,novalidate"])]
    assert flags == [0, 2, 2, 4, 14]


@pytest.mark.parametrize("option, words", [
    ("-n0", "--ntasks '0'"), ("-nx", "--ntasks 'x'"), ("-n1000000000000", "--ntasks too large: '1000000000000' 2147483647"), ("-N0", "--nodes '0'"), ("-Nx", "--nodes 'x'"),
    ("-c0", "--cores-per-task '0'"), ("-g-1", "--gpus-per-task '-1'"), ("-t-1", "--time-limit '-1'"), ("-t1x", "--time-limit '1x'"), ("-x", "--exclusive --nodes"),
    ("--urgency=32", "--urgency '32'"), ("--urgency=high", "--urgency 'high'"), ("--flags=debug,x", "--flags 'x'"), ("--setattr=x", "--setattr 'x'"),
    ("--setattr=a..b=1", "--setattr a..b"), ("--setattr=^a=/none", "--setattr /none: No such file"), ("--setopt=", "--setopt"), ("--dependency=x", "--dependency 'x'"),
    ("--dependency=:x", "--dependency ':x'"), ("--dependency=a:b?scheme=c", "--dependency 'scheme'"), ("--begin-time=soon", "--begin-time 'soon'"),
    ("--env==x", "--env '=x'"), ("--env=X=$NOPE", "--env 'NOPE'"), ("--env=X=${A:-b}", "--env ${A:-b}"), ("--env-remove=/(/", "--env-remove '/(/'"), ("--env-file=/none", "--env-file /none"),
    ("--env=^/none", "--env /none"), ("--output=", "--output"), ("--input=", "--input"), ("--nosuch", "--nosuch"), ("--n", "--n"), ("--queue=nope", "'nope'"),
    ("--dependency=nope:1", "\"nope\""), ("--job-name=\udcff", "--job-name value attributes.system.job.name UTF-8"), ("-N2", "2 nodes"), ("-n10000", "10000 cores"),
])
def test_an_error_names_the_option_and_the_value(instance, option, words):
    r = instance.run("run", option, "true", check=False)
    assert r.returncode == 1 and r.stdout == "" and r.stderr.startswith("flux-run: ")
    assert all(w in r.stderr for w in words.split(" ")), r.stderr


@pytest.mark.parametrize("args, words", [
    (["--cc=x"], "--cc 'x'"), (["--cc="], "--cc ''"), (["--bcc=3-1"], "--bcc '3-1'"), (["--cc=1", "--bcc=2"], "--cc --bcc"), (["--log=/none/x"], "/none/x No such"),
    (["--log-stderr=/none/x"], "/none/x No such"), (["--log=/dev/full"], "/dev/full No space"), (["--progress=often"], "--progress 'often'"),
], ids=lambda x: " ".join(x) if isinstance(x, list) else "")
def test_an_error_of_submit_names_the_option_and_the_value(instance, args, words):
    r = instance.run("submit", *args, "true", check=False)
    assert r.returncode == 1 and r.stdout == "" and all(w in r.stderr for w in words.split(" ")), r.stderr


# --- environment


def test_rules_choose_set_and_remove_variables_in_order(instance, tmp_path):
    env = dict(OMP_A="1", OMP_B="2", FOO="foo", PATH="/usr/bin:/bin")
    assert environment(instance, "--env-remove=*", "--env=OMP*", **env) == {"OMP_A": "1", "OMP_B": "2"}
    assert environment(instance, "--env-remove=*", "--env=/^OMP_A$/", "--env=PATH=/x", "--env=PATH=$PATH:/y", **env) == {"OMP_A": "1", "PATH": "/x:/y"}
    assert environment(instance, "--env=-*", "--env=B=${FOO}x$$", "--env=FOO=new", "--env=C=$FOO", **env) == {"B": "foox$", "FOO": "new", "C": "new"}
    assert environment(instance, "--env=-*", "--env=A=b", "--env=A", "--env=none*", **env) == {"A": "b"}
    whole = environment(instance, **env)
    assert whole["FOO"] == "foo" and "OMP_A" in whole and set(whole) - set(environment(instance, "--env-remove=/^OMP_/", **env)) == {"OMP_A", "OMP_B"}


def test_rules_are_read_from_files(instance, tmp_path):
    (tmp_path / "rules").write_text("-*\n# a comment\n\nOMP*\nFOO=bar\nBAR=${FOO}/baz\n")
    (tmp_path / "outer").write_text(f"^{tmp_path}/rules\nX=y")
    expected = {"OMP_A": "1", "FOO": "bar", "BAR": "bar/baz"}
    assert environment(instance, f"--env-file={tmp_path}/rules", OMP_A="1") == expected
    assert environment(instance, "--env-file=~/rules", OMP_A="1", HOME=str(tmp_path)) == expected
    assert environment(instance, f"--env=^{tmp_path}/outer", OMP_A="1") == {**expected, "X": "y"}
    (tmp_path / "loop").write_text(f"^{tmp_path}/loop\n")
    assert "loop" in instance.run("run", f"--env-file={tmp_path}/loop", "true", check=False).stderr


def test_what_tells_a_process_of_its_own_job_is_not_handed_down(instance):
    env = environment(instance, FLUX_KVS_NAMESPACE="x", NOTIFY_SOCKET="y")
    assert "FLUX_KVS_NAMESPACE" not in env and "NOTIFY_SOCKET" not in env
    assert environment(instance, "--env-remove=*", "--env=FLUX_KVS_NAMESPACE", FLUX_KVS_NAMESPACE="x") == {"FLUX_KVS_NAMESPACE": "x"}


# --- many jobs


def test_cc_makes_a_job_for_each_id_and_tells_it(instance):
    specs = [json.loads(l) for l in instance.flux("submit", "--dry-run", "--cc=1-2,7", "--job-name=n{cc}", "--env=X={cc}", "--setattr=y={cc}", "echo", "{cc}").splitlines()]
    assert [(s["tasks"][0]["command"][1], system(s)["job"]["name"], system(s)["environment"]["X"], system(s)["y"], system(s)["environment"]["FLUX_JOB_CC"])
            for s in specs] == [(c, f"n{c}", c, int(c), c) for c in ("1", "2", "7")]
    specs = [json.loads(l) for l in instance.flux("submit", "--dry-run", "--bcc=0-1", "echo", "{cc}").splitlines()]
    assert [s["tasks"][0]["command"][1] for s in specs] == ["0", "1"] and all("FLUX_JOB_CC" not in system(s)["environment"] for s in specs)


def test_cc_is_empty_where_there_are_no_copies(instance):
    assert dry(instance, "echo", "a{cc}b", command=["submit"])["tasks"][0]["command"] == ["echo", "ab"]
    assert instance.flux("bulksubmit", "--dry-run", "echo", "{}{cc}", ":::", "x") == "flux-bulksubmit: submit echo x"


def test_the_exit_status_is_the_largest_of_the_jobs(instance):
    args = ["--quiet", "--cc=0-3", "sh", "-c", "exit {cc}"]
    assert instance.run("submit", "--watch", *args, check=False).returncode == 3
    r = instance.run("submit", "--wait", *args, check=False)
    assert r.returncode == 1 and r.stderr.count("exited with exit code") == 3 and r.stdout == ""
    assert instance.run("submit", *args).returncode == 0


def test_watch_shows_the_output_of_all_jobs_with_labels_on_request(instance):
    out = instance.flux("submit", "--quiet", "--watch", "-n2", "-l", "--cc=1-2", "sh", "-c", "echo out{cc}; echo err{cc} >&2")
    assert sorted(out.splitlines()) == sorted(f"{r}: out{c}" for r in "01" for c in "12")


def test_progress_is_shown_on_a_terminal_or_always(instance):
    quiet = instance.run("submit", "--progress", "--wait", "--cc=1-3", "true")
    assert quiet.stderr == "" and len(quiet.stdout.split()) == 3
    r = instance.run("submit", "--progress=always", "--cc=1-3", "true")
    assert "submitted 3/3" in r.stderr and "completed" not in r.stderr and "jobs/s" not in r.stderr
    r = instance.run("bulksubmit", "--progress=always", "--jps", "--wait", "sh", "-c", "exit {}", ":::", 0, 1, check=False)
    assert r.returncode == 1 and "completed 1, failed 1" in r.stderr and "jobs/s" in r.stderr


def test_verbose_says_the_id_then_events_then_execution(instance):
    err = [instance.run("run", *["-v"] * n, "true").stderr for n in range(4)]
    assert err[0] == "" and re.fullmatch(r"jobid: ƒ\S+\n", err[1])
    assert all(f"job.{e}" in err[2] for e in ("submit", "alloc", "start", "finish", "clean")) and "exec." not in err[2]
    assert "exec.shell.start" in err[3] and "job.clean" in err[3]


# --- inputs of bulksubmit


def bulk(i, *args, **kw):
    out = i.flux("bulksubmit", "--dry-run", *args, **kw).splitlines()
    assert all(l.startswith("flux-bulksubmit: submit ") for l in out)
    return [l[len("flux-bulksubmit: submit "):] for l in out]


def test_inputs_are_those_of_the_page(instance, tmp_path):
    (tmp_path / "inputs").write_text("0\n1 x\n")
    f = str(tmp_path / "inputs")
    assert bulk(instance, "echo", "{}", input="1\n2\n") == ["echo 1", "echo 2"]
    assert bulk(instance, "echo", "{1}", "{0}", ":::", 1, 2, ":::", 3, 4) == ["echo 3 1", "echo 4 1", "echo 3 2", "echo 4 2"]
    assert bulk(instance, "echo", "{0}", "{1}", ":::", 1, 2, 3, ":::+", "a", "b") == ["echo 1 a", "echo 2 b", "echo 3 a"]
    assert bulk(instance, "::::", f) == bulk(instance, "{}", "::::", f) == ["0", "1 x"]
    assert bulk(instance, "{0}{1}", "::::", f, "::::+", f) == ["00", "1 x1 x"]
    assert bulk(instance, "{0}-{1}", ":::", "a", "::::", "-", input="x\ny\n") == ["a-x", "a-y"]
    assert bulk(instance, "--sep=none", "{}", "::::", f) == ["0", "1", "x"]
    assert bulk(instance, "--sep=,", "{}", input="a,b,c\n") == ["a", "b", "c"]
    assert bulk(instance, "echo", input="") == []
    assert sorted(bulk(instance, "--shuffle", "{}", ":::", *range(20))) == sorted(map(str, range(20)))


def test_replacements_are_those_of_the_page(instance):
    assert bulk(instance, "{.%}", "{./}", "{./%}", "{.//}", ":::", "/a/b/c.d.e", "f") == ["/a/b/c.d c.d.e c.d /a/b", "f f f "]
    assert bulk(instance, "{0.%}", "{1.//}", ":::", "x.y", ":::", "p/q") == ["x p"]
    assert bulk(instance, "{seq}", "{seq1}", ":::", "a", "b") == ["0 1", "1 2"]
    assert bulk(instance, "--define=p2=2**int(x)", "-n", "{.p2}", "hostname", ":::", 0, 1, 2, 3, 4) == [f"-n{2**n} hostname" for n in range(5)]
    assert bulk(instance, "--cc={}", "{cc}-{}", ":::", "1-2", "5") == ["1-1-2", "2-1-2", "5-5"]
    assert bulk(instance, "-t{}m", "--output={seq}.{{id}}", "--env=A={}", "{}", ":::", 3) == ["-t3m --output=0.{{id}} --env=A=3 3"]


@pytest.mark.parametrize("args, words", [
    (["echo", "{1}", ":::", "a"], "{1}"), (["echo", "{x}", ":::", "a"], "{x}"), (["echo", "{.x}", ":::", "a"], ".x"), (["echo", "{", ":::", "a"], "{"), (["echo", ":::"], ":::"),
    (["echo", ":::+", "a"], ":::+"), (["echo", "::::", "/none"], "/none"), (["--sep=", "echo", ":::", "a"], "separator"), (["--define=x", "echo", ":::", "a"], "--define 'x'"),
    (["--define=d=int(x)", "{.d}", ":::", "a"], "int(x)"), (["-n{}", "true", ":::", "z"], "--ntasks 'z'"),
], ids=lambda x: " ".join(x) if isinstance(x, list) else "")
def test_an_error_of_bulksubmit_says_what_is_wrong(instance, args, words):
    r = instance.run("bulksubmit", *args, check=False)
    assert r.returncode == 1 and r.stdout == "" and r.stderr.startswith("flux-bulksubmit: ") and all(w in r.stderr for w in words.split(" ")), r.stderr


# --- standard streams and signals of run


def test_output_that_cannot_be_written_is_a_failure_of_run(instance):
    for n in (10, 100000):
        with open("/dev/full", "w") as full:
            r = subprocess.run([instance.fluxctl, "run", "head", "-c", str(n), "/dev/zero"], env=instance.environ(), stdin=subprocess.DEVNULL, stdout=full,
                               stderr=subprocess.PIPE, text=True, timeout=60)
        assert r.returncode == 1 and "cannot write to standard output" in r.stderr


def test_a_job_of_run_whose_output_nobody_reads_is_canceled(instance):
    p = instance.popen("run", "--job-name=unread", "yes")
    assert p.stdout.readline() == "y\n"
    p.stdout.close()
    assert p.wait(timeout=60) != 0 and "nobody reads its output" in p.stderr.read()
    assert instance.flux("jobs", "-an", "-o", "{result}", "--name=unread") == "CANCELED"


def test_a_job_whose_attached_reader_goes_away_runs_on(instance):
    jobid = instance.flux("submit", "yes")
    p = instance.popen("job", "attach", jobid)
    assert p.stdout.readline() == "y\n"
    p.stdout.close()
    assert p.wait(timeout=60) == -signal.SIGPIPE
    assert instance.flux("jobs", "-n", "-o", "{state}", jobid) == "RUN"
    instance.flux("cancel", jobid)


def test_the_first_ctrl_c_signals_the_tasks_and_the_second_cancels_the_job(instance):
    p = instance.popen("run", "sh", "-c", "trap 'echo int' INT; echo ready; while :; do sleep 0.05; done")
    assert p.stdout.readline() == "ready\n"
    p.send_signal(signal.SIGINT)
    assert p.stdout.readline() == "int\n"  # only to the tasks, and the job goes on
    assert "press Ctrl-C again" in p.stderr.readline()
    deadline = time.monotonic() + 60
    while p.poll() is None and time.monotonic() < deadline:  # on a slow machine the two seconds of the second may be over
        p.send_signal(signal.SIGINT)
        try:
            p.wait(timeout=0.3)
        except subprocess.TimeoutExpired:
            pass
    out, err = p.communicate(timeout=60)
    assert p.returncode != 0 and "interrupted by ctrl-C" in err


@contextlib.contextmanager
def while_submitting(instance, *args):
    """The command, which waits for the answer to its submission until the end of the block."""
    instance.flux("submit", "true")
    (pid,) = instance.daemon_pids("job-ingest")
    os.kill(pid, signal.SIGSTOP)
    try:
        p = instance.popen(*args)
        wait_until("its signals are watched", lambda: all(caught(p.pid, s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)))
        yield p
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_job_is_submitted_cancels_it_when_it_has_been(instance, sig):
    with while_submitting(instance, "run", "--job-name=early", "sleep", "300") as p:
        p.send_signal(sig)
    _, err = p.communicate(timeout=60)
    assert p.returncode != 0 and "canceling job" in err, err
    job = re.search("canceling job ([^:]+):", err).group(1)
    assert instance.flux("jobs", "-no", "{name} {result}", job) == "early CANCELED"


def test_a_second_ctrl_c_ends_a_command_whose_submission_is_not_answered(instance):
    with while_submitting(instance, "run", "true") as p:
        p.send_signal(signal.SIGINT)
        assert "press Ctrl-C again" in p.stderr.readline()
        p.send_signal(signal.SIGINT)
        assert p.wait(timeout=60) == 128 + signal.SIGINT and "may or may not" in p.stderr.read()


@pytest.mark.parametrize("wait", [[], ["--wait"], ["--watch"]])
def test_submit_that_is_told_to_end_prints_the_ids_of_what_it_submitted_first(instance, wait):
    with while_submitting(instance, "submit", *wait, "--cc=1-3", "sleep", "300") as p:
        p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    assert p.returncode == 128 + signal.SIGINT and len(out.split()) == 3 and "go on" in err
    assert instance.flux("jobs", "-no", "{name}", *out.split()) == "\n".join(["sleep"] * 3)
    instance.flux("cancel", *out.split())


def test_run_in_the_background_of_a_terminal_leaves_its_input_alone(instance):
    script = f"set -m; {instance.fluxctl} run sh -c 'echo started; sleep 0.3; echo ended' & read line; wait $!; echo status $?, read $line"
    pid, tty = pty.fork()
    if pid == 0:
        os.execvpe("bash", ["bash", "-c", script], instance.environ())
    out = b""
    while b"started" not in out:
        out += os.read(tty, 1024)
    os.write(tty, b"ours\n")
    try:
        while not re.search(rb"status \d+, read \w+", out):
            out += os.read(tty, 1024)
    except OSError:  # the terminal's end
        pass
    os.waitpid(pid, 0)
    os.close(tty)
    assert b"ended" in out and b"status 0, read ours" in out, out


def test_lines_of_any_length_pass(instance):
    for n in (1 << 16, 3 << 20):
        r = instance.run("run", "sh", "-c", f"head -c {n} /dev/zero | tr '\\0' x; echo")
        assert r.stdout == "x" * n + "\n"
        r = instance.run("run", "-l", "cat", input="y" * n + "\n")
        assert r.stdout == "0: " + "y" * n + "\n"


def test_an_argument_may_be_as_long_as_the_kernel_allows(instance):
    long = "z" * 120000
    assert instance.run("run", "echo", long).stdout == long + "\n"
