# SPDX-License-Identifier: LGPL-3.0-or-later
"""fluxctl start in jobs of a real Slurm of the test's own: three slurmd on this host. Skipped where Slurm is not installed
(Debian: slurmctld slurmd slurm-client slurm-wlm-basic-plugins libpmi0)."""
import contextlib
import getpass
import os
import shutil
import socket
import subprocess

import pytest
from embedded import wait_until
from test_hostile import build  # noqa: F811,F401  (a fixture)

SIZE = 3
MISSING = [p for p in ("slurmctld", "slurmd", "srun", "sbatch", "scancel") if not shutil.which(p, path=os.environ["PATH"] + ":/usr/sbin")]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed")

CONF = """ClusterName=flux
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={dir}/state
SlurmctldPidFile={dir}/slurmctld.pid
SlurmctldLogFile={dir}/slurmctld.log
SlurmdSpoolDir={dir}/%n
SlurmdPidFile={dir}/%n.pid
SlurmdLogFile={dir}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0
{nodes}
PartitionName=all Nodes=ALL Default=YES State=UP
"""


class Slurm:
    def __init__(self, build, dir):
        self.dir = dir
        self.fluxctl = str(build / "fluxctl" / "fluxctl")
        self.tmp = dir / "tmp"
        for d in ("state", "tmp"):
            (dir / d).mkdir()
        host = os.uname().nodename
        with contextlib.ExitStack() as stack:  # so that all are different
            sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(SIZE + 1)]
            ports = [s.getsockname()[1] for s in sockets]
        nodes = "\n".join(f"NodeName=n{i} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[i + 1]} CPUs=4 State=UNKNOWN" for i in range(SIZE))
        (dir / "slurm.conf").write_text(CONF.format(host=host, ports=ports, user=getpass.getuser(), dir=dir, nodes=nodes))
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("FLUX_", "PMI_", "SLURM_"))}
        self.env = {**keep, "PATH": os.environ["PATH"] + ":/usr/sbin", "SLURM_CONF": str(dir / "slurm.conf"), "TMPDIR": str(self.tmp),
                    "F": self.fluxctl}

    def __enter__(self):
        commands = [["slurmctld", "-D"]] + [["slurmd", "-D", "-N", f"n{i}"] for i in range(SIZE)]
        self.daemons = [subprocess.Popen(c, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for c in commands]
        wait_until("the nodes", lambda: self.run("sinfo", "-h", "-t", "idle", "-o", "%D").stdout.strip() == str(SIZE))
        return self

    def __exit__(self, *exc):
        for d in self.daemons:
            d.kill()  # asked to end they take seconds; nothing of theirs runs any more
        for d in self.daemons:
            d.wait(timeout=30)

    def run(self, *args, **kw):
        return subprocess.run(list(map(str, args)), env=self.env, cwd=self.dir, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=90, **kw)

    def left(self):
        """Processes of instances, and their directories."""
        mark = f"TMPDIR={self.tmp}".encode()
        pids = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.path.basename(os.readlink(f"/proc/{pid}/exe")).startswith("flux-") and mark in open(f"/proc/{pid}/environ", "rb").read():
                    pids.append(pid)
        return pids + os.listdir(self.tmp)


@pytest.fixture(scope="module")
def slurm(build, tmp_path_factory):  # noqa: F811
    with Slurm(build, tmp_path_factory.mktemp("slurm")) as s:
        yield s


@pytest.mark.parametrize("mpi", ["pmi2", "none"])
def test_the_tasks_of_srun_are_the_nodes_of_one_instance_and_its_program_says_how_it_ends(slurm, mpi):
    script = "$F run -N3 -l echo hi; $F overlay status -s; $F alloc -N2 $F getattr size; $F start $F getattr size; exit 5"
    r = slurm.run("srun", f"--mpi={mpi}", f"-N{SIZE}", slurm.fluxctl, "start", "sh", "-c", script)
    out = r.stdout.splitlines()
    assert (sorted(out[:3]), out[3:], r.returncode) == (["0: hi", "1: hi", "2: hi"], ["full", "2", "1"], 5), r
    wait_until("nothing to be left", lambda: not slurm.left())


def test_a_batch_script_starts_instances_of_one_node_and_of_all(slurm):
    (slurm.dir / "job.sh").write_text("#!/bin/bash\n$F start $F getattr size\nsrun --mpi=pmi2 $F start sh -c '$F getattr size; $F run -n2 sh -c \"exit 7\"'\n")
    r = slurm.run("sbatch", "-W", f"-N{SIZE}", "-o", "out", "job.sh")
    assert r.returncode == 7, r
    assert (slurm.dir / "out").read_text().splitlines()[:2] == ["1", str(SIZE)]


def test_flux_proxy_and_uri_find_the_instance_of_a_job(slurm):
    os.mkfifo(slurm.dir / "fifo")
    job = slurm.run("sbatch", "--parsable", f"-N{SIZE}", "-o", "out", "--wrap", "srun --mpi=pmi2 $F start sh -c 'touch up; read x <fifo; exit 3'").stdout.strip()
    wait_until("the instance", lambda: (slurm.dir / "up").exists())
    assert slurm.run(slurm.fluxctl, "uri", f"slurm:{job}.0").stdout == slurm.run(slurm.fluxctl, "uri", f"slurm:{job}").stdout
    r = slurm.run(slurm.fluxctl, "proxy", f"slurm:{job}", slurm.fluxctl, "run", f"-N{SIZE}", "-l", "echo", "hi")
    assert (sorted(r.stdout.splitlines()), r.returncode) == (["0: hi", "1: hi", "2: hi"], 0), r
    assert "no instance of yours in slurm:999999" in slurm.run(slurm.fluxctl, "uri", "slurm:999999").stderr
    (slurm.dir / "fifo").write_text("go\n")
    wait_until("the job to end", lambda: not slurm.run("squeue", "-h").stdout)


def test_scancel_ends_the_instance_and_its_jobs_and_nothing_is_left(slurm):
    srun = subprocess.Popen(["srun", "-J", "gone", "--mpi=pmi2", f"-N{SIZE}", slurm.fluxctl, "start", "sh", "-c",
                             "id=$($F submit -N3 sleep 1000); $F job wait-event $id start; echo up; exec sleep 1000"],
                            env=slurm.env, cwd=slurm.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    while "up" not in srun.stdout.readline():
        assert srun.poll() is None
    assert len(slurm.left()) > 3 * SIZE
    slurm.run("scancel", "-n", "gone", check=True)
    assert srun.wait(timeout=60) != 0
    wait_until("nothing to be left", lambda: not slurm.left())
    srun.stdout.close()
