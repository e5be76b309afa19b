# SPDX-License-Identifier: LGPL-3.0-or-later
"""Daemons of an instance killed one after the other while clients of all kinds work, on each of its nodes: the load, the
kills, and then all that soak_checks knows. For tools/soak and for tests. Clients speak RFC 3 from first principles, half
of them by way of a router, half of them at the services' own sockets; one runs `flux run` over and over."""
import base64
import collections
import contextlib
import errno
import itertools
import json
import os
import random
import re
import signal
import threading
import time

from embedded import wait_until
from rawclient import ANY, STREAMING, Client
from soak_checks import (NCORES, WATCH_APPENDED, all_ended, check_ends_of_jobs, check_holdings, check_kvs, check_memory, check_watches,
                         check_what_is_free, check_what_ran, decimal, is_sanitized, stuck_jobs, value_of, why)

LAST = 10 ** 9
BACKLOG_MAX = 200  # tasks that were submitted and have not ended
ANSWER_SECONDS = 60
ELSEWHERE = " of another node"
LOST = (errno.ECONNRESET, errno.EHOSTUNREACH)  # whose sentence says no more than who went away


def sign(spec):
    """J of RFC 15 with mechanism none: header, payload, "none"."""
    head = f"version\0i1\0userid\0i{os.geteuid()}\0mechanism\0snone\0".encode()
    return base64.b64encode(head).decode() + "." + base64.b64encode(spec.encode()).decode() + ".none"


def jobspec(script, cwd, nnodes=1):
    """One task on one core of each node."""
    slot = {"type": "slot", "count": 1, "label": "task", "with": [{"type": "core", "count": 1}]}
    return json.dumps({
        "version": 1,
        "resources": [{"type": "node", "count": nnodes, "with": [slot]} if nnodes > 1 else slot],
        "tasks": [{"command": ["/bin/sh", "-c", script], "slot": "task", "count": {"per_slot": 1}}],
        "attributes": {"system": {"duration": 0, "cwd": str(cwd), "environment": {"PATH": "/bin:/usr/bin"}}}})


# --- clients


class Tally:
    """What the clients were answered, and how long they waited."""

    def __init__(self):
        self.lock = threading.Lock()
        self.answers = collections.Counter()  # by topic
        self.errors = collections.Counter()  # by topic and what went wrong
        self.longest = (0.0, "")

    def answered(self, topic, seconds):
        """seconds: None for a stream, which waits for what is to happen."""
        with self.lock:
            self.answers[topic] += 1
            self.longest = max(self.longest, (seconds or 0.0, topic))

    def failed(self, topic, what):
        with self.lock:
            self.errors[topic, what] += 1


class Caller:
    """Requests one at a time over a connection that is made anew whenever it ends. path: below RUNDIR of the rank."""

    def __init__(self, instance, path, tally, rank=0):
        self.path, self.tally, self.client, self.tag = os.path.join(instance.node(rank), path), tally, None, 0
        self.where = f" (rank {rank})" if rank else ""

    def close(self):
        if self.client:
            self.client.close()
        self.client = None

    def _fail(self, topic, what):
        self.tally.failed(topic + self.where, what)
        self.close()

    def responses(self, topic, payload, flags=0, nodeid=ANY):
        """The responses to one request; ends with the first error, or with the connection. Errors are counted, but for
        ENODATA: a stream's good end."""
        self.tag += 1
        begin = time.monotonic()
        try:
            if not self.client:
                self.client = Client(self.path)
                self.client.s.settimeout(ANSWER_SECONDS)
            self.client.send(topic=topic, payload=json.dumps(payload).encode() + b"\0", aux1=nodeid, aux2=self.tag,
                             flags=flags)
            while True:
                m = self.client.recv()
                if m is None:
                    return self._fail(topic, "ECONNRESET")
                if m.matchtag != self.tag:
                    continue  # of a stream that nobody follows any more
                self.tally.answered(topic, None if flags & STREAMING else time.monotonic() - begin)
                if m.errnum == errno.ENODATA and flags & STREAMING:
                    return None
                if m.errnum:
                    return self.tally.failed(topic + self.where, errno.errorcode.get(m.errnum, str(m.errnum)) +
                                             ("" if m.errnum in LOST else f": {m.text}"))
                yield m
                if not flags & STREAMING:
                    return None
        except (BrokenPipeError, ConnectionResetError):
            return self._fail(topic, "ECONNRESET")
        except TimeoutError:
            return self._fail(topic, f"no answer in {ANSWER_SECONDS} s")
        except OSError as e:
            return self._fail(topic, errno.errorcode[e.errno])

    def call(self, topic, payload, nodeid=ANY):
        """The answer, or None."""
        return next(self.responses(topic, payload, nodeid=nodeid), None)


class Load:
    """Clients in threads of their own until stop() is called. rate: jobs a second. Each task of a job says in the file `ran`
    that it starts and that it ends, each with one write: the order of its lines is the order in which that happened."""

    def __init__(self, instance, out, rate):
        self.instance, self.out = instance, out
        self.tally = Tally()
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.problems = []
        self.ran = out / "ran"
        self.ran.touch()
        self.submitted = 0
        self.tasks = 0  # of the jobs that were submitted
        self.acknowledged = {}  # number -> job id
        self.nnodes = {}  # number -> how many tasks, each on a node of its own
        self.kept = []  # numbers that a commit of the writer was acknowledged for
        self.commands = collections.Counter()  # exit status and message of `flux run`
        self.followed = {}  # job id -> lines of its eventlog that were seen
        self.text = ""  # what the watcher has seen since its stream began
        self.long_ones = []
        sources = [(0, "local"), (0, "leader/job-ingest")] * 2 + [(r, "local") for r in range(1, instance.size)]
        self.writer_rank, self.watcher_rank = instance.size // 2, instance.size - 1
        jobs = [lambda at=at: self.submit(*at, len(sources) / rate) for at in sources]
        others = [lambda rank=rank: self.ping(rank) for rank in range(instance.size)] if instance.size > 1 else []
        self.threads = [threading.Thread(target=self.guarded, args=[f], daemon=True) for f in
                        [*jobs, *others, self.write, self.list, self.follow, self.run_command]]
        self.watchers = [threading.Thread(target=self.guarded, args=[self.watch], daemon=True)]

    def guarded(self, f):
        try:
            f()
        except Exception as e:  # of the test itself
            self.problem(f"a client of the test died: {e!r}")
            raise

    def problem(self, sentence):
        with self.lock:
            self.problems.append(sentence)

    def script(self, name, wait="true"):
        """What a task runs: name it, wait, name it again, each with the rank of the node (0 if there is one only)."""
        rank = "${d##*/}" if self.instance.size > 1 else "0"
        return f"d=${{FLUX_URI%/local}}; echo s {name} {rank} >> {self.ran}; {wait}; echo e {name} {rank} >> {self.ran}"

    def start(self):
        if NCORES > 1:  # one on each node that runs all the time and must not be touched
            self.nnodes["long"] = self.instance.size
            self.long_ones = decimal(self.instance, self.instance.flux(
                "submit", f"-N{self.instance.size}", "sh", "-c", self.script("long", f"while [ ! -e {self.out}/go ]; do sleep 0.05; done")))
            wait_until("the long job", lambda: len(self.ran.read_text().splitlines()) == self.instance.size)
        for t in (*self.threads, *self.watchers):
            t.start()

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(2 * ANSWER_SECONDS)
        (self.out / "go").touch()

    def ended(self):
        """Tasks."""
        return self.ran.stat().st_size // len("s 00000000 0\ne 00000000 0\n")

    def submit(self, rank, path, interval):
        c = Caller(self.instance, path, self.tally, rank)
        rng = random.Random(f"{rank}{path}")
        while not self.stopping.wait(interval):
            if self.tasks - self.ended() > BACKLOG_MAX:
                continue
            with self.lock:
                n = self.submitted
                self.nnodes[f"{n:08}"] = rng.randint(1, self.instance.size)
                self.submitted += 1
                self.tasks += self.nnodes[f"{n:08}"]
            J = sign(jobspec(self.script(f"{n:08}"), self.out, self.nnodes[f"{n:08}"]))
            m = c.call("job-ingest.submit", {"J": J, "urgency": 16, "flags": 0})
            if m:
                with self.lock:
                    self.acknowledged[n] = m.json["id"]

    def ping(self, rank):
        """The services of a node, so that all of them run, and those of other nodes."""
        c = Caller(self.instance, "local", self.tally, rank)
        other = Caller(self.instance, "local", self.tally, rank)
        other.where += ELSEWHERE
        for service in itertools.cycle(["content", "kvs", "rexec", "resource", "broker"]):
            if self.stopping.wait(0.1):
                return
            c.call(f"{service}.ping", {})
            other.call(f"{service}.ping", {}, nodeid=(rank + 1) % self.instance.size)

    def write(self):
        """Commits numbers, and reads them back; a number whose commit was not acknowledged is not tried again, but for the
        last one, which the watcher waits for."""
        c = Caller(self.instance, "node/kvs", self.tally, self.writer_rank)
        router = Caller(self.instance, "local", self.tally, self.writer_rank)
        n = 0
        while LAST not in self.kept:
            n = LAST if self.stopping.wait(0.05) else n + 1
            data = [base64.b64encode(text.encode()).decode() for text in (str(n), f"{n}\n")]
            ops = [{"key": "soak.last", "flags": 0, "dirent": {"ver": 1, "type": "val", "data": data[0]}},
                   {"key": "soak.log", "flags": 32, "dirent": {"ver": 1, "type": "val", "data": data[1]}}]
            if not c.call("kvs.commit", {"namespace": "primary", "flags": 0, "ops": ops}):
                continue
            self.kept.append(n)
            m = router.call("kvs.lookup", {"key": "soak.last", "flags": 0})
            if m and base64.b64decode(m.json["val"]["data"]).decode() != str(n):
                self.problem(f"I5: commit {n} was acknowledged, but {m.json} is read")

    def watch(self):
        """Follows what the writer appends, until it has seen the last number."""
        c = Caller(self.instance, "local", self.tally, self.watcher_rank)
        while not self.has_seen_all():
            self.text = ""
            for m in c.responses("kvs-watch.lookup", {"key": "soak.log", "flags": WATCH_APPENDED}, STREAMING):
                self.text += value_of(m.json["val"])
                seen = [int(x) for x in self.text.split()]
                if self.has_seen_all():
                    break
                if seen != sorted(set(seen)):
                    self.problem(f"I5: the watcher saw a number twice or out of order: {seen[-20:]}")
                    return
            c.close()

    def has_seen_all(self):
        return f"\n{LAST}\n" in self.text

    def list(self):
        c = Caller(self.instance, "leader/job-list", self.tally)
        while not self.stopping.wait(0.05):
            c.call("job-list.list", {"max_entries": 20, "attrs": ["id", "state"]})

    def follow(self):
        """The eventlog of one job after the other, from the first event to the last."""
        c = Caller(self.instance, "local", self.tally, self.watcher_rank)
        while not self.stopping.wait(0.02):
            with self.lock:
                id = next(reversed(self.acknowledged.values()), None)
            if id is None:
                continue
            self.followed[id] = [l for m in c.responses(
                "job-info.eventlog-watch", {"id": id, "path": "eventlog", "flags": 0}, STREAMING)
                for l in m.json["event"].splitlines()]

    def run_command(self):
        for rank in itertools.cycle(range(self.instance.size)):
            if self.stopping.wait(0.05):
                return
            r = self.instance.run("run", f"-N{rank + 1}", "echo", "x", check=False, timeout=2 * ANSWER_SECONDS,
                                  env={"FLUX_URI": f"local://{self.instance.node(rank)}/local"})
            good = (r.returncode, r.stdout) == (0, "x\n" * (rank + 1))
            self.commands["done" if good else f"exit {r.returncode}: {r.stdout}{r.stderr.strip()}" + f" (rank {rank})" * (rank > 0)] += 1


# --- kills


def victims(rng, daemons):
    """Without end; among any 2 * len(daemons) in a row is each."""
    while True:
        yield from rng.sample(daemons, len(daemons))


def kill_at_random(instance, kills, rng, signum, mean_seconds):
    """Sends the signal to one daemon after the other, whatever it is doing."""
    for name, rank in itertools.islice(victims(rng, instance.all_daemons()), kills):
        time.sleep(min(rng.expovariate(1 / mean_seconds), 5 * mean_seconds))
        pids = wait_until(f"flux-{name} of rank {rank}", lambda: instance.daemon_pids(name, rank), timeout=ANSWER_SECONDS)
        with contextlib.suppress(ProcessLookupError):  # it was just ending, because another one had
            os.kill(pids[0], signum)
        yield name, rank, pids[0]


def may_fail(what, signum):
    """Whether a client may see that. Daemons that end in good order, routers of any node among them, are noticed by nobody."""
    return signum != signal.SIGTERM and what in ("ECONNRESET", "EHOSTUNREACH")


def command_may_fail(what, signum):
    away = rf"(is|was) lost|is not connected|{os.strerror(errno.EHOSTUNREACH)}|is being restarted|went away|{os.strerror(errno.ECONNRESET)}"
    return signum != signal.SIGTERM and re.search(away, what)


def unexpected(load, signum):
    """What clients saw and must not."""
    bad = [f"{n} x {where}: {what}" for (where, what), n in load.tally.errors.items() if not may_fail(what, signum)]
    bad += [f"{n} x flux run: {what}" for what, n in load.commands.items() if what != "done" and not command_may_fail(what, signum)]
    return ["clients saw: " + "; ".join(bad)] if bad else []


class Report:
    def __init__(self, load, killed, seconds):
        self.load, self.killed, self.seconds = load, killed, seconds
        self.problems = load.problems

    def clients_saw(self):
        """What went wrong for the clients, and how often: {"ECONNRESET": 12, ...}."""
        out = collections.Counter()
        for (_, what), n in self.load.tally.errors.items():
            out[what] += n
        return out

    def summary(self):
        load, t = self.load, self.load.tally
        lines = [f"kills        {len(self.killed)}: " + ", ".join(f"{n} {c}" for n, c in sorted(collections.Counter(self.killed).items())),
                 f"jobs         {load.submitted} submitted, {len(load.acknowledged)} acknowledged in {self.seconds:.0f} s",
                 f"answers      {sum(t.answers.values())}; the longest wait {t.longest[0]:.2f} s ({t.longest[1]})",
                 f"commits      {len(load.kept)} acknowledged; eventlogs followed: {len(load.followed)}",
                 f"flux run     {load.commands['done']} done"]
        lines += [f"error        {n} x {topic}: {what}" for (topic, what), n in sorted(t.errors.items())]
        lines += [f"flux run     {n} x {what.strip()}" for what, n in load.commands.items() if what != "done"]
        lines += [f"PROBLEM      {p}" for p in self.problems]
        return "\n".join(lines)


def soak(instance, out, kills=20, seed=1, signum=signal.SIGKILL, mean_seconds=0.3, rate=100, on_kill=None):
    """Kills under load, then everything that must hold. out: an empty directory. What clients may see says may_fail(). The
    problems that were found are in the report."""
    load, killed = Load(instance, out, rate), []
    begin = time.monotonic()
    load.start()
    for name, rank, pid in kill_at_random(instance, kills, random.Random(seed), signum, mean_seconds):
        killed.append(name)
        if signum == signal.SIGSTOP:
            wait_until(f"another flux-{name}", lambda: instance.daemon_pids(name, rank) not in ([], [pid]), timeout=ANSWER_SECONDS)
        if on_kill:
            on_kill(len(killed), f"{name} {rank}" if instance.size > 1 else name)
    load.stop()
    report = Report(load, killed, time.monotonic() - begin)
    problems = report.problems
    problems += unexpected(load, signum)
    if why(wait_until, "I1: the end of all jobs", lambda: all_ended(instance), timeout=4 * ANSWER_SECONDS):
        problems.append(f"I1: some jobs do not end:\n{stuck_jobs(instance)}")
        return report
    load.watchers[0].join(ANSWER_SECONDS)
    if load.watchers[0].is_alive():
        problems.append(f"I5: the watcher waits for the last commit, has {load.text[-20:]!r}")
    problems += why(check_ends_of_jobs, instance, load) + why(check_what_ran, load) + why(check_what_is_free, instance)
    problems += why(check_holdings, instance, load)
    problems += why(check_watches, instance, load) + why(check_kvs, instance, load)
    if not is_sanitized(instance):
        problems += why(check_memory, instance, load)
    return report
