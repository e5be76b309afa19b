# SPDX-License-Identifier: LGPL-3.0-or-later
"""Jobs that are instances of their own: batch and alloc."""
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from embedded import Instance, wait_until, with_enough_time
from test_hostile import build  # noqa: F401  (a fixture)
from test_tree import Tree

CORES = '[resource]\nnoverify = true\n[[resource.config]]\nhosts = "{host}"\ncores = "0-7"\n'


def with_flux_in_path(build, work):  # noqa: F811
    (work / "bin").mkdir()
    (work / "bin" / "flux").symlink_to(build / "fluxctl" / "fluxctl")
    return {"PATH": f"{work}/bin:{os.environ['PATH']}"}


class Outer:
    """An instance with `flux` in the path, in a directory for scripts and output."""

    def __init__(self, instance, work):
        self.instance, self.work = instance, work
        self.env = {**instance.environ()}

    def flux(self, *args, input=None, **env):
        return subprocess.run([self.instance.fluxctl, *map(str, args)], cwd=self.work, env={**self.env, **env}, input=input, text=True,
                              stdin=None if input else subprocess.DEVNULL, capture_output=True, timeout=60)

    def say(self, *args, **kw):
        done = self.flux(*args, **kw)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def script(self, text, name="script.sh"):
        (self.work / name).write_text(text)
        return name

    def batch(self, *args, status=0, **kw):
        """Submit, wait, and give the id and what the script wrote."""
        job = self.say("batch", "--output=out.{{id}}", *args, **kw)
        assert self.flux("job", "attach", job).returncode == status
        return job, (self.work / f"out.{job}").read_text()


@pytest.fixture(scope="module")
def outer(build, tmp_path_factory):  # noqa: F811
    work = tmp_path_factory.mktemp("outer")
    (work / "conf").mkdir()
    (work / "conf" / "cores.toml").write_text(CORES.format(host=os.uname().nodename))
    with Instance(build, work, args=["-c", work / "conf"], env=with_flux_in_path(build, work)) as i:
        yield Outer(i, work)


@pytest.fixture
def tree(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=4) as t:
        t.env.update(with_flux_in_path(build, tmp_path))
        t.workdir = tmp_path
        yield t


def test_a_script_runs_in_an_instance_of_its_own(outer):
    script = outer.script('#!/bin/bash\necho "$@"\nflux run hostname\n'
                          'for a in jobid instance-level parent-uri size; do flux getattr $a; done\nexit 3\n')
    job, out = outer.batch("-n1", script, "a b", "c", status=3)
    assert out.splitlines() == ["a b c", os.uname().nodename, job, "1", outer.env["FLUX_URI"], "1"]


def test_its_resources_are_those_of_the_job(outer):
    _, out = outer.batch("-n2", "-c2", "--wrap", "flux resource list -no '{state} {ncores}' -s free")
    assert out.split() == ["free", "4"]


def test_the_output_goes_to_a_file_named_after_the_job_and_with_none_stays_in_it(outer):
    job = outer.say("batch", "-n1", "--wrap", "echo", "hello")
    assert outer.say("job", "attach", job) == ""
    assert (outer.work / f"flux-{job}.out").read_text() == "hello\n"
    job = outer.say("batch", "-n1", "--output=none", "--wrap", "echo", "hello")
    assert outer.say("job", "attach", job) == "hello"


def test_options_in_the_script_count_and_those_of_the_command_line_win(outer):
    script = outer.script("#!/bin/sh\n# flux: -n2 --job-name=inside\n# flux: --urgency=3\ntrue\n")
    job, _ = outer.batch("--job-name=outside", script)
    assert outer.say("jobs", "-no", "{name} {urgency} {ncores}", job) == "outside 3 2"
    refused = outer.flux("batch", outer.script("#!/bin/sh\n#flux: -n1\ntrue\n#flux: -t1m\n"))
    assert refused.returncode == 1 and "line 4" in refused.stderr


def test_what_is_no_script_and_has_no_size_is_refused(outer):
    for args, why in ((["-n1", outer.script("hostname\n", "plain")], "--wrap"), (["--wrap", "true"], "--nslots"),
                      (["-n1", "nosuch"], "nosuch"), (["-N2", "-n1", "--wrap", "true"], "2 nodes")):
        refused = outer.flux("batch", *args)
        assert refused.returncode == 1 and why in refused.stderr, refused.stderr


def test_a_script_may_come_from_standard_input(outer):
    _, out = outer.batch("-n1", "--wrap", input="flux run echo $((1 + 1))\n")
    assert out == "2\n"


def test_files_and_configuration_travel_with_the_job(outer):
    (outer.work / "data").write_bytes(b"\xff\x00x")
    _, out = outer.batch("-n1", "--add-file=d/data=data", "--conf=a.b=1", "--conf=[c]\nd = 'e'", "--wrap",
                         "od -An -tx1 $FLUX_JOB_TMPDIR/d/data; flux config get a.b; flux config get c.d")
    assert out.split() == ["ff", "00", "78", "1", "e"]


def test_tasks_of_the_new_instance_know_nothing_of_the_job_around_it(outer):
    _, out = outer.batch("-n2", "--wrap", "env | grep -E '^(FLUX_JOB_ID|FLUX_JOB_SIZE|FLUX_TASK|FLUX_ENCLOSING_ID|PMI|FLUX_KVS)' | sort; "
                         "flux run -n2 sh -c 'echo $FLUX_JOB_SIZE'")
    lines = out.splitlines()
    assert lines[0].startswith("FLUX_ENCLOSING_ID=") and lines[1:] == ["2", "2"]


def test_alloc_runs_a_command_with_its_input_and_exits_as_it_does(outer):
    r = outer.flux("alloc", "-n2", "sh", "-c", "cat; flux run -n2 flux getattr instance-level; exit 5", input="hello\n")
    assert r.stdout.splitlines() == ["hello", "1", "1"] and r.returncode == 5


def test_three_levels_are_no_different_from_one(outer):
    out = outer.say("alloc", "-n3", "flux", "alloc", "-n2", "flux", "alloc", "-n1", "flux", "run", "sh", "-c",
                    "flux getattr instance-level; flux --parent --parent getattr instance-level; flux resource list -no '{ncores}' -s all")
    assert out.split()[:2] == ["3", "1"]


def test_an_instance_spans_the_nodes_of_its_job_and_their_ranks_begin_anew(tree):
    out = tree.say(1, "alloc", "-N3", "sh", "-c", "flux getattr size; flux run -N3 flux getattr rank; echo only once")
    assert out.splitlines()[0] == "3" and sorted(out.splitlines()[1:4]) == ["0", "1", "2"] and out.splitlines()[4:] == ["only once"]
    assert tree.say(0, "jobs", "-ano", "{ntasks} {nnodes} {success}") == "3 3 True"
    assert tree.at(0, "alloc", "-N2", "flux", "alloc", "-N2", "flux", "alloc", "-N1", "sh", "-c", "flux run true; exit 7").returncode == 7


def test_the_instance_around_knows_its_uri(outer):
    job = outer.say("batch", "-n1", "--output=none", "--wrap", "flux getattr local-uri; sleep 1000")
    uri = outer.say("uri", "--wait", job)
    assert uri.startswith("local:///") and outer.say("uri", "--remote", f"jobid:{job}") == uri.replace("local://", f"ssh://{os.uname().nodename}")
    assert outer.say("jobs", "-no", "{uri.local}", job) == uri
    assert outer.say("getattr", "jobid", FLUX_URI=uri) == job
    assert outer.say("--root", "getattr", "local-uri", FLUX_URI=uri) == outer.say("--parent", "getattr", "local-uri", FLUX_URI=uri) == outer.env["FLUX_URI"]
    assert outer.say("proxy", job, "sh", "-c", "flux getattr jobid") == job and outer.flux("proxy", job, "sh", "-c", "exit 9").returncode == 9
    assert outer.say("uri", "..", FLUX_URI=uri) == outer.say("uri", "/", FLUX_URI=uri) == outer.env["FLUX_URI"]
    shell = subprocess.Popen([outer.instance.fluxctl, "proxy", job, "sh", "-c", "echo there; exec sleep 1000"], env=outer.env, stdout=subprocess.PIPE)
    assert shell.stdout.readline() == b"there\n"
    outer.say("shutdown", job)
    outer.say("job", "wait-event", "-t30", job, "clean")
    assert shell.wait(timeout=60) == 128 + signal.SIGHUP
    for target, why in ((job, "has ended"), ("jobid:nosuch", "nosuch"), ("pid:1", "no scheme"), ("..", "outermost")):
        refused = outer.flux("uri", target)
        assert refused.returncode == 1 and why in refused.stderr, refused.stderr


def test_jobs_shows_what_runs_in_instances_down_to_a_level(outer):
    job = outer.say("batch", "-n2", "--output=none", "--job-name=top", "--wrap", "flux batch -n1 --output=none --job-name=inner "
                    "--wrap flux run --job-name=leaf sleep 1000; sleep 1000")
    inside = outer.say("uri", "--wait", job)
    wait_until("the inner job to be there", lambda: outer.flux("jobs", "-no", "{id.f58}", FLUX_URI=inside).stdout.strip())
    inner = outer.say("jobs", "-no", "{id.f58}", FLUX_URI=inside)
    deepest = outer.say("uri", "--wait", f"{job}/{inner}")
    wait_until("the leaf to run", lambda: outer.flux("jobs", "-f", "running", "-no", "{name}", FLUX_URI=deepest).stdout.strip())
    names = [["top", "", f"{job}:", "inner", "", f"{job}/{inner}:", "leaf"], ["top", "", f"{job}:", "inner"], ["top"]]
    for option, expected in zip((["-R"], ["-L1"], []), names):
        assert outer.say("jobs", *option, "-no", "{name}").splitlines() == expected
    outer.say("cancel", job)
    outer.say("job", "wait-event", "-t30", job, "clean")


def processes(*what):
    """Those whose environment or command line has all of these texts."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            text = open(f"/proc/{pid}/cmdline", "rb").read() + open(f"/proc/{pid}/environ", "rb").read()
        except OSError:
            continue
        if all(w.encode() in text for w in what):
            found.append(int(pid))
    return found


@pytest.mark.parametrize("nodes, deaf", [(1, False), (3, False), (3, True)], ids=["one node", "three nodes", "a deaf script"])
def test_a_canceled_instance_leaves_no_process_and_no_directory(tree, nodes, deaf):
    trap = "trap '' TERM HUP;" if deaf else ""
    job = tree.say(0, "batch", f"-N{nodes}", "--output=none", "--wrap", f"{trap} flux submit -N{nodes} sleep 1000; while :; do sleep 1000; done")
    uri = tree.say(0, "uri", "--wait", job)
    rundir = os.path.dirname(uri[len("local://"):])
    wait_until("its job to run", lambda: len(processes("sleep\0001000", f"FLUX_ENCLOSING_ID={job}")) >= nodes + 1)
    tree.say(0, "cancel", job)
    tree.say(0, "job", "wait-event", "-t30", job, "clean")
    wait_until("all processes to be gone", lambda: not processes(f"FLUX_ENCLOSING_ID={job}", tree.rundir[:-2]))
    assert not os.path.exists(rundir)
    assert [d for r in range(4) for d in os.listdir(tree.node(r)) if d.startswith("jobtmp")] == []


def test_a_signal_before_the_time_limit_reaches_the_script_and_the_limit_ends_it(outer):
    def warned_after(seconds):
        ready = outer.work / f"ready-{seconds}"
        script = outer.script(f"#!/bin/bash\ntrap 'echo warned' USR1\n: >{ready}\nwhile :; do sleep 0.1; done\n")
        job = outer.say("batch", "--output=out.{{id}}", "-n1", f"-t{seconds + 1}s", "--signal=USR1@1s", script)
        status = outer.flux("job", "attach", job).returncode
        signaled = json.loads(outer.say("job", "info", job, "R"))["execution"]["expiration"] - 1
        return (job, status) if ready.exists() and ready.stat().st_mtime < signaled - 0.05 else None

    job, status = with_enough_time(warned_after)
    assert status == 143 and (outer.work / f"out.{job}").read_text() == "warned\n"
    assert outer.say("jobs", "-no", "{status}", job) == "TIMEOUT"


def type_into(command, env, lines):
    """Run a command with a terminal of its own; each line is typed when the text before it has been shown,
    and after what was waited for before."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(command[0], command, env)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    out, seen, end = b"", 0, time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([fd], [], [], 1)[0]:
            try:
                out += os.read(fd, 4096)
            except OSError:
                break
        while lines and (at := out.find(lines[0][0], seen)) >= 0:
            seen = at + len(lines[0][0])
            os.write(fd, lines.pop(0)[1])
    assert time.monotonic() < end, repr(out[-800:])
    return out.decode().replace("\r", ""), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_alloc_gives_a_terminal_with_job_control_and_its_size(outer):
    env = {**outer.env, "PS1": "at your service$ ", "TERM": "dumb"}
    out, status = type_into([outer.instance.fluxctl, "alloc", "-n1", "bash", "--norc"], env, [
        (b"service$ ", b"tty; stty size; flux getattr instance-level\n"), (b"\n1\r\n", b""),
        (b"service$ ", b"sh -c 'echo asleep; exec sleep 1000'\n"), (b"\nasleep\r\n", b"\x03"), (b"^C", b""),
        (b"service$ ", b"echo alive; exit 3\n")])
    assert "/dev/pts/" in out and "\n33 101\n1\n" in out and "\nalive\n" in out and status == 3


def test_much_output_comes_whole_through_a_terminal_and_what_is_typed_is_not_kept(outer):
    out, status = type_into([outer.instance.fluxctl, "run", "-o", "pty.interactive", "sh", "-c",
                             "read x; head -c 1000000 /dev/zero | tr '\\0' x | fold -w 100; exit 4"], outer.env, [(b"", b"secret\n")])
    assert out.count("x" * 100) == 10000 and status == 4
    job = outer.say("job", "last")
    assert "secret" not in outer.flux("job", "eventlog", "-p", "guest.input", job).stdout + outer.flux("job", "attach", job).stdout


def test_alloc_in_the_background_says_the_id_when_the_instance_is_there(outer):
    job = outer.say("alloc", "-n1", "--bg")
    assert outer.say("run", "hostname", FLUX_URI=outer.say("uri", job)) == os.uname().nodename
    outer.say("cancel", job)
    outer.say("job", "wait-event", "-t30", job, "clean")


def test_what_a_task_shows_before_anybody_is_attached_is_not_lost(outer):
    job = outer.say("submit", "-o", "pty.interactive", "tty")
    outer.say("job", "wait-event", "-t30", job, "clean")
    assert outer.say("job", "attach", job).startswith("/dev/pts/")
    assert outer.say("run", "-o", "pty.interactive", "tty").startswith("/dev/pts/")
