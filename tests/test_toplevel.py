# SPDX-License-Identifier: LGPL-3.0-or-later
"""flux itself, and the commands that look at an instance: event, ping, logger, dmesg, version, env, getattr, setattr, lsattr, uptime; each
option of their pages."""
import json
import os
import re
import shutil
import subprocess
import threading

import pytest
from embedded import wait_until


def lines(i, *args, **kw):
    return i.flux(*args, **kw).splitlines()


def refused(i, *args, **kw):
    r = i.run(*args, check=False, **kw)
    assert r.returncode == 1 and r.stdout == "" and r.stderr.startswith("flux"), r
    return r.stderr


@pytest.fixture
def program(tmp_path):
    """A sub-command of a user's own: flux-mine."""
    p = tmp_path / "cmds" / "flux-mine"
    p.parent.mkdir()
    p.write_text('#!/bin/sh\necho mine "$@"; env; exit 7\n')
    p.chmod(0o755)
    return p


# --- flux


def test_programs_of_the_search_path_are_commands(instance, program, tmp_path):
    r = instance.run("mine", "-a", "b c", env={"FLUX_EXEC_PATH": f"/none:{program.parent}"}, check=False)
    assert r.returncode == 7 and r.stdout.startswith("mine -a b c\n")
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "flux-mine").write_text("#!/bin/sh\necho the first\n")
    (tmp_path / "first" / "flux-mine").chmod(0o755)
    env = {"FLUX_EXEC_PATH_PREPEND": str(tmp_path / "first"), "FLUX_EXEC_PATH": str(program.parent)}
    assert instance.flux("mine", env=env) == "the first"
    assert "no command 'mine'" in refused(instance, "mine")
    program.chmod(0o644)
    assert "cannot run 'mine': Permission denied" in refused(instance, "mine", env={"FLUX_EXEC_PATH": str(program.parent)})


def test_a_command_with_a_slash_is_run_as_it_is(instance, program):
    assert instance.run(str(program), "x", check=False).stdout.startswith("mine x\n")
    assert "/none/at/all" in refused(instance, "/none/at/all")


def test_programs_get_the_environment_of_the_page(instance, program):
    env = {"FLUX_EXEC_PATH": str(program.parent), "FLUX_MODULE_PATH": "/m", "FLUX_MODULE_PATH_PREPEND": "/m0", "FLUX_CONNECTOR_PATH_PREPEND": "/c0",
           "FLUX_PYTHONPATH_PREPEND": "/p0", "PYTHONPATH": "/p", "FLUX_LUA_PATH_PREPEND": "/l0/?.lua", "HOME": "/home/u"}

    def seen(*args, **more):
        out = instance.run(*args, "mine", env={**env, **more}, check=False).stdout
        return dict(l.split("=", 1) for l in out.splitlines()[1:] if "=" in l)

    e = seen()
    assert re.fullmatch(r"/m0:/\S+/flux/modules:/m", e["FLUX_MODULE_PATH"]) and re.fullmatch(r"/c0:/\S+/flux/connectors", e["FLUX_CONNECTOR_PATH"])
    assert re.fullmatch(rf"/\S+/libexec/flux/cmd:{program.parent}", e["FLUX_EXEC_PATH"]) and e["PYTHONPATH"] == "/p0:/p" and e["LUA_PATH"] == "/l0/?.lua"
    assert e["FLUX_SEC_DIRECTORY"] == "/home/u/flux" and e["FLUX_URI"] == instance.uri and "LUA_CPATH" not in e
    again = seen(**{k: e[k] for k in ("FLUX_MODULE_PATH", "FLUX_CONNECTOR_PATH", "PYTHONPATH")}, FLUX_SEC_DIRECTORY="/s")
    assert {k: again[k] for k in e if k.startswith("FLUX_MODULE") or k == "PYTHONPATH"} == {k: e[k] for k in e if k.startswith("FLUX_MODULE") or k == "PYTHONPATH"}
    assert again["FLUX_SEC_DIRECTORY"] == "/s"


def test_verbose_shows_the_environment_and_the_search(instance, program):
    env = {"FLUX_EXEC_PATH": f"/none:{program.parent}"}
    err = instance.run("-v", "mine", env=env, check=False).stderr.splitlines()
    assert any(l.startswith("FLUX_EXEC_PATH=") for l in err) and f"FLUX_URI={instance.uri}" in err
    assert err[-2:] == ["trying /none/flux-mine", f"trying {program}"]
    r = instance.run("--verbose", "getattr", "rank")
    assert r.stdout == "0\n" and r.stderr.splitlines()[-1] == "'getattr' is built in"


def test_commands_that_do_not_exist_suggest_what_was_meant(instance):
    for wrong, right in ((["jbos"], "jobs"), (["kv"], "kvs"), (["sumbit"], "submit"), (["kvs", "gte"], "kvs get"), (["kvs", "eventlog", "apend"], "kvs eventlog append"),
                         (["mini", "bulksumit"], "mini bulksubmit")):
        err = refused(instance, *wrong)
        assert f"no command '{' '.join(wrong)}'" in err and f"Did you mean `flux {right}`?" in err
    assert "Did you mean" not in refused(instance, "qqqqqqqq")


def test_a_group_of_commands_lists_them(instance):
    for group, member in ((["kvs"], "kvs get"), (["kvs", "eventlog"], "kvs eventlog get"), (["mini"], "mini run")):
        err = refused(instance, *group)
        assert f"a command is missing after '{' '.join(group)}'" in err and f"  {member} " in err
        assert f"  {member} " in instance.flux(*group, "--help")


def test_top_level_options(instance):
    assert instance.flux("-V") == instance.flux("--version") == instance.flux("version")
    assert instance.flux("-h") == instance.flux("--help") == instance.flux("help")
    assert "no parent" in refused(instance, "--parent", "getattr", "rank")
    assert "unknown option --nosuch" in refused(instance, "--nosuch")


def test_parent_speaks_to_the_parent_and_forgets_the_namespace(instance):
    instance.flux("setattr", "parent-uri", instance.uri)
    try:
        assert instance.flux("-p", "getattr", "rundir") == instance.flux("-p", "-p", "getattr", "rundir") == instance.rundir
        out = instance.flux("-p", "env", env={"FLUX_KVS_NAMESPACE": "none"})
        assert f"FLUX_URI={instance.uri}" in out and "FLUX_KVS_NAMESPACE" not in out
    finally:
        instance.flux("setattr", "--expunge", "parent-uri")


def test_an_instance_that_is_a_job_reaches_its_parent_in_the_namespace_of_the_job(instance):
    script = "f=$0; $f kvs put k=inner; $f -p kvs put k=outer; $f kvs get k; $f -p kvs get k; $f -p getattr rundir; $f getattr instance-level; $f -p -p getattr rank"
    r = instance.run("run", instance.fluxctl, "start", "--embedded", "--", "sh", "-c", script, instance.fluxctl, check=False)
    assert r.stdout.split() == ["inner", "outer", instance.rundir, "1"] and "no parent" in r.stderr
    jobid = instance.flux("jobs", "-a", "-n", "-c1", "-o", "{id.dothex}")
    assert instance.flux("kvs", "get", f"job.{jobid}.guest.k") == "outer"


def test_help_shows_the_page_of_a_command(instance, tmp_path):
    (tmp_path / "man").write_text('#!/bin/sh\necho "$@" "$MANPATH"\n')
    (tmp_path / "man").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MANPATH": "/mine:"}
    for words, page in ((["kvs"], "flux-kvs"), (["kvs", "get"], "flux-kvs"), (["flux"], "flux"), (["flux-kvs"], "flux-kvs")):
        assert re.fullmatch(rf"{page} /mine::/\S*man", instance.flux("help", *words, env=env))
    assert "'a/b'" in refused(instance, "help", "a/b", env=env)


@pytest.mark.parametrize("args, words", [
    (["resource", "status", "-i9"], "rank 9 is not among the resources"), (["resource", "list", "-i", "nohost"], "host nohost is not"),
    (["dump", "/dev/full"], "No space left"), (["shutdown", "--dump=/none/x"], "cannot write in /none: No such file or directory; nothing was shut down"),
    (["job", "submit", "/none"], "cannot read /none: No such file"), (["jobs", "--since=soon"], "or -2h"),
], ids=lambda x: x[0] if isinstance(x, list) else "")
def test_what_cannot_be_is_told_before_anything_is_done(instance, args, words):
    assert words in refused(instance, *args)
    assert instance.flux("getattr", "rank") == "0"


def test_env_prints_the_environment_or_runs_a_command_in_it(instance):
    env = lines(instance, "env")
    assert f"FLUX_URI={instance.uri}" in env and any(l.startswith("FLUX_MODULE_PATH=") for l in env)
    assert instance.flux("env", "sh", "-c", "echo $FLUX_URI $0", "x") == f"{instance.uri} x"
    assert instance.run("env", "sh", "-c", "exit 5", check=False).returncode == 5
    r = instance.run("env", "/none", check=False)
    assert (r.returncode, r.stdout) == (127, "") and "cannot run '/none'" in r.stderr, r
    out = subprocess.run([instance.fluxctl, "env"], env={"PATH": "/bin"}, stdout=subprocess.PIPE, text=True).stdout
    assert "FLUX_URI=local:///run/flux/local" in out.splitlines()


def test_version_names_commands_library_broker_and_instance(instance):
    v = dict(re.split(r": +", l, 1) for l in lines(instance, "version"))
    assert v["FLUX_URI"] == instance.uri and v["commands"] == v["libflux-core"] == v["broker"] == instance.flux("getattr", "version")
    out = subprocess.run([instance.fluxctl, "version"], env={"FLUX_URI": "local:///none"}, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "broker" not in out and "FLUX_URI" not in out


# --- attributes


def test_attributes_are_set_printed_listed_and_removed(instance):
    instance.flux("setattr", "test.a", "some text")
    assert instance.flux("getattr", "test.a") == "some text"
    names = lines(instance, "lsattr")
    assert "test.a" in names and "rank" in names and names == sorted(names)
    for option in ("-v", "--values"):
        values = dict(l.split(None, 1) for l in lines(instance, "lsattr", option))
        assert values["test.a"] == "some text" and values["size"] == "1" and sorted(values) == names
    assert json.loads(instance.flux("lsattr", "--json"))["test.a"] == "some text"
    instance.flux("setattr", "--expunge", "test.a")
    assert "none of that name" in refused(instance, "getattr", "test.a") and "test.a" in refused(instance, "setattr", "-e", "test.a")
    assert "rank cannot be changed" in refused(instance, "setattr", "rank", "3")
    assert "--expunge" in refused(instance, "setattr", "test.a")
    refused(instance, "getattr")


def test_uptime_tells_age_owner_depth_and_size(instance):
    assert re.fullmatch(r" ?\d\d:\d\d:\d\d run \S+,  owner \S+,  depth 0,  size 1", instance.flux("uptime"))


# --- events


class Subscriber:
    """flux event sub, once its subscriptions are made: it has printed an event of ours."""

    def __init__(self, i, *topics):
        self.i = i
        self.p = i.popen("event", "sub", "ready", *topics)
        self.out = []
        self.thread = threading.Thread(target=self.read)
        self.thread.start()
        wait_until("the subscription", lambda: i.flux("event", "pub", "-l", "ready") == "" and self.out)

    def read(self):
        for line in self.p.stdout:
            self.out.append(line.rstrip("\n"))

    def events(self):
        return [l for l in self.out if not l.startswith("ready\t")]

    def end(self, n):
        """The first n events of the topics."""
        try:
            wait_until(f"{n} events", lambda: len(self.events()) >= n)
        finally:
            self.p.kill()
            self.p.wait(60)
            self.thread.join(60)
        return self.events()


def test_events_reach_those_whose_topic_they_begin_with(instance):
    s = Subscriber(instance, "a.b", "x")
    for topic, *payload in (["a.b.c"], ["a.c"], ["a.b", '{"n":', "1}"], ["xyz", "{}"], ["y"], ["a.bc", '{"last":true}']):
        instance.flux("event", "pub", topic, *payload)
    assert s.end(4) == ["a.b.c\t", 'a.b\t{"n": 1}', "xyz\t{}", 'a.bc\t{"last":true}']


def test_a_subscription_without_topics_gets_all(instance):
    s = Subscriber(instance, "")
    instance.flux("event", "pub", "anything.at.all")
    wait_until("the event", lambda: "anything.at.all\t" in s.out)
    s.end(1)


def test_sub_ends_after_count_events(instance):
    p = instance.popen("event", "sub", "-c", 2, "count.")
    wait_until("the end", lambda: instance.flux("event", "pub", "count.x") == "" and p.poll() is not None)
    assert (p.returncode, p.stdout.read()) == (0, "count.x\t\n" * 2)


def test_pub_options(instance):
    s = Subscriber(instance, "t.")
    instance.flux("event", "pub", "-r", "t.raw", "not", "json\x01")
    instance.flux("event", "pub", "-s", "t.seq")
    instance.flux("event", "pub", "-l", "t.loop", '{"a":1}')
    instance.flux("event", "pub", "-p", "t.private")
    instance.flux("event", "pub", "-l", "-r", "-p", "t.all", "x")
    assert s.end(5) == ["t.raw\tnot json\\x01", "t.seq\t", 't.loop\t{"a":1}', "t.private\t", "t.all\tx"]
    assert "JSON object" in refused(instance, "event", "pub", "t", "[1]") and "JSON object" in refused(instance, "event", "pub", "t", "no", "json")
    refused(instance, "event", "pub")
    assert "--count" in refused(instance, "event", "sub", "-c", "x")


# --- ping


@pytest.mark.parametrize("args, target", [
    (["kvs"], "kvs"), (["broker"], "broker"), (["0"], "0!broker"), (["0!kvs"], "0!kvs"), (["any!kvs"], "kvs"), (["--rank=0", "kvs"], "0!kvs"), (["-r", "any", "kvs"], "kvs"),
    (["-r", "0", "job-manager"], "0!job-manager"),
], ids=" ".join)
def test_ping_reaches_its_target(instance, args, target):
    assert re.fullmatch(rf"{re.escape(target)}\.ping pad=0 seq=0 time=[0-9.]+ ms \(.*\)", instance.flux("ping", "-c", 1, *args))


def test_ping_options(instance):
    out = lines(instance, "ping", "-c", 3, "-i", "0.01", "-p", "1000", "kvs")
    assert [re.findall(r"pad=1000 seq=(\d) ", l) for l in out] == [["0"], ["1"], ["2"]]
    out = lines(instance, "ping", "--count=300", "--interval=0", "kvs")
    assert sorted(int(re.search(r"seq=(\d+)", l).group(1)) for l in out) == list(range(300))
    out = lines(instance, "ping", "-c", 20, "-b", "-i", "0", "kvs")
    assert [int(re.search(r"seq=(\d+)", l).group(1)) for l in out] == list(range(20))
    assert f" userid={os.getuid()} rolemask=0x1 " in instance.flux("ping", "-u", "-c1", "kvs")
    assert len(instance.flux("ping", "-c1", "-p", 300000, "kvs")) < 200  # it is not printed


@pytest.mark.parametrize("args, words", [
    (["7"], "7!broker.ping rank 7"), (["-r", "7", "kvs"], "rank 7"), (["nosuch"], "nosuch"), (["-r", "upstream", "kvs"], "no node above"), (["-r", "x", "kvs"], "--rank 'x'"), (["x!kvs"], "--rank 'x'"),
    (["-b", "kvs"], "--batch --count"), (["-c", "x", "kvs"], "--count 'x'"), (["-p", "-1", "kvs"], "--pad '-1'"), (["-i", "x", "kvs"], "--interval 'x'"),
], ids=lambda x: " ".join(x) if isinstance(x, list) else "")
def test_ping_says_what_is_wrong(instance, args, words):
    err = refused(instance, "ping", "-c1", *args) if "-b" not in args else refused(instance, "ping", *args)
    assert all(w in err for w in words.split(" ")), err


# --- logs


def test_what_logger_writes_dmesg_shows(instance):
    word = "unlikely-word"
    for n, args in enumerate(([word, "one"], ["-s", "warning", "-n", "mine", word, "two"], ["--severity=notice", "--appname=other", f"{word} three"]), 1):
        instance.flux("logger", *args)
        wait_until("the record", lambda: instance.flux("dmesg").count(word) == n)
    found = [l.split(" ", 1) for l in lines(instance, "dmesg") if word in l]
    assert [f[1] for f in found] == [f"logger.info[0]: {word} one", f"mine.warning[0]: {word} two", f"other.notice[0]: {word} three"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", f[0]) for f in found) and found == sorted(found)
    assert instance.flux("dmesg", "-l", "warning").count(word) == 1 and instance.flux("dmesg", "-s", "other").count(word) == 1
    assert "'loud'" in refused(instance, "logger", "-s", "loud", "x") and "'loud'" in refused(instance, "dmesg", "-l", "loud")
    refused(instance, "logger")


def test_dmesg_follow_goes_on_with_new_records(instance):
    instance.flux("logger", "before-follow")
    p = instance.popen("dmesg", "-f", "-s", "logger")
    timer = threading.Timer(60, p.kill)
    timer.start()
    for expected in ("before-follow", "after-follow"):
        line = ""
        while not line.endswith(f" {expected}\n"):
            line = p.stdout.readline()
            assert line
        instance.flux("logger", "after-follow")
    p.kill()
    p.wait()
    timer.cancel()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
@pytest.mark.parametrize("option", [[], ["-f"], ["-n"]])
def test_who_may_not_read_the_log_is_told_so(instance, option):
    r = instance.run("dmesg", *option, user=1, check=False)
    assert r.returncode == 1 and r.stdout == "" and "readable for its owner only" in r.stderr, r


def test_a_cleared_log_shows_what_comes_after(fresh_instance):
    i = fresh_instance

    def logged(word):
        i.flux("logger", word)
        wait_until(word, lambda: word in i.flux("dmesg"))

    logged("first")
    assert i.flux("dmesg", "--clear") == "" and "first" not in i.flux("dmesg")
    logged("second")
    assert "second" in i.flux("dmesg", "--read-clear") and "second" not in i.flux("dmesg")
    logged("third")
    assert i.flux("dmesg", "-C") == "" and "third" not in i.flux("dmesg", "-c")
    assert "exclude each other" in refused(i, "dmesg", "-C", "-f") and "exclude" in refused(i, "dmesg", "-c", "-f")


# --- output that cannot be written


@pytest.mark.parametrize("args", [["event", "sub"], ["ping", "-i", "0.01", "kvs"], ["dmesg", "-f"], ["kvs", "get", "-w", "full.a"], ["kvs", "eventlog", "get", "-w", "full.log"],
                                  ["lsattr"], ["--help"], ["run", "--help"]], ids=" ".join)
def test_commands_that_go_on_printing_end_when_they_cannot(instance, args):
    instance.flux("kvs", "put", "full.a=1")
    instance.flux("kvs", "eventlog", "append", "full.log", "event")
    with open("/dev/full", "w") as full:
        p = subprocess.Popen([instance.fluxctl, *args], env=instance.environ(), stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True)
        wait_until("the end", lambda: instance.flux("event", "pub", "anything") == "" and p.poll() is not None)
    assert p.returncode == 1 and "cannot write to standard output" in p.stderr.read()


PRINTING = ["bulksubmit --dry-run echo {} ::: 1", "config get", "content store", "dmesg", "env", "event sub", "getattr rank", "hwloc info", "hwloc topology", "job attach ID",
            "job eventlog ID", "job id ID", "job info ID jobspec", "job last", "job namespace ID", "job stats", "job status -v ID", "job wait-event ID start", "jobs -a", "keygen --help", "kvs dir",
            "kvs get full.a", "kvs getroot", "kvs ls", "kvs namespace list", "kvs version", "lsattr -v", "module list", "module stats kvs", "overlay status", "ping -c1 kvs",
            "queue status", "resource R", "resource info", "resource list", "resource status", "run echo hi", "submit true", "uptime", "version", "watch ID"]


def test_every_command_says_that_it_cannot_print(instance, tmp_path):
    instance.flux("kvs", "put", "full.a=1")
    id = instance.flux("submit", "echo", "hi")
    instance.flux("job", "status", id)
    r = {}
    for command in PRINTING:
        for to in ("&-", "/dev/full"):
            p = subprocess.run(["sh", "-c", f"$FLUX {command.replace('ID', id)} >{to}"], env=instance.environ(FLUX=instance.fluxctl), stdin=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, cwd=tmp_path, timeout=60)
            r[f"{command} >{to}"] = (p.returncode, "cannot write to standard output" in p.stderr)
    assert {k: v for k, v in r.items() if v != (1, True)} == {}


def test_a_closed_output_does_not_matter_to_who_prints_nothing(instance):
    r = subprocess.run(["sh", "-c", '"$FLUX" run true >&- && "$FLUX" kvs put full.b=2 >&- && "$FLUX" kvs get full.b'], env=instance.environ(FLUX=instance.fluxctl),
                       capture_output=True, text=True, timeout=60)
    assert (r.returncode, r.stdout, r.stderr) == (0, "2\n", "")


# --- one manner of speaking


@pytest.mark.parametrize("args, begin", [(["nosuch"], "flux: "), (["kvs", "nosuch"], "flux: "), (["--nosuch"], "flux: "), (["kvs", "get", "nosuch"], "flux-kvs: "),
                                         (["run", "--nosuch"], "flux-run: "), (["mini", "run", "--nosuch"], "flux-mini: "), (["job", "info", "x", "y"], "flux-job: ")])
def test_errors_begin_with_the_name_of_the_page(instance, args, begin):
    r = instance.run(*args, check=False)
    assert r.returncode == 1 and r.stdout == "" and r.stderr.startswith(begin) and "fluxctl" not in r.stderr, r


def test_job_ids_are_ascii_where_they_must_be(instance):
    id = instance.flux("submit", "true", env={"LC_ALL": "C.UTF-8"})
    plain = instance.flux("submit", "true", env={"LC_ALL": "C"})
    forced = instance.flux("submit", "true", env={"LC_ALL": "C.UTF-8", "FLUX_F58_FORCE_ASCII": "1"})
    assert (id[0], plain[0], forced[0]) == ("ƒ", "f", "f")
    for env in ({"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C"}):
        instance.flux("job", "status", id, "f" + id[1:], plain, "ƒ" + forced[1:], env=env)
    for env, letter in (({"LC_ALL": "C.UTF-8"}, "ƒ"), ({"LC_ALL": "C"}, "f"), ({"LC_ALL": "C.UTF-8", "FLUX_F58_FORCE_ASCII": "1"}, "f")):
        assert {l.split()[0][0] for l in lines(instance, "jobs", "-an", env=env)} == {letter}


# --- completion


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_completes_commands_and_options(build):
    def complete(*words):
        out = subprocess.run([build / "fluxctl" / "fluxctl", "--list-completions", *words], stdout=subprocess.PIPE, text=True, check=True).stdout
        return out.split()

    assert sorted(complete("job")) == ["job", "jobs"] and complete("kvs", "names") == ["namespace"] and "create" in complete("kvs", "namespace", "")
    assert complete("jobs", "--si") == ["--since="] and complete("run", "--unb") == ["--unbuffered"] and complete("dmesg", "--read") == ["--read-clear"]
