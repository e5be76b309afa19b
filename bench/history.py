#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""bench/history.py [-n JOBS] [--round JOBS] [--build DIR]: what past jobs cost.

Runs JOBS simulated jobs (default 100,000) through an instance of its own and prints, as lines of JSON: the throughput of
each round and what a job took of processor time, the memory (PSS) of each daemon before and after and the difference for
each past job, and how long a killed job-manager and job-list take until they answer again. Measures, never passes or fails.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests"))
from embedded import Instance, wait_until  # noqa: E402

DAEMONS = ["broker", "content", "kvs", "job-ingest", "job-manager", "sched", "exec", "resource", "job-list"]


def report(**kw):
    print(json.dumps(kw), flush=True)


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def memory(instance):
    return {d: sum(map(pss, instance.daemon_pids(d))) for d in DAEMONS}


def cpu(instance):
    """Seconds of processor time that the daemons took so far: what a busy machine does not blur."""
    ticks = 0
    for d in DAEMONS:
        for pid in instance.daemon_pids(d):
            with open(f"/proc/{pid}/stat") as f:
                ticks += sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def restart_time(instance, daemon, *question):
    """Seconds from kill -9 to the first answer of the next process."""
    victim = instance.kill_daemon(daemon)
    wait_until("the victim to be gone", lambda: victim not in instance.daemon_pids(daemon))
    t0 = time.monotonic()
    wait_until("an answer", lambda: instance.run(*question, check=False).returncode == 0)
    return time.monotonic() - t0


def measure(instance, build, args):
    def jobs(count):
        out = subprocess.run([build / "bench" / "bench-jobs", "-n", str(count), "jobs-simulated"], env=instance.environ(),
                             check=True, capture_output=True, text=True).stdout
        return json.loads(out.splitlines()[0])["value"]

    jobs(args.round)  # what is allocated once is allocated then
    instance.run("jobs", "-a", "-c", "1")
    before = memory(instance)
    report(name="memory-before", value=before, unit="B")
    done = 0
    while done < args.n:
        count = min(args.round, args.n - done)
        before_cpu = cpu(instance)
        value = jobs(count)
        done += count
        report(name="throughput", past=done + args.round, value=round(value), unit="1/s",
               cpu_per_job_usec=round((cpu(instance) - before_cpu) / count * 1e6))
    instance.run("jobs", "-a", "-c", "1")
    after = memory(instance)
    report(name="memory-after", value=after, unit="B")
    report(name="memory-per-past-job", value={d: round((after[d] - before[d]) / args.n) for d in DAEMONS}, unit="B")
    report(name="command", value=round(min(restartless(instance) for _ in range(5)), 3), unit="s")
    for i in range(3):
        report(name="restart-job-manager", value=round(restart_time(instance, "job-manager", "ping", "-c", "1", "job-manager"), 3), unit="s")
        report(name="restart-job-list", value=round(restart_time(instance, "job-list", "jobs", "-a", "-c", "1"), 3), unit="s")
    report(name="memory-after-restart", value=memory(instance), unit="B")


def restartless(instance):
    """One question without any restart, for comparison."""
    t0 = time.monotonic()
    instance.run("jobs", "-a", "-c", "1")
    return time.monotonic() - t0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-n", type=int, default=100_000)
    p.add_argument("--round", type=int, default=5_000)
    p.add_argument("--build", type=lambda s: pathlib.Path(s).resolve(), default=TOP / "build")
    args = p.parse_args()
    workdir = pathlib.Path(tempfile.mkdtemp(prefix="flux-history-"))
    try:
        with Instance(args.build, workdir) as instance:
            measure(instance, args.build, args)
    finally:
        shutil.rmtree(workdir, ignore_errors=True)


if __name__ == "__main__":
    main()
