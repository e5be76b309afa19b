# SPDX-License-Identifier: LGPL-3.0-or-later
"""An embedded instance for tests: `fluxctl start --embedded`, held open by a pipe."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time


DAEMONS = ["broker", "content", "kvs", "job-ingest", "job-manager", "sched", "exec", "resource", "job-list"]
EVERYWHERE = ["broker", "content", "kvs", "exec", "resource"]  # of these there is one on each node


def cores_of_this_machine():
    """As flux-resource counts them: CPUs that share a core are one."""
    def number(cpu, name):
        with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/{name}") as f:
            return int(f.read())

    cpus = os.sched_getaffinity(0)
    try:
        return len({(number(c, "physical_package_id"), number(c, "core_id")) for c in cpus})
    except (OSError, ValueError):
        return len(cpus)


CORES = cores_of_this_machine()
NCORES = max(2, CORES)  # what each node of an Instance has: where there is one core only, it is told of two


def caught(pid, sig):
    """Does the process handle the signal?"""
    with open(f"/proc/{pid}/status") as f:
        mask = next(line for line in f if line.startswith("SigCgt:"))
    return int(mask.split()[1], 16) >> (sig - 1) & 1


def wait_until(what, condition, timeout=60.0):
    """Poll for a condition of another process that sends no event; the condition decides, not the clock."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        time.sleep(0.02)


def with_enough_time(attempt, seconds=(0.5, 1, 2, 4, 8, 16, 32)):
    """attempt(s) gives a result, or None if the machine needed longer than s for what comes before: then it has more. For
    limits that are part of what is tested, where most machines need less than the shortest."""
    return next((r for r in map(attempt, seconds) if r is not None), None)


@contextlib.contextmanager
def tmpdir_of_the_killed():
    """TMPDIR, with a short name, for instances whose supervisor is killed: it cannot remove its run-time directory."""
    path = tempfile.mkdtemp(prefix="flux-test-")
    try:
        yield path
    finally:  # what the kernel still ends may still write
        wait_until("the directory to be removed", lambda: shutil.rmtree(path, ignore_errors=True) or not os.path.exists(path))


def copy_units(build, to, **keys):
    """The units of the build with some keys of [Service] replaced."""
    to.mkdir()
    for f in (build / "units").iterdir():
        if f.suffix not in (".service", ".socket", ".target", ".slice"):
            continue
        text = f.read_text()
        for key, value in keys.items():
            text = re.sub(rf"^{key}=.*$", f"{key}={value}", text, flags=re.M)
        (to / f.name).write_text(text)
    return to


def pretend_two_cores(args, env, workdir, nnodes):
    """For a machine of one core: the arguments, with a configuration that says how many there are, if none does yet."""
    given = [str(b) for a, b in zip(args, args[1:]) if a == "-c"] + [str(a)[14:] for a in args if str(a).startswith("--config-path=")]
    conf = pathlib.Path(*given[:1] or [env.get("FLUX_CONF_DIR") or workdir / "two-cores"])
    conf.mkdir(exist_ok=True)
    # With [bootstrap] each node is an instance of the tests; those need one core each.
    if not any("resource" in (text := f.read_text()) or "bootstrap" in text for f in conf.glob("*.toml")):
        hosts = [a[13:] for a in map(str, args) if a.startswith("--test-hosts=")] or [",".join([os.uname().nodename] * nnodes)]
        R = {"version": 1, "execution": {"starttime": 0, "expiration": 0, "nodelist": hosts,
             "R_lite": [{"rank": f"0-{nnodes - 1}" if nnodes > 1 else "0", "children": {"core": "0-1"}}]}}
        (conf / "two-cores.R").write_text(json.dumps(R))
        (conf / "two-cores.toml").write_text(f'[resource]\nnoverify = true\npath = "{conf}/two-cores.R"\n')
    return args if given or "FLUX_CONF_DIR" in env else ["-c", conf, *args]


def is_child_of_a_supervisor(pid):
    ppid = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
    return os.path.basename(os.readlink(f"/proc/{ppid}/exe")) == "flux-supervise"


def peak_of(args, env=None, **kw):
    """Runs it; MiB of memory at its peak. Another process starts it, because the kernel counts for it what the process had that it
    was forked from, and the one that runs the tests is large."""
    code = ("import os, resource, subprocess, sys\n"
            "status = subprocess.call(sys.argv[2:])\n"
            "os.write(int(sys.argv[1]), str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss).encode())\n"
            "sys.exit(status)\n")
    r, w = os.pipe()
    with open(r) as result:
        try:
            subprocess.run(["/usr/bin/python3", "-c", code, str(w), *map(str, args)], env=env, pass_fds=[w], check=True, **kw)
        finally:
            os.close(w)
        return int(result.read()) / 1024


class Instance:
    """units: a directory to use instead of the build's (flux-supervise is then run as fluxctl would). size: how many nodes."""

    def __init__(self, build, workdir, args=(), env=None, units=None, size=1):
        self.size = size
        if size > 1:
            args = [f"--test-size={size}", *args]
        self.fluxctl = str(build / "fluxctl" / "fluxctl")
        self.workdir = workdir
        if any(str(a).startswith("--test-size") for a in args):
            args = ["--test-exit-mode=leader", *args]  # tests take nodes away
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("FLUX_")}
        self.env.update(env or {})
        if CORES < 2:
            sizes = [int(a[12:]) for a in map(str, args) if a.startswith("--test-size=")]
            args = pretend_two_cores(list(args), self.env, workdir, *sizes or [1])
        self.command = [self.fluxctl, "start", "--embedded", *map(str, args)]
        if units:
            services = ":".join(str(p) for p in (build / "services").iterdir() if p.is_dir())
            args = [re.sub("^-S", "--broker-arg=--setattr=", str(a)) for a in args]
            self.command = [str(build / "supervise" / "flux-supervise"), f"--units={units}", f"--exec-path={services}", *args]
            self.env.setdefault("FLUX_JOB_SHELL", str(build / "shell" / "flux-shell"))

    def __enter__(self):
        self.proc = subprocess.Popen(
            [*self.command, "--", "sh", "-c", "echo $FLUX_URI; read x"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(self.workdir / "stderr", "w"),
            cwd=self.workdir,
            env=self.env,
            text=True,
        )
        self.uri = self.proc.stdout.readline().strip()
        if not self.uri:
            self.proc.wait(timeout=30)
            raise RuntimeError("fluxctl start failed: " + (self.workdir / "stderr").read_text())
        self.rundir = os.path.dirname(self.uri[len("local://") :])
        return self

    def __exit__(self, *exc):
        self.proc.stdin.close()
        try:
            self.status = self.proc.wait(timeout=60)
        finally:
            if self.proc.poll() is None:
                self.proc.kill()
                self.proc.wait()

    def node(self, rank):
        """The run-time directory of a node."""
        return self.rundir if self.size == 1 else os.path.join(os.path.dirname(self.rundir), str(rank))

    def environ(self, **extra):
        return {**self.env, "FLUX_URI": self.uri, **extra}

    def run(self, *args, check=True, timeout=60, input=None, env=None, **kw):
        """Run `flux ARGS` and return the CompletedProcess (text)."""
        r = subprocess.run(
            [self.fluxctl, *map(str, args)],
            env=self.environ(**(env or {})),
            cwd=self.workdir,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            **kw,
        )
        if check and r.returncode != 0:
            raise AssertionError(f"flux {' '.join(map(str, args))}: exit {r.returncode}\n{r.stdout}{r.stderr}{self.logs()}")
        return r

    def flux(self, *args, **kw):
        return self.run(*args, **kw).stdout.rstrip("\n")

    def popen(self, *args, **kw):
        return subprocess.Popen(
            [self.fluxctl, *map(str, args)], env=self.environ(), cwd=self.workdir, text=True,
            stdin=kw.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw
        )

    def daemon_pids(self, name, rank=0):
        """Pids of flux-NAME of a node, told apart by FLUX_RUNDIR in their environment. Children of a supervisor only: what
        a daemon forks is flux-NAME too, until it executes something."""
        pids = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                exe = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
                if exe != f"flux-{name}":
                    continue
                env = open(f"/proc/{pid}/environ", "rb").read().split(b"\0")
                if f"FLUX_RUNDIR={self.node(rank)}".encode() in env and is_child_of_a_supervisor(pid):
                    pids.append(int(pid))
            except OSError:
                continue
        return pids

    def all_daemons(self):
        """(name, rank) of each that there may be."""
        return [(name, 0) for name in DAEMONS] + [(name, rank) for rank in range(1, self.size) for name in EVERYWHERE]

    def all_pids(self):
        """{name: pid} of the daemons that run, {(name, rank): pid} where there are several nodes."""
        return {name if self.size == 1 else (name, rank): pid for name, rank in self.all_daemons()
                for pid in self.daemon_pids(name, rank)}

    def kill_daemon(self, name, sig=signal.SIGKILL):
        """That runs, or is just being started."""
        (pid,) = wait_until(f"flux-{name}", lambda: self.daemon_pids(name))
        os.kill(pid, sig)
        return pid

    def logs(self):
        out = []
        logdir = os.path.join(self.rundir, "log")
        for f in sorted(os.listdir(logdir)) if os.path.isdir(logdir) else []:
            for line in open(os.path.join(logdir, f), errors="replace").read().splitlines()[-30:]:
                out.append(f"  {f}: {line}")
        return "\n".join(["", "--- log of the instance", *out])

    def log_records(self, name):
        try:
            with open(os.path.join(self.rundir, "log", f"{name}.log"), errors="replace") as f:
                return [json.loads(line) for line in f if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def eventlog(self, jobid):
        return [json.loads(line) for line in self.flux("kvs", "get", "--raw", self.kvs_key(jobid, "eventlog")).splitlines()]

    def processes(self):
        """Pids of all processes whose environment names this instance, daemons excluded."""
        pids = []
        uris = [f"FLUX_URI=local://{self.node(rank)}/local".encode() for rank in range(self.size)]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                env = open(f"/proc/{pid}/environ", "rb").read().split(b"\0")
                stat = open(f"/proc/{pid}/stat").read()
            except OSError:
                continue
            if any(uri in env for uri in uris) and stat.rsplit(")", 1)[1].split()[0] not in "ZX":
                pids.append(int(pid))
        return pids

    def settle(self):
        """All daemons have started, and what they have to say of that is said: what is counted afterwards is the test's own."""
        nnodes = len(self.run("exec", "echo", "here").stdout.split())
        self.run("job", "wait-event", self.flux("submit", f"-N{nnodes}", "true"), "clean")
        self.run("jobs", "-a")

    def free_cores(self):
        """Cores that the scheduler says are free."""
        rows = [l.split() for l in self.flux("resource", "list").splitlines()]
        (row,) = [r for r in rows if r[0] == "free"]
        return int(row[rows[0].index("NCORES")])

    def kvs_key(self, jobid, key):
        return f"job.{self.flux('job', 'id', '--to=dothex', jobid)}.{key}"
