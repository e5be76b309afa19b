# SPDX-License-Identifier: LGPL-3.0-or-later
"""Faults of the links between nodes: half-open, slow, lossy, flapping. Three nodes, a0 at one end of a cable, a1 and below it
a2 at the other (cable.py). After each fault the invariants of an instance: what was committed is read, a job runs on all
nodes, every job has ended once, nothing runs and nothing is held."""
import contextlib
import errno
import json
import os
import random
import subprocess
import threading
import time

import pytest
from cable import Cable, unusable
from embedded import wait_until
from rawclient import Client
from test_hostile import build  # noqa: F401  (a fixture)
from test_tree import Tree

pytestmark = pytest.mark.skipif(unusable() is not None, reason=str(unusable()))
LONG = pytest.mark.skipif("FLUX_LONG_TESTS" not in os.environ, reason="a long test: set FLUX_LONG_TESTS=1")


class Far(Tree):
    """A node of its own in a namespace."""

    def __init__(self, build, workdir, prefix, host, conf):  # noqa: F811
        workdir.mkdir()
        super().__init__(build, workdir, size=1, args=[f"--test-hosts={host}", "-c", conf], topo=None)
        self.command = [*prefix, *self.command]

    def flux(self, *args, **kw):
        return self.at(0, *args, **kw)


class Three:
    def __init__(self, cable, nodes):
        self.cable = cable
        self.a0, self.a1, self.a2 = nodes
        self.all = nodes

    def is_whole(self):
        return self.a0.flux("overlay", "status", "-s").stdout.strip() == "full"

    def wait_whole(self, timeout=30):
        """Seconds until the tree is whole and the scheduler knows."""
        began = time.monotonic()
        wait_until("the tree to be whole", self.is_whole, timeout=timeout)
        wait_until("all nodes to be up", lambda: self.nodes("down") == 0, timeout=timeout)
        return time.monotonic() - began

    def nodes(self, state):
        out = self.a0.flux("resource", "list", f"-s{state}", "-no", "{nnodes}").stdout
        return int(out) if out.strip() else None

    def is_lost(self):
        return "1 a1: lost" in self.a0.flux("overlay", "status").stdout

    @staticmethod
    def put(node, key, value):
        """Acknowledged?"""
        return node.flux("kvs", "put", f"{key}={value}").returncode == 0

    def check(self, committed):
        """The invariants, once all is well again."""
        ran = self.a0.flux("run", "-N3", "sh", "-c", "echo $FLUX_TASK_RANK")
        assert sorted(ran.stdout.split()) == ["0", "1", "2"], ran.stderr + self.a0.logs()
        for key, value in committed.items():
            assert [n.flux("kvs", "get", key).stdout for n in self.all] == [f"{value}\n"] * 3
        jobs = [line.split() for line in self.a0.flux("jobs", "-anc0", "-o", "{id.f58} {state} {result}").stdout.splitlines()]
        assert jobs and all(j[1] == "INACTIVE" for j in jobs)
        for j in jobs:
            log = self.a0.flux("job", "eventlog", "-fjson", j[0]).stdout.splitlines()
            names = [json.loads(e)["name"] for e in log]
            assert all(names.count(once) == 1 for once in ("submit", "clean")) and names.count("alloc") == names.count("free") <= 1, names
        assert self.nodes("free") == 3, self.a0.flux("resource", "list").stdout


def configure(build, path, cable, tbon):  # noqa: F811
    path.mkdir()
    subprocess.run([build / "fluxctl" / "fluxctl", "keygen", path / "curve.cert"], check=True)
    uris = {end: f"tcp://{cable.addresses[end]}:8050" for end in ("a", "b")}
    (path / "b.toml").write_text(f"""[bootstrap]
curve_cert = "{path}/curve.cert"
hosts = [
  {{ host = "a0", bind = "{uris['a']}", connect = "{uris['a']}" }},
  {{ host = "a1", bind = "{uris['b']}", connect = "{uris['b']}" }},
  {{ host = "a2", parent = "a1" }},
]
[tbon]
{tbon}
""")
    return path


@contextlib.contextmanager
def three_nodes(build, tmp_path, tbon):  # noqa: F811
    with contextlib.ExitStack() as stack:
        cable = stack.enter_context(Cable())
        conf = configure(build, tmp_path / "conf", cable, tbon)
        nodes = [stack.enter_context(Far(build, tmp_path / f"a{i}", cable.command("a" if i == 0 else "b"), f"a{i}", conf))
                 for i in range(3)]
        three = Three(cable, nodes)
        three.wait_whole()
        yield three


@pytest.fixture
def three(build, tmp_path):  # noqa: F811
    with three_nodes(build, tmp_path, 'tcp_user_timeout = 1\ntorpid_min = "0.2s"') as t:
        yield t


@pytest.mark.parametrize("deaf", ["a", pytest.param("b", marks=LONG)])
def test_a_half_open_connection_is_lost_for_both_sides_and_heals(three, deaf):
    three.a2.flux("kvs", "put", "before=1")
    job = three.a0.flux("submit", "-N3", "sleep", "1000").stdout.strip()
    three.a0.flux("job", "wait-event", "-t30", job, "start")
    waits = subprocess.Popen([three.a0.fluxctl, "ping", "-i0.05", "-r2", "broker"], text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=three.a0.environ())
    assert waits.stdout.readline()
    began = time.monotonic()
    three.cable.cut = frozenset({deaf})
    wait_until("a1 to be lost", three.is_lost)
    seen = time.monotonic() - began
    _, err = waits.communicate(timeout=30)
    assert waits.returncode != 0 and ("lost" in err or "way" in err), err
    wait_until("a1 to have lost a0", lambda: "not connected to its parent" in three.a1.flux("ping", "-c1", "-r0", "broker").stderr)
    assert three.a0.flux("run", "-N1", "echo", "alone").stdout == "alone\n"
    three.cable.heal()
    healed = three.wait_whole()
    print(f"lost after {seen:.1f} s, healed after {healed:.1f} s")
    three.a0.flux("cancel", job)  # it has not noticed: its shells speak to each other again
    assert three.a0.flux("job", "wait-event", "-t30", job, "clean").returncode == 0
    three.check({"before": 1})


class Asker(threading.Thread):
    """Requests from a2 to rank 0, one after the other: each is answered once, rightly or with EHOSTUNREACH and a reason."""

    def __init__(self, node):
        super().__init__()
        self.client = Client(f"{node.node(0)}/local")
        self.done = threading.Event()
        self.answered = self.failed = 0
        self.slowest, self.wrong = 0.0, []

    def ask(self):
        text, began = f"{self.answered}.{self.failed}", time.monotonic()
        answer = self.client.rpc("broker.ping", {"pad": text}, aux1=0)
        self.slowest = max(self.slowest, time.monotonic() - began)
        if answer.errnum == 0:
            self.answered += 1
            if answer.json.get("pad") != text:
                self.wrong.append(answer.json)
        elif answer.errnum == errno.EHOSTUNREACH and answer.text:
            self.failed += 1
            time.sleep(0.01)
        else:
            self.wrong.append((answer.errnum, answer.text))

    def run(self):
        self.client.s.settimeout(60)
        try:
            while not self.done.is_set():
                self.ask()
        except Exception as e:  # pylint: disable=broad-except
            self.wrong.append(repr(e))

    def finish(self):
        self.done.set()
        self.join()
        self.client.close()
        assert not self.wrong, self.wrong


@contextlib.contextmanager
def asking(node):
    a = Asker(node)
    a.start()
    try:
        yield a
    finally:
        a.finish()


def test_with_a_fifth_of_a_second_delay_all_works_only_slower(build, tmp_path):  # noqa: F811
    """With the usual limits: on a busy machine nobody is to be lost."""
    with three_nodes(build, tmp_path, "") as three:
        three.cable.delay = 0.2
        with asking(three.a2) as a:
            assert three.a1.flux("kvs", "put", "slow=1").returncode == 0
            assert sorted(three.a0.flux("run", "-N3", "sh", "-c", "echo $FLUX_TASK_RANK").stdout.split()) == ["0", "1", "2"]
        assert a.failed == 0 and a.answered > 0 and 0.4 < a.slowest < 30
        assert not three.is_lost()
        three.cable.heal()
        three.check({"slow": 1})


def weather(three, seconds):
    """Half of all packets lost, the others 200 ms late; returns what was acknowledged."""
    committed = {}
    three.cable.delay, three.cable.loss = 0.2, 0.5
    with asking(three.a2) as a:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            key = f"k{len(committed)}"
            assert three.a0.flux("run", "-N1", "echo", "here").stdout == "here\n"
            if three.put(three.a1, key, len(committed)):
                committed[key] = len(committed)
        three.cable.heal()
        healed = three.wait_whole()
    print(f"{a.answered} answered, {a.failed} told there is no way, slowest {a.slowest:.1f} s; {len(committed)} commits; "
          f"{three.cable.lost} packets lost, {three.cable.carried} carried; healed after {healed:.1f} s")
    return committed, healed


@LONG
def test_with_half_of_all_packets_lost_every_answer_is_right_or_says_that_there_is_no_way(three):
    committed, healed = weather(three, 4)
    assert healed < 10
    three.check(committed)


@LONG
def test_a_minute_of_lost_packets_with_the_usual_limits(build, tmp_path):  # noqa: F811
    with three_nodes(build, tmp_path, "") as three:
        committed, healed = weather(three, 60)
        assert healed < 20  # a reconnect that was under way waits for TCP
        three.check(committed)


@LONG
@pytest.mark.parametrize("deaf", [{"a"}, {"b"}, {"a", "b"}])
def test_with_the_usual_limits_it_is_lost_within_twenty_seconds_and_back_within_five(build, tmp_path, deaf):  # noqa: F811
    with three_nodes(build, tmp_path, "") as three:
        began = time.monotonic()
        three.cable.cut = frozenset(deaf)
        wait_until("a1 to be lost", three.is_lost, timeout=60)
        seen = time.monotonic() - began
        three.cable.heal()
        healed = three.wait_whole()
        print(f"lost after {seen:.1f} s, healed after {healed:.1f} s")
        assert seen < 25 and healed < 6
        three.check({})


@LONG
def test_a_link_that_comes_and_goes_launches_no_task_twice(three, tmp_path):
    jobs, rng = [], random.Random(7)
    for i in range(12):
        three.cable.cut = frozenset({"a", "b"}) if i % 2 else frozenset()
        end = time.monotonic() + rng.uniform(0.5, 2.5)
        while time.monotonic() < end:
            out = tmp_path / f"job{len(jobs)}"
            job = three.a0.flux("submit", f"-N{rng.choice([1, 2])}", "sh", "-c", f"echo $FLUX_TASK_RANK >> {out}; sleep 0.2")
            if job.returncode == 0:
                jobs.append((job.stdout.strip(), out))
    three.cable.heal()
    print(f"healed after {three.wait_whole():.1f} s, {len(jobs)} jobs")
    for job, out in jobs:
        assert three.a0.flux("job", "wait-event", "-t60", job, "clean").returncode == 0
        ran = sorted(out.read_text().split()) if out.exists() else []
        assert len(ran) == len(set(ran)), (job, ran)
    three.check({})
