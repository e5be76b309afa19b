# SPDX-License-Identifier: LGPL-3.0-or-later
"""What must hold after daemons were killed under load (hardening.md, I1-I5 and I7), and ways to look at an instance for it.
Each check_X() says in an AssertionError or TimeoutError which invariant does not hold, and by what."""
import base64
import collections
import contextlib
import itertools
import json
import os
import re

from embedded import NCORES, wait_until
from rawclient import STREAMING, Client

ONCE = ("submit", "start", "finish", "free", "clean")  # events of which each job has exactly one
WATCH_APPENDED = 4 | 8 | 512  # WATCH, WAITCREATE, WATCH_APPEND of <flux/kvs.h>
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


def value_of(treeobj):
    if treeobj["type"] != "val":
        raise AssertionError(f"a value was expected: {treeobj}")
    return base64.b64decode(treeobj["data"]).decode()


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


def lines_of_tasks(load):
    for line in load.ran.read_text().splitlines():
        what, name, rank = line.split()
        yield what, name, int(rank)


def check_what_ran(load):
    """Each task of an acknowledged job ran once, from the beginning to the end, on a node of its own; those of others once or
    not at all."""
    ran = collections.defaultdict(str)
    for what, name, rank in lines_of_tasks(load):
        ran[name, rank] += what
    bad = {task: how for task, how in ran.items() if how != "se"}
    assert not bad, f"I1, I3: did not run once and to the end: {dict(list(bad.items())[:10])}"
    tasks = collections.Counter(name for name, _ in ran)
    wanted = {f"{n:08}" for n in load.acknowledged} | ({"long"} if load.long_ones else set())
    missing = {name for name in wanted if tasks[name] != load.nnodes[name]}
    assert not missing, f"I1: acknowledged but not run, or not all tasks: {sorted(missing)[:10]}"


def cores_of(R):
    """[(rank, core)]"""
    def members(idset):
        for part in idset.split(","):
            first, _, last = part.partition("-")
            yield from range(int(first), int(last or first) + 1)

    return {(rank, core) for r in R["execution"]["R_lite"] for rank in members(str(r["rank"]))
            for core in members(r["children"]["core"])}


def check_holdings(instance, load):
    """No core is given to a job while another one has it: by the eventlogs, and by when the tasks really ran."""
    c = connect(instance)
    numbers = {**{id: f"{n:08}" for n, id in load.acknowledged.items()}, **{id: "long" for id in load.long_ones}}
    held = collections.defaultdict(list)  # (rank, core) -> [(alloc, free, id)]
    cores = {}
    for id, log in eventlogs(instance, numbers).items():
        times = {e["name"]: e["timestamp"] for e in log}
        if "alloc" not in times:
            continue
        cores[numbers[id]] = cores_of(json.loads(c.rpc("job-info.lookup", {"id": id, "keys": ["R"]}).json["R"]))
        for core in cores[numbers[id]]:
            held[core].append((times["alloc"], times.get("free", times["clean"]), id))
    c.close()
    for core, intervals in held.items():
        for before, after in itertools.pairwise(sorted(intervals)):
            assert before[1] <= after[0], f"I4: core {core} was given to jobs {before[2]} and {after[2]} at once: {before} {after}"
    running = {}  # (rank, core) -> name
    for what, name, rank in lines_of_tasks(load):
        for core in [c for c in cores.get(name, ()) if c[0] == rank]:
            other = running.setdefault(core, name) if what == "s" else running.pop(core, name)
            assert other == name, f"I4: tasks of {other} and {name} ran on core {core} at once"


def check_watches(instance, load):
    for id, log in eventlogs(instance, load.followed).items():
        seen = [json.loads(l) for l in load.followed[id]]
        assert seen == log[:len(seen)], f"I5: the watch of job {id} saw\n" + "\n".join(load.followed[id])


def check_what_is_free(instance):
    wait_until("I4: all cores to be free", lambda: instance.run("resource", "list", check=False).returncode == 0
               and instance.free_cores() == NCORES * instance.size)
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
        for rank in range(instance.size):
            assert [c.rpc(f"{name}.dropcache", aux1=rank).errnum for name in ("kvs", "content")] == [0, 0]
        c.close()

    def look():
        return {name: (rss(pid), open_fds(pid)) for name, pid in [*instance.all_pids().items(), ("supervise", instance.proc.pid)]}

    work()
    before, pids = look(), instance.all_pids()
    work()
    after = look()
    assert instance.all_pids() == pids, "a daemon ended by itself"
    for name, (memory, fds) in before.items():
        assert after[name][0] <= memory * 1.1 + jobs * 1024 + SMALL, f"I7: {name} grew from {memory} to {after[name][0]} bytes"
        assert after[name][1] <= fds + 2, f"I7: {name} had {fds} descriptors open and then {after[name][1]}"
