# SPDX-License-Identifier: LGPL-3.0-or-later
"""The shells of a job: where its tasks are, what its tasks and shells tell each other."""
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest
from embedded import Instance, wait_until
from test_tree import Tree

HERE = pathlib.Path(__file__).resolve().parent
PMI_HELLO = str(HERE / "pmi-hello.py")


@pytest.fixture(scope="module")
def mpi_hello(tmp_path_factory):
    if not shutil.which("mpicc"):
        pytest.skip("there is no mpicc")
    exe = tmp_path_factory.mktemp("mpi") / "mpi-hello"
    subprocess.run(["mpicc", "-o", exe, HERE / "mpi-hello.c"], check=True)
    return str(exe)


def events(instance, jobid, key):
    return [json.loads(line) for line in instance.flux("kvs", "get", "--raw",
                                                            instance.kvs_key(jobid, "guest." + key)).splitlines()]


# --- one node


def test_a_parallel_program_exchanges_keys_by_pmi(instance):
    r = instance.run("run", "-n2", PMI_HELLO)
    assert sorted(r.stdout.splitlines()) == [f"rank {i} of 2, mapping (vector,(0,1,2))" for i in range(2)]


def test_pmi_can_be_turned_off(instance):
    assert instance.run("run", "-o", "pmi=off", "sh", "-c", "echo ${PMI_FD-none}").stdout == "none\n"
    assert instance.run("run", "sh", "-c", "echo ${PMI_FD-none}").stdout != "none\n"


def test_an_unknown_pmi_is_refused_by_name(instance):
    r = instance.run("run", "-o", "pmi=pmix", "true", check=False)
    assert r.returncode != 0 and "-o pmi=pmix" in r.stderr


def test_a_task_that_aborts_by_pmi_ends_the_job(instance):
    r = instance.run("run", "-n2", PMI_HELLO, "abort", check=False)
    assert r.returncode != 0 and "task 1 aborted the program with exit code 7" in r.stderr


def test_a_task_that_speaks_no_pmi_on_its_socket_ends_the_job(instance):
    r = instance.run("run", "-n2", PMI_HELLO, "garbage", check=False)
    assert r.returncode != 0 and "task 1: PMI: " in r.stderr


def test_mpi_knows_its_ranks(instance, mpi_hello):
    r = instance.run("run", "-n2", mpi_hello)
    assert sorted(r.stdout.splitlines()) == ["rank 0 of 2, sum 1", "rank 1 of 2, sum 1"]


def test_input_goes_to_the_ranks_it_is_for_and_others_read_nothing(instance):
    r = instance.run("run", "-n2", "-l", "--input=1", "sh", "-c", "cat; echo end", input="hello\n")
    assert sorted(r.stdout.splitlines()) == ["0: end", "1: end", "1: hello"]


def test_input_for_ranks_that_do_not_exist_is_refused(instance):
    r = instance.run("run", "-n2", "--input=2", "true", check=False)
    assert r.returncode != 0 and "-o input.stdin.ranks" in r.stderr


def test_a_task_map_that_makes_no_sense_is_refused(instance):
    jobid = instance.flux("submit", "-o", "taskmap=zigzag", "true")
    wait_until("the job's end", lambda: instance.eventlog(jobid)[-1]["name"] == "clean")
    assert any(e["name"] == "exception" for e in instance.eventlog(jobid))


def test_the_task_map_is_in_the_start_event(instance):
    jobid = instance.flux("submit", "-n2", "--wait", "true")
    start = [e for e in events(instance, jobid, "exec.eventlog") if e["name"] == "shell.start"]
    assert start[0]["context"]["taskmap"] == {"version": 1, "map": [[0, 1, 2, 1]]}


# --- the shells of several nodes, all on one router (tests/shells.c)


class Shells:
    """Runs the shells of jobs on N nodes; each job has a namespace of its own and no job manager."""

    def __init__(self, build, instance):
        self.build, self.instance, self.ids, self.procs = build, instance, itertools.count(100), []
        os.unlink(instance.rundir + "/node/rexec")

    def start(self, nnodes, *args):
        self.stop()
        self.id = next(self.ids)
        self.instance.run("kvs", "namespace", "create", f"job-{self.id}")
        spec = self.instance.workdir / f"spec-{self.id}"
        spec.write_text(self.instance.flux("submit", "--dry-run", f"-N{nnodes}", *args))
        self.command = [self.build / "tests" / "shells", str(nnodes), str(self.id), spec, self.build / "shell" / "flux-shell"]
        self.launch(nnodes)
        return self

    def stop(self):
        """What a test that failed has left."""
        for p in self.procs:
            p.kill()
            p.communicate()

    def launch(self, nnodes):
        self.procs = [self.popen(self.command, self.instance.uri)]
        (self.proc,) = self.procs
        self.pids = {}

    def popen(self, command, uri):
        return subprocess.Popen(command, env=self.instance.environ(FLUX_HANDLE_ROUTED="1", FLUX_URI=uri),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def pid_of(self, rank):
        while rank not in self.pids:
            _, r, pid = self.proc.stdout.readline().split()
            self.pids[int(r)] = int(pid)
        return self.pids[rank]

    def wait(self, status=0):
        try:
            err = [p.communicate(timeout=60)[1] for p in self.procs]
        finally:
            for p in self.procs:
                p.kill()
        assert max(p.returncode for p in self.procs) == status, "".join(err) + self.instance.logs()
        return self

    def run(self, nnodes, *args, status=0):
        return self.start(nnodes, *args).wait(status)

    def log(self, name):
        r = self.instance.run("kvs", "get", "-N", f"job-{self.id}", "--raw", name, check=False)
        return [json.loads(line) for line in r.stdout.splitlines()]

    def event(self, name):
        return next((e["context"] for e in self.log("exec.eventlog") if e["name"] == name), None)

    def text(self, stream="stdout"):
        """What each task wrote."""
        out = {}
        for c in (e["context"] for e in self.log("output") if e["name"] == "data"):
            if c["stream"] == stream:
                assert out.get(c["rank"], [None])[-1] != "EOF"
                out.setdefault(c["rank"], []).append("EOF" if c.get("eof") else c["data"])
        assert all(pieces.pop() == "EOF" for pieces in out.values())
        return {int(rank): "".join(pieces) for rank, pieces in out.items()}

    def messages(self):
        return [e["context"]["message"] for e in self.log("output") if e["name"] == "log"]

    def ask(self, method, payload):
        return self.send(method, payload).wait(timeout=60) == 0

    def send(self, method, payload):
        """A request to the leader shell, without waiting for its answer."""
        proc = subprocess.Popen([self.build / "tests" / "ask", f"{os.getuid()}-shell-{self.id}.{method}"],
                                env=self.instance.environ(), stdin=subprocess.PIPE, text=True)
        proc.stdin.write(json.dumps(payload))
        proc.stdin.close()
        return proc


class NodeShells(Shells):
    """The same with a node of the instance for each shell."""

    def __init__(self, build, instance, size):
        self.build, self.instance, self.ids, self.procs = build, instance, itertools.count(100), []
        for rank in range(size):
            os.unlink(f"{instance.node(rank)}/node/rexec")

    def launch(self, nnodes):
        self.procs = [self.popen([*self.command, str(r)], f"local://{self.instance.node(r)}/local") for r in range(nnodes)]


@pytest.fixture(scope="module")
def shells(build, tmp_path_factory):
    with Instance(build, tmp_path_factory.mktemp("shells")) as inst:
        yield Shells(build, inst)


def test_each_node_has_its_tasks_and_they_know_their_places(shells):
    job = shells.run(4, "-n8", "sh", "-c", "echo $FLUX_TASK_RANK.$FLUX_TASK_LOCAL_ID/$FLUX_JOB_SIZE/$FLUX_JOB_NNODES")
    assert job.text() == {i: f"{i}.{i % 2}/8/4\n" for i in range(8)}
    assert job.text("stderr") == {i: "" for i in range(8)}
    assert job.event("shell.init")["size"] == 4
    assert job.event("shell.start")["taskmap"]["map"] == [[0, 4, 2, 1]]


def test_a_cyclic_map_deals_tasks_in_turn(shells):
    job = shells.run(2, "-n4", "-o", "taskmap=cyclic", "sh", "-c", "echo $FLUX_TASK_LOCAL_ID")
    assert job.text() == {0: "0\n", 1: "0\n", 2: "1\n", 3: "1\n"}
    assert job.event("shell.start")["taskmap"]["map"] == [[0, 2, 1, 2]]


def test_the_highest_exit_code_counts_and_a_failed_task_is_recorded(shells):
    job = shells.run(3, "-n6", "sh", "-c", "[ $FLUX_TASK_RANK != 4 ] || exit 4", status=4)
    assert job.event("shell.exit") == {"status": 4}
    assert (job.event("shell.task-exit")["rank"], job.event("shell.task-exit")["exitcode"]) == (4, 4)


def test_a_file_of_the_job_has_the_lines_of_all_nodes(shells, tmp_path):
    (tmp_path / "out").write_text("old\n")
    job = shells.run(3, "-n6", f"--output={tmp_path}/out", "-o", "output.stdout.label=true", "sh", "-c", "echo one; echo two >&2")
    lines = (tmp_path / "out").read_text().splitlines()
    assert sorted(lines) == sorted(f"{i}: {word}" for i in range(6) for word in ("one", "two"))
    assert len([e for e in job.log("output") if e["name"] == "redirect"]) == 12


def test_files_of_nodes_and_tasks_are_written_where_they_are(shells, tmp_path):
    shells.run(2, "-n4", f"--output={tmp_path}/node-{{{{node.id}}}}", "sh", "-c", "echo $FLUX_TASK_RANK")
    assert [sorted((tmp_path / f"node-{i}").read_text().split()) for i in range(2)] == [["0", "1"], ["2", "3"]]
    shells.run(2, "-n4", f"--output={tmp_path}/{{{{node.name}}}}-{{{{taskid}}}}", "sh", "-c", "echo $FLUX_TASK_RANK")
    assert [(tmp_path / f"n{i // 2}-{i}").read_text() for i in range(4)] == [f"{i}\n" for i in range(4)]


def test_input_reaches_the_tasks_it_is_for_on_all_nodes(shells):
    job = shells.start(3, "-n4", "cat")
    wait_until("the start", lambda: job.event("shell.start"))
    assert job.ask("stdin", {"stream": "stdin", "rank": "all", "data": "to all\n"})
    assert job.ask("stdin", {"stream": "stdin", "rank": "1-2", "data": "to two\n"})
    assert job.ask("stdin", {"stream": "stdin", "rank": "all", "eof": True})
    job.wait()
    assert job.text() == {i: "to all\n" + ("to two\n" if i in (1, 2) else "") for i in range(4)}
    assert [e["context"].get("data") for e in job.log("input")[1:]] == ["to all\n", "to two\n", None]


def test_a_task_that_does_not_read_holds_its_senders_until_it_does(shells, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    job = shells.start(2, "-n2", "sh", "-c", "[ $FLUX_TASK_RANK = 0 ] || read x < $0; exec wc -c", fifo)
    wait_until("the start", lambda: job.event("shell.start"))
    senders = [job.send("stdin", {"stream": "stdin", "rank": "1", "data": "x" * 60000}) for _ in range(50)]
    wait_until("some are answered", lambda: sum(s.poll() is not None for s in senders) > 10)
    assert any(s.poll() is None for s in senders)
    fifo.write_text("go\n")
    assert all(s.wait(timeout=60) == 0 for s in senders)
    assert job.ask("stdin", {"stream": "stdin", "rank": "all", "eof": True})
    assert job.wait().text() == {0: "0\n", 1: "3000000\n"}


def test_a_parallel_program_exchanges_keys_across_nodes(shells):
    job = shells.run(4, "-n8", PMI_HELLO)
    assert job.text() == {i: f"rank {i} of 8, mapping (vector,(0,4,2))\n" for i in range(8)}


def test_mpi_runs_across_nodes(shells, mpi_hello):
    assert shells.run(4, "-n8", mpi_hello).text() == {i: f"rank {i} of 8, sum 28\n" for i in range(8)}


def test_a_signal_to_the_leader_reaches_all_tasks(shells):
    job = shells.start(3, "-n6", "sh", "-c", "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.05; done")
    wait_until("all traps", lambda: sum(e["context"].get("data") == "ready\n" for e in job.log("output")) == 6)
    assert job.ask("kill", {"signum": int(signal.SIGUSR1)})
    assert set(job.wait(3).text().values()) == {"ready\ngot\n"}


def test_endless_output_of_one_task_neither_grows_memory_nor_stops_the_others(shells):
    job = shells.start(3, "-n3", "sh", "-c", "[ $FLUX_TASK_RANK != 1 ] || exec yes; echo fine; exec sleep 300")
    wait_until("output of the others", lambda: sum(e["context"].get("data") == "fine\n" for e in job.log("output")) == 2)
    for rank in range(3):
        status = open(f"/proc/{job.pid_of(rank)}/status").read()
        assert int(status.split("VmHWM:")[1].split()[0]) < 40000 * (8 if "asan" in str(shells.build) else 1)
    job.proc.send_signal(signal.SIGTERM)
    job.wait(128 + signal.SIGTERM)


COUNT_UNTIL_TOLD = ("n=0; while [ ! -e $0/stop ]; do n=$((n + 1)); echo line $n; sleep 0.01; done; echo $n >$0/$FLUX_TASK_RANK")


def lines_written(path, ntasks):
    return {i: "".join(f"line {n}\n" for n in range(1, int((path / str(i)).read_text()) + 1)) for i in range(ntasks)}


def test_nothing_is_lost_or_twice_when_router_and_kvs_are_killed(shells, tmp_path):
    job = shells.start(4, "-n4", "sh", "-c", COUNT_UNTIL_TOLD, tmp_path)
    wait_until("the start", lambda: job.event("shell.start"))
    for daemon in ("broker", "kvs", "broker"):
        seen = len(job.log("output"))
        shells.instance.kill_daemon(daemon)
        wait_until("output again", lambda: len(job.log("output")) > seen)
    (tmp_path / "stop").touch()
    job.wait()
    assert job.text() == lines_written(tmp_path, 4)


def test_a_shell_that_dies_is_named_and_not_waited_for_when_the_job_ends(shells):
    job = shells.start(3, "-n3", "sh", "-c", "[ $FLUX_TASK_RANK != 2 ] || kill -9 $PPID; sleep 300")
    wait_until("its death", lambda: os.path.exists(f"/proc/{job.pid_of(2)}") is False)
    job.proc.send_signal(signal.SIGTERM)
    job.wait(128 + signal.SIGTERM)  # of the others; higher than that of SIGKILL
    assert "the shell on n2 (rank 2) is lost" in job.messages()


# --- the same over a tree of routers


@pytest.fixture(scope="module")
def node_shells(build, tmp_path_factory):
    with Tree(build, tmp_path_factory.mktemp("nodes"), size=4) as inst:
        yield NodeShells(build, inst, 4)


def test_a_parallel_program_runs_over_the_tree(node_shells):
    job = node_shells.run(4, "-n8", PMI_HELLO)
    assert job.text() == {i: f"rank {i} of 8, mapping (vector,(0,4,2))\n" for i in range(8)}


def test_nothing_is_lost_or_twice_when_each_router_is_killed_in_turn(node_shells, tmp_path):
    job = node_shells.start(4, "-n4", "sh", "-c", COUNT_UNTIL_TOLD, tmp_path)
    wait_until("the start", lambda: job.event("shell.start"))
    for rank in (3, 2, 1, 0):
        seen = len(job.log("output"))
        os.kill(node_shells.instance.pid(rank), signal.SIGKILL)
        wait_until("output again", lambda: len(job.log("output")) > seen)
    (tmp_path / "stop").touch()
    job.wait()
    assert job.text() == lines_written(tmp_path, 4)


# --- jobs of a tree


@pytest.fixture(scope="module")
def nodes(build, tmp_path_factory):
    with Tree(build, tmp_path_factory.mktemp("tree"), size=4) as inst:
        yield inst


def test_an_mpi_program_prints_all_ranks(nodes, mpi_hello):
    r = nodes.run("run", "-N4", "-n8", mpi_hello)
    assert sorted(r.stdout.splitlines()) == [f"rank {i} of 8, sum 28" for i in range(8)]


def test_a_user_on_any_node_is_attached_to_all_tasks(nodes):
    for rank in (0, 3):
        done = nodes.at(rank, "run", "-N4", "-n4", "-l", "cat", input="hello\n")
        assert sorted(done.stdout.splitlines()) == [f"{i}: hello" for i in range(4)], done.stderr


def test_a_user_is_attached_where_the_leader_is_not_on_rank_0(nodes):
    blocker = nodes.flux("submit", "-N1", "-n1", "--exclusive", "sleep", "300")
    wait_until("its start", lambda: nodes.eventlog(blocker)[-1]["name"] == "start")
    done = nodes.at(1, "run", "-N2", "-n2", "--exclusive", "-l", "cat", input="hello\n")
    nodes.flux("cancel", blocker)
    assert sorted(done.stdout.splitlines()) == ["0: hello", "1: hello"], done.stderr


def test_a_command_that_no_node_has_is_one_exception(nodes):
    r = nodes.run("run", "-N4", "-n4", "/no/such/command", check=False)
    assert r.returncode == 127
    assert r.stderr.count("fatal exception") == 1


def test_exit_on_error_sees_tasks_of_other_nodes(nodes):
    r = nodes.run("run", "-N4", "-n4", "-o", "exit-on-error", "sh", "-c", "[ $FLUX_TASK_RANK != 3 ] || exit 5; exec sleep 300", check=False)
    assert "task 3 exited with exit code 5: exit-on-error" in r.stderr


def test_the_exit_code_is_the_highest_of_all_nodes(nodes):
    assert nodes.run("run", "-N4", "-n4", "sh", "-c", "exit $FLUX_TASK_RANK", check=False).returncode == 3


@pytest.mark.parametrize("rank", [0, 2])
def test_a_shell_that_is_killed_ends_the_job_everywhere(nodes, rank):
    script = f"[ $FLUX_TASK_RANK != {rank} ] || {{ sleep 0.2; kill -9 $PPID; }}; exec sleep 300"
    jobid = nodes.flux("submit", "-N4", "-n4", "sh", "-c", script)
    wait_until("the end", lambda: nodes.eventlog(jobid)[-1]["name"] == "clean")
    assert f"the job shell on {os.uname().nodename} (rank {rank}) was killed by signal 9 (Killed)" in [
        e["context"]["note"] for e in nodes.eventlog(jobid) if e["name"] == "exception"]


def test_a_job_ends_when_all_processes_of_a_node_are_killed(nodes):
    jobid = nodes.flux("submit", "-N4", "-n4", "sleep", "300")
    wait_until("its start", lambda: nodes.eventlog(jobid)[-1]["name"] == "start")
    marks = (f"FLUX_RUNDIR={nodes.node(2)}".encode(), f"FLUX_URI=local://{nodes.node(2)}/local".encode())
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if any(m in open(f"/proc/{pid}/environ", "rb").read().split(b"\0") for m in marks):
                os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass
    wait_until("the end", lambda: nodes.eventlog(jobid)[-1]["name"] == "clean", timeout=60)
    assert any(e["name"] == "exception" for e in nodes.eventlog(jobid))
