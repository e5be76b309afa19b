#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""bench/cost.py [--build DIR]... [-n COUNT] [--runs N] MEASUREMENT: what one operation costs each daemon.

Runs MEASUREMENT (a name of bench/run, e.g. jobs-real) in an instance of its own and prints for each daemon: CPU time of an
operation, context switches, and what the stores did. CPU time is far less noisy than a rate on a machine that others use.
With several --build the builds take turns, N times each (default 1); the least of each figure counts.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests"))
from embedded import DAEMONS, Instance  # noqa: E402


def tasks(pid, name):
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/{name}", encoding="ascii") as f:
            yield f.read()


def figures(pid):
    """CPU time in us of the process, of its children; context switches."""
    cpu = sum(int(t.split()[0]) for t in tasks(pid, "schedstat")) / 1e3
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    children = (int(fields[13]) + int(fields[14])) * 1e6 / os.sysconf("SC_CLK_TCK")
    switches = sum(int(line.split()[1]) for t in tasks(pid, "status") for line in t.splitlines() if "ctxt_switches" in line)
    return {"us": cpu, "children_us": children, "switches": switches}


def snapshot(instance):
    got = {}
    for name, pid in instance.all_pids().items():
        for key, value in figures(pid).items():
            got[name, key] = value
    for service, keys in {"content": ("transactions", "blobs", "blob-bytes"), "kvs": ("transactions", "commits")}.items():
        stats = json.loads(instance.flux("module", "stats", service))
        for key in keys:
            got[service, key] = stats.get(key, 0)
    return got


def measure(build, name, count):
    program = next(p for p in ("rpc", "kvs", "jobs") if name in subprocess.run(
        ["strings", build / "bench" / f"bench-{p}"], capture_output=True, text=True, check=True).stdout.split())
    workdir = pathlib.Path(tempfile.mkdtemp(prefix="flux-cost-"))
    try:
        with Instance(build, workdir) as instance:
            def bench(n):
                out = subprocess.run([build / "bench" / f"bench-{program}", "-n", str(n), name], env=instance.environ(),
                                     check=True, capture_output=True, text=True).stdout
                return json.loads(out.splitlines()[0])["value"]

            bench(max(64, count // 20))  # starts what is started by its first message
            before = snapshot(instance)
            rate = bench(count)
            after = snapshot(instance)
    finally:
        shutil.rmtree(workdir, ignore_errors=True)
    cost = {k: (v - before.get(k, 0)) / count for k, v in after.items()}
    return rate, cost


def show(build, runs):
    best = {k: min(cost.get(k, 0) for _, cost in runs) for k in runs[0][1]}
    print(f"{build}: {max(rate for rate, _ in runs):.0f}/s at best")
    total = 0
    for name in DAEMONS:
        if (name, "us") not in best:
            continue
        cpu = best[name, "us"]
        children = best[name, "children_us"]
        total += cpu + children
        extra = " ".join(f"{k}={v:.2f}" for (d, k), v in best.items()
                         if d == name and k not in ("us", "children_us", "switches"))
        print(f"  {name:12} {cpu:8.1f} us {best[name, 'switches']:6.2f} switches"
              + (f" {children:8.1f} us in children" if children > 0 else "") + f"  {extra}")
    print(f"  {'total':12} {total:8.1f} us")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("measurement")
    p.add_argument("-n", type=int, default=2000)
    p.add_argument("--runs", type=int, default=1)
    p.add_argument("--build", type=pathlib.Path, action="append")
    args = p.parse_args()
    builds = [b.resolve() for b in args.build or [TOP / "build"]]
    runs = {b: [] for b in builds}
    for _ in range(args.runs):
        for b in builds:
            runs[b].append(measure(b, args.measurement, args.n))
    for b in builds:
        show(b, runs[b])


if __name__ == "__main__":
    main()
