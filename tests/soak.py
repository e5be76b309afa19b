# SPDX-License-Identifier: LGPL-3.0-or-later
"""Daemons of an instance killed one after the other while clients of all kinds work: the load, the kills, and what must
hold after them (hardening.md, I1-I5 and I7). For tools/soak and for tests. Clients speak RFC 3 from first principles, half
of them by way of the router, half of them at the services' own sockets; one runs `flux run` over and over."""
import base64
import collections
import contextlib
import errno
import json
import os
import random
import re
import signal
import threading
import time

from embedded import DAEMONS, wait_until
from rawclient import STREAMING, Client

NCORES = len(os.sched_getaffinity(0))
ONCE = ("submit", "start", "finish", "free", "clean")  # events of which each job has exactly one
WATCH_APPENDED = 4 | 8 | 512  # WATCH, WAITCREATE, WATCH_APPEND of <flux/kvs.h>
LAST = 10 ** 9
BACKLOG_MAX = 200  # jobs that were submitted and have not ended
ANSWER_SECONDS = 60
SMALL = 1 << 20  # a difference in memory that means nothing


# --- looking at an instance


def connect(instance):
    return Client(os.path.join(instance.rundir, "local"))


def decimal(instance, *jobids):
    return [int(x) for x in instance.flux("job", "id", "--to=dec", *jobids).split()]


def eventlogs(instance, ids):
    c = connect(instance)
    try:
        return {i: [json.loads(l) for l in c.rpc("job-info.lookup", {"id": i, "keys": ["eventlog"]}).json["eventlog"]
                    .splitlines()] for i in ids}
    finally:
        c.close()


def reader_of(instance):
    """The one process of the test's own: the shell that holds the instance open."""
    for pid in instance.processes():
        with contextlib.suppress(OSError):
            if b"read x" in open(f"/proc/{pid}/cmdline", "rb").read():
                return pid
    return None


def rss(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1]) << 10


def open_fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def is_sanitized(instance):
    """Such a build keeps what is freed for a while: its memory says nothing."""
    return b"__asan_init" in open(instance.fluxctl, "rb").read()


def sign(spec):
    """J of RFC 15 with mechanism none: header, payload, "none"."""
    head = f"version\0i1\0userid\0i{os.geteuid()}\0mechanism\0snone\0".encode()
    return base64.b64encode(head).decode() + "." + base64.b64encode(spec.encode()).decode() + ".none"


def jobspec(script, cwd):
    """One task on one core."""
    return json.dumps({
        "version": 1,
        "resources": [{"type": "slot", "count": 1, "label": "task", "with": [{"type": "core", "count": 1}]}],
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
    """Requests one at a time over a connection that is made anew whenever it ends. path: below RUNDIR."""

    def __init__(self, instance, path, tally):
        self.path, self.tally, self.client, self.tag = os.path.join(instance.rundir, path), tally, None, 0

    def close(self):
        if self.client:
            self.client.close()
        self.client = None

    def _fail(self, topic, what):
        self.tally.failed(topic, what)
        self.close()

    def responses(self, topic, payload, flags=0):
        """The responses to one request; ends with the first error, or with the connection. Errors are counted, but for
        ENODATA: a stream's good end."""
        self.tag += 1
        begin = time.monotonic()
        try:
            if not self.client:
                self.client = Client(self.path)
                self.client.s.settimeout(ANSWER_SECONDS)
            self.client.send(topic=topic, payload=json.dumps(payload).encode() + b"\0", aux2=self.tag, flags=flags)
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
                    return self.tally.failed(topic, errno.errorcode.get(m.errnum, str(m.errnum)) +
                                             ("" if m.errnum == errno.ECONNRESET else f": {m.text}"))
                yield m
                if not flags & STREAMING:
                    return None
        except (BrokenPipeError, ConnectionResetError):
            return self._fail(topic, "ECONNRESET")
        except TimeoutError:
            return self._fail(topic, f"no answer in {ANSWER_SECONDS} s")
        except OSError as e:
            return self._fail(topic, errno.errorcode[e.errno])

    def call(self, topic, payload):
        """The answer, or None."""
        return next(self.responses(topic, payload), None)


class Load:
    """Clients in threads of their own until stop() is called. rate: jobs a second."""

    def __init__(self, instance, out, rate):
        self.instance, self.out = instance, out
        self.tally = Tally()
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.problems = []
        self.ran = out / "ran"
        self.ran.touch()
        self.submitted = 0
        self.acknowledged = {}  # number -> job id
        self.kept = []  # numbers that a commit of the writer was acknowledged for
        self.commands = collections.Counter()  # exit status and message of `flux run`
        self.followed = {}  # job id -> lines of its eventlog that were seen
        self.text = ""  # what the watcher has seen since its stream began
        self.long_ones = []
        jobs = [lambda path=path: self.submit(path, 4 / rate) for path in ("local", "leader/job-ingest") * 2]
        self.threads = [threading.Thread(target=self.guarded, args=[f], daemon=True) for f in
                        [*jobs, self.write, self.list, self.follow, self.run_command]]
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

    def start(self):
        if NCORES > 1:  # one that runs all the time and must not be touched
            script = f"echo s long >> {self.ran}; while [ ! -e {self.out}/go ]; do sleep 0.05; done; echo e long >> {self.ran}"
            self.long_ones = decimal(self.instance, self.instance.flux("submit", "sh", "-c", script))
            wait_until("the long job", lambda: self.ran.stat().st_size)
        for t in (*self.threads, *self.watchers):
            t.start()

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(2 * ANSWER_SECONDS)
        (self.out / "go").touch()

    def ended(self):
        return self.ran.stat().st_size // len("s 00000000\ne 00000000\n")

    def submit(self, path, interval):
        c = Caller(self.instance, path, self.tally)
        while not self.stopping.wait(interval):
            if self.submitted - self.ended() > BACKLOG_MAX:
                continue
            with self.lock:
                n = self.submitted
                self.submitted += 1
            J = sign(jobspec(f"echo s {n:08} >> {self.ran}; echo e {n:08} >> {self.ran}", self.out))
            m = c.call("job-ingest.submit", {"J": J, "urgency": 16, "flags": 0})
            if m:
                with self.lock:
                    self.acknowledged[n] = m.json["id"]

    def write(self):
        """Commits numbers, and reads them back; a number whose commit was not acknowledged is not tried again, but for the
        last one, which the watcher waits for."""
        c = Caller(self.instance, "node/kvs", self.tally)
        router = Caller(self.instance, "local", self.tally)
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
        c = Caller(self.instance, "local", self.tally)
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
        c = Caller(self.instance, "local", self.tally)
        while not self.stopping.wait(0.02):
            with self.lock:
                id = next(reversed(self.acknowledged.values()), None)
            if id is None:
                continue
            self.followed[id] = [l for m in c.responses(
                "job-info.eventlog-watch", {"id": id, "path": "eventlog", "flags": 0}, STREAMING)
                for l in m.json["event"].splitlines()]

    def run_command(self):
        while not self.stopping.wait(0.05):
            r = self.instance.run("run", "echo", "x", check=False, timeout=2 * ANSWER_SECONDS)
            self.commands["done" if (r.returncode, r.stdout) == (0, "x\n") else f"exit {r.returncode}: {r.stdout}{r.stderr}"] += 1


def value_of(treeobj):
    if treeobj["type"] != "val":
        raise AssertionError(f"a value was expected: {treeobj}")
    return base64.b64decode(treeobj["data"]).decode()


# --- kills


def victims(rng):
    """Names of daemons without end; among any 2 * 9 in a row is each."""
    while True:
        yield from rng.sample(DAEMONS, len(DAEMONS))


def kill_at_random(instance, kills, rng, signum, mean_seconds):
    """Sends the signal to one daemon after the other, whatever it is doing."""
    for name in (name for name, _ in zip(victims(rng), range(kills))):
        time.sleep(min(rng.expovariate(1 / mean_seconds), 5 * mean_seconds))
        pids = wait_until(f"flux-{name}", lambda: instance.daemon_pids(name), timeout=ANSWER_SECONDS)
        with contextlib.suppress(ProcessLookupError):  # it was just ending, because another one had
            os.kill(pids[0], signum)
        yield name, pids[0]


# --- what must hold


def why(f, *args, **kw):
    """[] or the sentence of an assertion that failed."""
    try:
        f(*args, **kw)
    except (AssertionError, TimeoutError) as e:
        return [str(e)]
    return []


def all_ended(instance):
    c = connect(instance)
    try:
        return c.rpc("job-manager.getinfo").json["active"] == 0
    except (AssertionError, KeyError, ValueError, OSError):  # a daemon that is just being replaced
        return False
    finally:
        c.close()


def stuck_jobs(instance):
    """For the one who looks for the cause: what is known of some jobs that have not ended."""
    ids = instance.run("jobs", "-n", "-c", "5", "-o", "{id.f58}", check=False).stdout.split()
    return "\n".join(instance.run("job", "eventlog", f"--path={path}", id, check=False).stdout
                     for id in ids for path in ("eventlog", "guest.exec.eventlog"))


def check_events(instance, ids):
    for i, log in eventlogs(instance, ids).items():
        names = [e["name"] for e in log]
        counts = [names.count(n) for n in ONCE]
        assert counts == [1] * len(ONCE) and names[-1] == "clean", f"I2, I4: job {i}:\n" + "\n".join(map(json.dumps, log))


def check_ends_of_jobs(instance, load):
    ids = [*load.acknowledged.values(), *load.long_ones]
    assert len(set(ids)) == len(ids), "I1: a job id was given twice"
    c = connect(instance)
    listed = {j["id"]: j["result"] for j in c.rpc("job-list.list", {"max_entries": 0, "attrs": ["id", "result"]}).json["jobs"]}
    c.close()
    assert set(ids) <= set(listed), f"I1: not listed: {sorted(set(ids) - set(listed))[:10]}"
    failed = [i for i in ids if listed[i] != 1]
    assert not failed, f"I3: {len(failed)} of {len(ids)} jobs did not complete, such as\n" + "\n".join(
        map(json.dumps, eventlogs(instance, failed[:1])[failed[0]]))
    check_events(instance, ids)


def check_what_ran(load):
    """Each acknowledged job ran once, from the beginning to the end; others once or not at all."""
    ran = collections.defaultdict(str)
    for line in load.ran.read_text().splitlines():
        what, n = line.split()
        ran[n] += what
    wanted = {f"{n:08}" for n in load.acknowledged} | ({"long"} if load.long_ones else set())
    assert wanted <= set(ran), f"I1: acknowledged but never run: {sorted(wanted - set(ran))[:10]}"
    bad = {n: how for n, how in ran.items() if how != "se"}
    assert not bad, f"I1, I3: did not run once and to the end: {dict(list(bad.items())[:10])}"


def check_watches(instance, load):
    for id, log in eventlogs(instance, load.followed).items():
        seen = [json.loads(l) for l in load.followed[id]]
        assert seen == log[:len(seen)], f"I5: the watch of job {id} saw\n" + "\n".join(load.followed[id])


def check_what_is_free(instance):
    wait_until("I4: all cores to be free", lambda: instance.run("resource", "list", check=False).returncode == 0
               and instance.free_cores() == NCORES)
    wait_until("I3: no process to be left", lambda: instance.processes() == [reader_of(instance)])


def check_kvs(instance, load):
    c = connect(instance)
    m = c.rpc("kvs-watch.lookup", {"key": "soak.log", "flags": WATCH_APPENDED}, flags=STREAMING)
    c.close()
    final = value_of(m.json["val"])
    lost = set(load.kept) - {int(x) for x in final.split()}
    assert not lost, f"I5: acknowledged commits are lost: {sorted(lost)[:10]}"
    assert final.startswith(load.text), "I5: the watcher saw what was not so"


def check_memory(instance, load):
    """I7: the same work again, and nothing grows but by what is known of each job."""
    jobs = 300

    def work():
        instance.flux("submit", f"--cc=1-{jobs}", "--wait", "--quiet", "true", timeout=120)
        wait_until("the end of all jobs", lambda: all_ended(instance))
        c = connect(instance)  # caches have limits of their own
        assert [c.rpc(f"{name}.dropcache").errnum for name in ("kvs", "content")] == [0, 0]
        c.close()

    def look():
        return {name: (rss(pid), open_fds(pid)) for name, pid in [*instance.all_pids().items(), ("supervise", instance.proc.pid)]}

    work()
    before, pids = look(), instance.all_pids()
    work()
    after = look()
    assert instance.all_pids() == pids, "a daemon ended by itself"
    for name, (memory, fds) in before.items():
        assert after[name][0] <= memory * 1.1 + jobs * 1024 + SMALL, f"I7: flux-{name} grew from {memory} to {after[name][0]} bytes"
        assert after[name][1] <= fds + 2, f"I7: flux-{name} had {fds} descriptors open and then {after[name][1]}"


def unexpected(load, errors):
    """What clients saw and must not."""
    bad = [f"{n} x {topic}: {what}" for (topic, what), n in load.tally.errors.items() if what not in errors]
    for what, n in load.commands.items():
        lost = re.search(f"is being restarted|went away|{os.strerror(errno.ECONNRESET)}", what)
        if what != "done" and not (lost and "ECONNRESET" in errors):
            bad.append(f"{n} x flux run: {what}")
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
    """Kills under load, then everything that must hold. out: an empty directory. Clients may see ECONNRESET, and nothing at
    all of daemons that end in good order. The problems that were found are in the report."""
    errors = () if signum == signal.SIGTERM else ("ECONNRESET",)
    load, killed = Load(instance, out, rate), []
    begin = time.monotonic()
    load.start()
    for name, pid in kill_at_random(instance, kills, random.Random(seed), signum, mean_seconds):
        killed.append(name)
        if signum == signal.SIGSTOP:
            wait_until(f"another flux-{name}", lambda: instance.daemon_pids(name) not in ([], [pid]), timeout=ANSWER_SECONDS)
        if on_kill:
            on_kill(len(killed), name)
    load.stop()
    report = Report(load, killed, time.monotonic() - begin)
    problems = report.problems
    problems += unexpected(load, errors)
    if why(wait_until, "I1: the end of all jobs", lambda: all_ended(instance), timeout=4 * ANSWER_SECONDS):
        problems.append(f"I1: some jobs do not end:\n{stuck_jobs(instance)}")
        return report
    load.watchers[0].join(ANSWER_SECONDS)
    if load.watchers[0].is_alive():
        problems.append(f"I5: the watcher waits for the last commit, has {load.text[-20:]!r}")
    problems += why(check_ends_of_jobs, instance, load) + why(check_what_ran, load) + why(check_what_is_free, instance)
    problems += why(check_watches, instance, load) + why(check_kvs, instance, load)
    if not is_sanitized(instance):
        problems += why(check_memory, instance, load)
    return report
