# SPDX-License-Identifier: LGPL-3.0-or-later
"""What an instance survives under load: daemons that stop or die at random, shells that are killed, its supervisor
killed, full disks, clients that flood, do not read, or come and go in thousands, and no descriptors left. After each the
instance still runs jobs, and nothing is lost, repeated or left behind (hardening.md, I1-I4, I7)."""
import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time

import pytest
from embedded import DAEMONS, Instance, copy_units, wait_until
from rawclient import EVENT, STREAMING
from soak import sign, soak
from soak_checks import NCORES, check_events, connect, decimal, eventlogs, is_sanitized, open_fds, reader_of, rss
from test_tree import Tree
from test_tree_restart import restart_all

pytestmark = pytest.mark.skipif("FLUX_LONG_TESTS" not in os.environ, reason="a long test: set FLUX_LONG_TESTS=1")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")


def check_all_ended_once(instance, ids):
    """I2 and I4, by the eventlogs; I3, by what runs; and the scheduler agrees."""
    def ended():
        try:
            return all(log[-1]["name"] == "clean" for log in eventlogs(instance, ids).values())
        except (ValueError, KeyError, AssertionError, OSError):  # a daemon that is just being replaced
            return False

    wait_until("the end of all jobs", ended, timeout=60)
    check_events(instance, ids)
    wait_until("all cores to be free", lambda: instance.run("resource", "list", check=False).returncode == 0
               and instance.free_cores() == NCORES)
    wait_until("the end of all processes", lambda: set(instance.processes()) <= {reader_of(instance)})


def run_a_job(instance):
    assert instance.flux("run", "echo", "alive", timeout=30) == "alive"


# --- daemons


@pytest.fixture
def watched(build, tmp_path):
    """An instance whose watchdog is quick, also with a daemon that is stopped before it is ready."""
    units = copy_units(build, tmp_path / "units", WatchdogSec="700ms", TimeoutStartSec="5s", TimeoutAbortSec="100ms")
    with Instance(build, tmp_path, units=units) as inst:
        yield inst


def test_a_daemon_that_is_stopped_is_replaced_by_the_watchdog(watched, tmp_path):
    go = tmp_path / "go"
    running = watched.flux("submit", "sh", "-c", f"while [ ! -e {go} ]; do sleep 0.05; done; echo end >> {tmp_path}/ran")
    wait_until("the task", lambda: watched.flux("jobs", "-n", "-o", "{state}", running) == "RUN")
    for name in DAEMONS:
        service = "rexec" if name == "exec" else name
        wait_until("an answer", lambda: watched.run("ping", "-c", "1", service, check=False).returncode == 0)
        (pid,) = watched.daemon_pids(name)
        os.kill(pid, signal.SIGSTOP)
        wait_until(f"another flux-{name}", lambda: watched.daemon_pids(name) not in ([], [pid]))
    go.touch()
    watched.run("job", "attach", running)
    assert (tmp_path / "ran").read_text() == "end\n"
    check_all_ended_once(watched, decimal(watched, running))


@pytest.mark.parametrize("name", ["KILL", "TERM"])
def test_many_random_ends_under_load_lose_and_repeat_nothing(fresh_instance, tmp_path, name):
    """After SIGTERM no client sees an error, after SIGKILL ECONNRESET at most."""
    out = tmp_path / "out"
    out.mkdir()
    report = soak(fresh_instance, out, kills=60, seed=60, signum=getattr(signal, f"SIG{name}"))
    print(report.summary())
    assert not report.problems


@pytest.mark.parametrize("name", ["KILL", "TERM"])
def test_many_random_ends_on_four_nodes_lose_and_repeat_nothing(build, tmp_path, name):
    """Routers too; no core is given to two jobs. After SIGTERM no client sees an error, of whichever node."""
    out = tmp_path / "out"
    out.mkdir()
    with Instance(build, tmp_path, ["-Stbon.topo=kary:2"], size=4) as instance:
        report = soak(instance, out, kills=80, seed=80, signum=getattr(signal, f"SIG{name}"), rate=30)
    print(report.summary())
    assert not report.problems


@pytest.mark.parametrize("args", [[], ["-Stbon.prefertcp=1"]], ids=["ipc", "tcp"])
def test_sixty_restarts_of_routers_in_good_order_are_noticed_by_no_client_of_any_node(build, tmp_path, args):
    with Tree(build, tmp_path, args=args) as tree:
        restart_all(tree, 7, [1, 0, 2, 6, 1, 3, 0, 5, 0, 4, 1, 2] * 5)


def test_daemons_that_are_stopped_under_load_are_replaced_and_nothing_is_lost(watched, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    report = soak(watched, out, kills=18, seed=18, signum=signal.SIGSTOP, mean_seconds=0.1)
    print(report.summary())
    assert not report.problems and set(report.killed) == set(DAEMONS)


def shells(instance, jobid):
    (dec,) = decimal(instance, jobid)
    out = []
    for pid in instance.processes():
        with contextlib.suppress(OSError):
            argv = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
            if argv[0].endswith(b"flux-shell") and str(dec).encode() in argv:
                out.append(pid)
    return out


def test_a_killed_shell_fails_its_job_with_the_reason_and_frees_the_resources(fresh_instance, tmp_path):
    instance = fresh_instance
    script = f"setsid sleep 1000 & env -i sleep 1000 & touch {tmp_path}/$FLUX_JOB_CC; sleep 1000"
    jobs = instance.flux("submit", f"--cc=1-{NCORES}", "sh", "-c", script).split()
    wait_until("tasks", lambda: len(list(tmp_path.glob("[0-9]*"))) == NCORES)
    assert instance.free_cores() == 0
    for j in jobs:
        (pid,) = shells(instance, j)
        os.kill(pid, signal.SIGKILL)
    for j in jobs:
        r = instance.run("job", "attach", j, check=False)
        assert r.returncode != 0 and "job shell was killed by signal 9" in r.stderr
    check_all_ended_once(instance, decimal(instance, *jobs))
    run_a_job(instance)


def test_nothing_survives_the_death_of_the_supervisor(build, tmp_path):
    instance = Instance(build, tmp_path).__enter__()
    instance.flux("jobs")
    instance.flux("submit", f"--cc=1-{NCORES}", "sh", "-c", f"setsid sleep 1000 & touch {tmp_path}/$FLUX_JOB_CC; sleep 1000")
    wait_until("tasks", lambda: len(list(tmp_path.glob("[0-9]*"))) == NCORES)
    assert len(instance.all_pids()) == len(DAEMONS)
    instance.proc.kill()
    instance.proc.wait()
    wait_until("the end of the daemons", lambda: not instance.all_pids(), timeout=5)
    wait_until("the end of the jobs", lambda: not instance.processes(), timeout=5)
    subprocess.run(["rm", "-r", instance.rundir], check=True)


# --- full disks


@contextlib.contextmanager
def small_disk(path, megabytes):
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def fill(path):
    with open(path / "filler", "wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(b"x" * 4096)


@pytest.mark.parametrize("signum", [None, signal.SIGKILL])
@needs_root
def test_a_full_state_disk_refuses_jobs_in_words_and_recovers_unaided(build, tmp_path, signum):
    """With signum also the daemons that read their state at the start are replaced while the disk is full."""
    with small_disk(tmp_path / "state", 6) as disk, Instance(build, tmp_path, [f"--statedir={disk}"]) as instance:
        go = tmp_path / "go"
        before = instance.flux("submit", "--wait", "true")
        instance.run("kvs", "put", "kept=1")
        running = instance.flux("submit", "-n", NCORES, "sh", "-c", f"touch {tmp_path}/up; while [ ! -e {go} ]; do sleep 0.05; done")
        queued = instance.flux("submit", "--cc=1-3", "true").split()
        wait_until("the task", (tmp_path / "up").exists)
        fill(disk)
        for n in range(400):  # what the store keeps in reserve is used up first
            refused = instance.run("submit", f"--env=PAD={'x' * 50_000}", "true", check=False)
            if refused.returncode != 0:
                break
        assert refused.returncode != 0 and re.search("space|disk.*full", refused.stderr)
        instance.flux("jobs")
        pids = instance.all_pids()
        if signum:
            for name in ("content", "kvs"):
                os.kill(pids[name], signum)
            wait_until("the store to be back", lambda: instance.run("kvs", "get", "kept", check=False).returncode == 0)
            pids = instance.all_pids()
        go.touch()  # a job ends while nothing can be written
        for _ in range(5):
            assert instance.run("submit", f"--env=PAD={'x' * 50_000}", "true", check=False).returncode != 0
            assert instance.flux("kvs", "get", "kept") == "1"
            assert before in instance.flux("jobs", "-an", "-o", "{id.f58}").split()
        if not signum:
            assert instance.all_pids() == pids, "a full disk is no reason to restart"
        (disk / "filler").unlink()
        wait_until("a job to be taken", lambda: instance.run("submit", "true", check=False).returncode == 0)
        check_all_ended_once(instance, decimal(instance, running, *queued))
        run_a_job(instance)


@needs_root
def test_a_full_run_directory_fails_jobs_with_the_reason_and_recovers(build, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    with small_disk(tmp_path / "run", 2) as disk:
        disk.chmod(0o700)
        with Instance(build, tmp_path, [f"--rundir={disk}", f"--statedir={state}"]) as instance:
            run_a_job(instance)
            pids = instance.all_pids()
            fill(disk)
            r = instance.run("run", "true", check=False)
            assert r.returncode == 0 or re.search("record of it|No space", r.stderr), r.stderr
            assert instance.flux("kvs", "put", "still=1") == ""
            assert instance.all_pids() == pids
            (disk / "filler").unlink()
            run_a_job(instance)
            assert instance.free_cores() == NCORES


# --- clients


def test_fifty_clients_that_never_read_cost_bounded_memory_and_nobody_else(fresh_instance):
    instance = fresh_instance
    pids = instance.all_pids()
    job = instance.flux("submit", "sh", "-c", "for i in $(seq 2000); do echo $i; done; sleep 1000")
    (id,) = decimal(instance, job)
    slow = [connect(instance) for _ in range(50)]
    for c in slow:
        assert c.rpc("event.subscribe", {"topic": ""}).errnum == 0
        c.send(topic="job-info.eventlog-watch", payload=json.dumps({"id": id, "path": "guest.output", "flags": 0}).encode(),
               aux2=77, flags=STREAMING)
    before = rss(pids["broker"])
    good, publisher = connect(instance), connect(instance)
    assert good.rpc("event.subscribe", {"topic": "small"}).errnum == 0
    times = []
    for n in range(70_000):
        publisher.send(type=EVENT, topic="small.event", payload=b"x" * 40, aux2=0)
        if n % 100 == 99:
            for _ in range(100):
                assert good.recv().type == EVENT
        if n % 10_000 == 9_999:
            begin = time.monotonic()
            run_a_job(instance)
            times.append(time.monotonic() - begin)
    assert max(times) < 5
    assert rss(pids["broker"]) - before < 400 << 20
    now = instance.all_pids()
    assert rss(now["job-list"]) < 200 << 20
    assert {name: now[name] for name in pids} == pids
    for c in slow:
        c.close()
    wait_until("the memory to be given back", lambda: rss(pids["broker"]) - before < 40 << 20)
    instance.run("cancel", job)


def test_a_flood_of_submissions_by_one_client_does_not_starve_another(fresh_instance):
    instance = fresh_instance
    spec = instance.flux("submit", "--dry-run", "true")
    J = sign(spec)
    c = connect(instance)
    c.s.settimeout(60)
    answers = []

    def read():
        while len(answers) < 3000:
            answers.append(c.recv())

    reader = threading.Thread(target=read)
    reader.start()
    request = json.dumps({"J": J, "urgency": 0, "flags": 0}).encode() + b"\0"  # held: only the flood counts
    for n in range(1, 3001):
        c.send(topic="job-ingest.submit", payload=request, aux2=n)
        if n % 1000 == 0:
            begin = time.monotonic()
            run_a_job(instance)
            assert time.monotonic() - begin < 10
    reader.join(60)
    taken = [m.json["id"] for m in answers if m.errnum == 0]
    assert {m.errnum for m in answers} <= {0, 11} and len(set(taken)) == len(taken) > 0
    assert instance.flux("job", "attach", instance.flux("submit", "echo", "next")) == "next"
    for i in range(0, len(taken), 500):
        instance.run("cancel", *taken[i:i + 500])
    wait_until("the end of all", lambda: instance.flux("jobs", "-n") == "", timeout=60)


def test_clients_that_come_and_die_in_thousands_leave_nothing_behind(fresh_instance):
    instance = fresh_instance
    instance.flux("jobs")
    run_a_job(instance)
    pids = instance.all_pids()

    def come_and_die(count):
        for n in range(count):
            c = connect(instance)
            kind = n % 4
            if kind == 1:
                c.send(topic="event.subscribe", payload=b'{"topic":"x"}\0', aux2=1)
            elif kind == 2:  # a watch that waits, in three daemons
                c.send(topic="kvs-watch.lookup", payload=b'{"key":"never","flags":12}\0', aux2=1, flags=STREAMING)
                c.send(topic="job-manager.wait", payload=b'{"id":-1}\0', aux2=2)
                c.send(topic="job-info.eventlog-watch", payload=b'{"id":1,"path":"eventlog"}\0', aux2=3, flags=STREAMING)
            elif kind == 3:
                c.send(topic="service.add", payload=b'{"service":"s-%d"}\0' % n, aux2=1)
            c.close()

    def counts():
        c = connect(instance)
        router = c.rpc("broker.stats-get").json["router"]
        out = [router["inflight"], router["clients"], c.rpc("kvs.stats-get").json["watches"],
               c.rpc("job-manager.stats-get").json["inflight"], c.rpc("job-list.stats-get").json["inflight"],
               len(c.rpc("broker.service-list").json["services"])]
        c.close()
        return out

    come_and_die(400)  # warms caches and spare lists
    wait_until("all to be forgotten", lambda: counts()[1] < 25 and counts()[2] == 0)
    quiet = counts()
    baseline = {name: (open_fds(pid), rss(pid)) for name, pid in pids.items()}
    come_and_die(4000)
    wait_until("all to be forgotten", lambda: counts() == quiet)
    assert connect(instance).rpc("broker.stats-get").json["router"]["accepted"] > 4400
    assert instance.all_pids() == pids
    for name, pid in pids.items():
        fds, memory = baseline[name]
        assert open_fds(pid) <= fds + 2, name
        assert rss(pid) <= memory * 1.1 + (1 << 20), name
    run_a_job(instance)


# --- no descriptors left


def limit_fds(pid, count):
    """A soft limit of count more than are open now; returns how to undo it."""
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir(f"/proc/{pid}/fd")))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + count, old[1]))

    def undo():
        with contextlib.suppress(ProcessLookupError):  # it may have chosen to begin again
            resource.prlimit(pid, resource.RLIMIT_NOFILE, old)

    return undo


def cpu_ticks(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_a_router_without_descriptors_serves_who_is_there_and_then_who_waited(fresh_instance):
    instance = fresh_instance
    pid = instance.all_pids()["broker"]
    inside = connect(instance)
    assert inside.rpc("broker.ping").errnum == 0
    undo = limit_fds(pid, 0)
    waiting = [connect(instance) for _ in range(30)]
    begin = cpu_ticks(pid)
    since = time.monotonic()
    while time.monotonic() - since < 1:
        assert inside.rpc("broker.ping").errnum == 0
        time.sleep(0.05)
    assert cpu_ticks(pid) - begin < 30, "it spins"
    undo()
    assert [c.rpc("broker.ping").errnum for c in waiting] == [0] * 30
    run_a_job(instance)
    assert instance.all_pids()["broker"] == pid


@pytest.mark.parametrize("name", ["kvs", "content", "job-list", "exec"])
def test_a_daemon_without_descriptors_answers_with_an_error_and_recovers(fresh_instance, name):
    instance = fresh_instance
    instance.flux("jobs")
    value = "x" * 200_000  # travels in a descriptor
    instance.run("kvs", "put", "--raw", "big=-", input=value)
    undo = limit_fds(instance.all_pids()[name], 0)
    r = instance.run("kvs", "get", "--raw", "big", check=False, timeout=20)
    if name == "kvs":
        assert r.returncode != 0 and "flux-kvs has no descriptors left; try again" in r.stderr
    else:
        assert r.stdout == value
    run = instance.popen("run", "echo", "ran")  # may have to wait for a connection
    undo()
    out, err = run.communicate(timeout=30)
    assert out == "ran\n" or (run.returncode != 0 and err), "neither done nor a reason"
    wait_until("the value", lambda: instance.run("kvs", "get", "--raw", "big", check=False).stdout == value)
    wait_until("a job", lambda: instance.run("run", "true", check=False).returncode == 0)
    wait_until("the cores", lambda: instance.free_cores() == NCORES)


# --- a long history


def test_millions_of_commits_are_collected_and_leave_no_more_behind_than_the_first(build, tmp_path):
    """Prints what commits took in each tenth. FLUX_HISTORY_COMMITS: how many, 10,000,000 take about ten minutes and some GB."""
    count = int(os.environ.get("FLUX_HISTORY_COMMITS", "1000000"))
    (tmp_path / "kvs.toml").write_text('[kvs]\ngc-threshold = 2000\ngc-grace = "1s"\n')
    with Instance(build, tmp_path, args=["-c", str(tmp_path)]) as instance:
        def stats():
            return json.loads(instance.flux("module", "stats", "kvs"))["gc"]

        def figures():
            path, sizes, journal = instance.flux("content", "info").splitlines()
            size = int(sizes.split()[0]) + int(journal.split()[0])
            return {"size": size, **{name: rss(instance.all_pids()[name]) for name in ("content", "kvs")}}

        with subprocess.Popen([build / "bench" / "bench-collect", "-n", str(count), "history"], env=instance.environ(), text=True,
                              stdout=subprocess.PIPE) as p:
            seen = []
            for line in p.stdout:
                seen.append(figures())
                print(line.strip(), {k: v >> 20 for k, v in seen[-1].items()}, "MiB", stats())
        assert p.returncode == 0 and len(seen) == 10
        gc = stats()
        assert gc["runs"] > 1 and gc["failures"] == 0 and gc["missing"] == 0
        assert max(f["size"] for f in seen) < 4 << 30
        if not is_sanitized(instance):
            for name in ("content", "kvs"):  # caches that are full, and little more
                assert seen[-1][name] < 64 << 20, name
        instance.flux("content", "gc", "--grace=0")
        instance.flux("content", "gc", "--grace=0")
        assert figures()["size"] < 64 << 20, "what is not needed is gone"


def test_who_waits_for_a_router_that_cannot_start_is_told(build, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.bind(str(tmp_path / "local"))
        s.listen()
        env = {**os.environ, "FLUX_URI": f"local://{tmp_path}/local"}
        p = subprocess.Popen([build / "fluxctl" / "fluxctl", "uptime"], env=env, stderr=subprocess.PIPE, text=True)
        assert p.stderr.readline().startswith(f"flux-uptime: the router at {tmp_path}/local does not answer yet, waiting")
        p.kill()
        p.communicate()
