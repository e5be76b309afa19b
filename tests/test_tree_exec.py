# SPDX-License-Identifier: LGPL-3.0-or-later
"""flux exec on the ranks of an instance."""
import os
import signal
import subprocess

import pytest

from embedded import wait_until
from test_hostile import build  # noqa: F401  (a fixture)
from test_tree import Tree
from test_tree_jobs import daemon


@pytest.fixture(scope="module")
def tree(build, tmp_path_factory):  # noqa: F811
    with Tree(build, tmp_path_factory.mktemp("exec"), size=4) as t:
        yield t


def test_every_rank_runs_it_and_says_which_it_is(tree):
    out = tree.say(2, "exec", "-l", "sh", "-c", "echo $FLUX_URI")
    assert sorted(out.splitlines()) == [f"{r}: local://{tree.node(r)}/local" for r in range(4)]
    assert sorted(tree.say(0, "exec", "-l", "-r1,3", "echo", "x").splitlines()) == ["1: x", "3: x"]


def test_input_goes_to_all(tree):
    assert sorted(tree.say(1, "exec", "-l", "cat", input="a\nb\n").splitlines()) == \
        [f"{r}: {c}" for r in range(4) for c in "ab"]
    assert tree.say(1, "exec", "-n", "-l", "cat") == ""


def test_the_largest_status_counts(tree):
    script = f"case $FLUX_URI in *{tree.node(2)}/local) exit 5;; *) exit 3;; esac"
    assert tree.at(0, "exec", "sh", "-c", script).returncode == 5
    assert tree.at(0, "exec", "-r3", "sh", "-c", "kill -TERM $$").returncode == 128 + signal.SIGTERM
    assert tree.at(0, "exec", "true").returncode == 0


def test_a_rank_that_is_not_there_is_status_68_and_named(tree):
    done = tree.at(0, "exec", "-r9", "true")
    assert done.returncode == 68 and "there is no rank 9, the instance has 4 nodes" in done.stderr


def test_a_lost_node_is_status_68_and_the_others_go_on(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=4, args=["-Stbon.topo=kary:0"]) as t:
        pid = t.pid(3)
        supervise = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
        os.kill(supervise, signal.SIGKILL)  # and all of its node with it
        wait_until("rank 3 to be lost", lambda: t.say(0, "overlay", "status", "-s") == "degraded")
        done = t.at(0, "exec", "-l", "echo", "here")
        assert done.returncode == 68
        assert sorted(done.stdout.splitlines()) == ["0: here", "1: here", "2: here"]
        assert "rank 3" in done.stderr and "was lost" in done.stderr


def test_ranks_are_left_out(tree):
    assert sorted(tree.say(0, "exec", "-l", "-x1-2", "echo", "x").splitlines()) == ["0: x", "3: x"]
    assert tree.at(0, "exec", "-r1", "-x0-3", "true").returncode == 1


def interruptible(tree, tmp_path, script):
    """flux exec of a script that leaves a file RANK when it is ready."""
    env = {**tree.env, "FLUX_URI": f"local://{tree.node(0)}/local"}
    script = f'r=${{FLUX_URI%/local}}; r=${{r##*/}}; {script}; : >{tmp_path}/$r; while :; do sleep 0.1; done'
    p = subprocess.Popen([tree.fluxctl, "exec", "-n", "sh", "-c", script], env=env, text=True, stderr=subprocess.PIPE)
    wait_until("all ranks to run it", lambda: len(os.listdir(tmp_path)) == 4)
    return p


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_goes_to_all_ranks(tree, tmp_path, sig):
    p = interruptible(tree, tmp_path, f"trap 'exit $((20 + r))' {sig.name[3:]}")
    p.send_signal(sig)
    p.communicate(timeout=60)
    assert p.returncode == 23


def test_the_second_interrupt_in_a_second_ends_what_ignores_it(tree, tmp_path):
    p = interruptible(tree, tmp_path, f"trap '' INT; echo $$ >{tmp_path}/../pid-$r")
    while p.poll() is None:
        p.send_signal(signal.SIGINT)
        p.send_signal(signal.SIGINT) if p.poll() is None else None
        try:
            p.wait(0.2)
        except subprocess.TimeoutExpired:
            pass
    p.communicate()
    assert p.returncode == 128 + signal.SIGINT
    pids = [int((tmp_path.parent / f"pid-{r}").read_text()) for r in range(4)]
    wait_until("all to be killed", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))


def test_a_rank_whose_flux_exec_is_killed_is_named_and_the_others_go_on(tree):
    env = {**tree.env, "FLUX_URI": f"local://{tree.node(0)}/local"}
    p = subprocess.Popen([tree.fluxctl, "exec", "-l", "sh", "-c", "echo ready; cat"], env=env, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert sorted(p.stdout.readline() for _ in range(4)) == [f"{r}: ready\n" for r in range(4)]
    os.kill(daemon(tree, "exec", 2), signal.SIGKILL)
    said = p.stderr.readline()
    assert said.startswith(f"flux-exec: rank 2 ({os.uname().nodename}): 'sh' (process ")
    assert said.endswith("was ended: flux-exec(8) of that node was restarted\n")
    out, _ = p.communicate("x\n", timeout=60)
    assert sorted(out.splitlines()) == ["0: x", "1: x", "3: x"]
    assert p.returncode == 1


def test_a_restart_of_flux_exec_ends_its_processes_and_nobody_elses_requests(tree):
    env = {**tree.env, "FLUX_URI": f"local://{tree.node(0)}/local"}

    def run(*command):
        return subprocess.Popen([tree.fluxctl, "exec", "-r2", *command], env=env, text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    cat = run("sh", "-c", "echo ready; cat")
    assert cat.stdout.readline() == "ready\n"
    pid = daemon(tree, "exec", 2)
    os.kill(pid, signal.SIGSTOP)
    other = run("echo", "x")
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGCONT)
    assert "was ended: flux-exec(8) of that node was restarted" in cat.stderr.readline()
    cat.communicate(timeout=60)
    out, err = other.communicate(timeout=60)
    assert (other.returncode, out) == (0, "x\n") or "was ended" in err, err

    def taken_up():
        with open(os.path.join(tree.node(2), "log", "exec.log")) as f:
            return "connections of the process before" in f.read()
    wait_until("the router's connection, over which all of these came, to be taken up", taken_up)


def records(path):
    return [name for name in os.listdir(path) if not name.startswith("free-")]  # a file that is kept for the next


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("whose", ["the command", "the service of a node"])
def test_no_process_outlives_the_command_or_the_service_that_runs_it(tree, tmp_path, whose, sig):
    env = {**tree.env, "FLUX_URI": f"local://{tree.node(0)}/local"}
    script = f'r=${{FLUX_URI%/local}}; r=${{r##*/}}; sleep 3000 & echo $$ $! >{tmp_path}/$r.new; mv {tmp_path}/$r.new {tmp_path}/$r; wait'
    p = subprocess.Popen([tree.fluxctl, "exec", "-n", "sh", "-c", script], env=env, text=True, stderr=subprocess.PIPE)
    wait_until("all ranks to run it", lambda: sorted(os.listdir(tmp_path)) == ["0", "1", "2", "3"])
    pids = {r: [int(pid) for pid in (tmp_path / str(r)).read_text().split()] for r in range(4)}

    def left(ranks):
        return [pid for r in ranks for pid in pids[r] if os.path.exists(f"/proc/{pid}")]
    if whose == "the command":
        p.send_signal(sig)
    else:
        os.kill(daemon(tree, "exec", 2), sig)
        wait_until("those of rank 2 to be gone", lambda: left([2]) == [])
        assert len(left([0, 1, 3])) == 6 and p.poll() is None
        p.terminate()
    _, said = p.communicate(timeout=60)
    assert whose == "the command" or f"'sh' (process {pids[2][0]}) was ended: flux-exec(8) of that node was restarted" in said
    wait_until("all to be gone", lambda: left(range(4)) == [])
    wait_until("no record to be left", lambda: [records(f"{tree.node(r)}/procs") for r in range(4)] == [[]] * 4)


def test_labeled_lines_are_whole_however_they_come(tree):
    script = "printf begun; sleep 0.2; echo ' and ended'; printf last >&2"
    done = tree.at(0, "exec", "-n", "-l", "sh", "-c", script)
    assert sorted(done.stdout.splitlines()) == [f"{r}: begun and ended" for r in range(4)]
    assert sorted(done.stderr.splitlines()) == [f"{r}: last" for r in range(4)]


def test_what_cannot_be_run_is_said_as_a_shell_would(tree, tmp_path):
    (tmp_path / "text").write_text("x")
    assert tree.at(0, "exec", "-r1", "/nosuch").returncode == 127
    assert tree.at(0, "exec", "-r1", tmp_path / "text").returncode == 126
    done = tree.at(0, "exec", "-r1", "-d", "/nosuch", "true")
    assert done.returncode == 127 and "cannot enter the directory /nosuch: No such file" in done.stderr
    assert done.stderr.startswith(f"flux-exec: rank 1 ({os.uname().nodename}): cannot run 'true'")


def test_more_ranks_than_are_started_at_once(build, tmp_path):  # noqa: F811
    with Tree(build, tmp_path, size=70) as t:
        assert sorted(t.say(0, "exec", "-l", "cat", input="x\n").splitlines()) == sorted(f"{r}: x" for r in range(70))
