# SPDX-License-Identifier: LGPL-3.0-or-later
"""Launchers that offer PMI as a library only, as srun does: fluxctl start in each of their tasks makes one instance."""
import os
import pathlib
import subprocess
import time

import pytest
from embedded import copy_units, tmpdir_of_the_killed
from test_hostile import build  # noqa: F401  (a fixture)

SIZE = 3

# Slurm's, where srun was not told --mpi=pmi2.
ALONE = """
int PMI2_Init(int *spawned, int *size, int *rank, int *appnum) { *spawned = *rank = *appnum = 0; *size = 1; return 0; }
int PMI2_Job_GetId(char *id, int size) { return id && size ? GET_ID : 1; }
int PMI2_KVS_Put(const char *key, const char *value) { return !key || !value; }
int PMI2_KVS_Fence(void) { return 0; }
int PMI2_KVS_Get(const char *id, int src, const char *key, char *value, int size, int *len) { return !id + !key + !value + src + size + *len; }
int PMI2_Finalize(void) { return 0; }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("lib") / "libpmi.so.0", pathlib.Path(__file__).parents[1] / "pmi" / "fake-pmi1.c")


def compiled(library, source, *options):
    subprocess.run(["cc", "-Wall", "-Werror", "-shared", "-fPIC", *options, "-o", library, source], check=True)
    return library


def launch(build, work, script, *args, **more):  # noqa: F811
    """As srun -n3 fluxctl start ARGS SCRIPT would; output, errors and status of each, rank 0 first."""
    fluxctl = str(build / "fluxctl" / "fluxctl")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FLUX_", "PMI_", "SLURM_"))}
    env.update(FAKE_PMI_DIR=str(work), FAKE_PMI_SIZE=str(SIZE), FLUX=fluxctl, **more)
    procs = [subprocess.Popen([fluxctl, "start", "--embedded", *args, "--", "sh", "-c", script], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env={**env, "FAKE_PMI_RANK": str(rank), "SLURM_PROCID": str(rank)})
             for rank in range(SIZE)]
    return [(*p.communicate(timeout=60), p.returncode) for p in procs]


def slurm(library):
    return {"LD_LIBRARY_PATH": str(library.parent), "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": str(SIZE)}


def test_processes_meet_by_the_library_and_the_program_runs_on_the_first_alone(build, library, tmp_path):  # noqa: F811
    done = launch(build, tmp_path, "$FLUX run -N3 -l echo hi; $FLUX overlay status -s; exit 5", PMI_LIBRARY=str(library))
    out, err, status = done[0]
    assert (sorted(out.split("\n")[:3]), out.split("\n")[3], status) == (["0: hi", "1: hi", "2: hi"], "full", 5), err
    assert [(out, status) for out, _, status in done[1:]] == [("", 0)] * 2


def test_a_library_that_is_not_there_is_named(build, tmp_path):  # noqa: F811
    done = launch(build, tmp_path, "true", PMI_LIBRARY="/nonexistent/libpmi.so")
    assert all(status == 1 and "/nonexistent/libpmi.so" in err for _, err, status in done), done


@pytest.mark.parametrize("get_id", [14, 0])
def test_a_library_of_pmi_2_that_finds_no_server_gives_way_to_one_of_pmi_1(build, library, tmp_path, get_id):  # noqa: F811
    (tmp_path / "source.c").write_text(ALONE)
    compiled(tmp_path / "libpmi2.so.0", tmp_path / "source.c", f"-DGET_ID={get_id}")
    env = slurm(library)
    env["LD_LIBRARY_PATH"] += f":{tmp_path}"
    done = launch(build, tmp_path, "$FLUX getattr size", **env)
    assert [(out, status) for out, _, status in done] == [(f"{SIZE}\n", 0), ("", 0), ("", 0)], done


def test_one_of_several_without_a_library_that_finds_the_others_does_not_start_alone(build, tmp_path):  # noqa: F811
    (tmp_path / "source.c").write_text(ALONE)
    for name in ("libpmi2.so.0", "libpmi2.so", "libpmi.so.0", "libpmi.so"):
        compiled(tmp_path / name, tmp_path / "source.c", "-DGET_ID=0")
    done = launch(build, tmp_path, "echo ran", **slurm(tmp_path / "libpmi2.so.0"))
    assert all((out, status) == ("", 1) and "libpmi.so: it says that we are alone, not 3" in err and "--mpi=pmi2" in err for out, err, status in done), done


def test_the_program_and_instances_and_jobs_in_it_are_no_tasks_of_the_step(build, library, tmp_path):  # noqa: F811
    script = "$FLUX start $FLUX getattr size; for cmd in '' '$FLUX run' '$FLUX exec -r1'; do eval $cmd env | grep ^SLURM; done"
    out, err, status = launch(build, tmp_path, script, **slurm(library))[0]
    assert (out.split(), status) == (["1"] + ["SLURM_JOB_ID=7"] * 3, 0), err


@pytest.mark.skipif("FLUX_LONG_TESTS" not in os.environ, reason="a long test: set FLUX_LONG_TESTS=1")
def test_nodes_wait_for_one_that_is_started_late(build, library, tmp_path):  # noqa: F811
    units = copy_units(build, tmp_path / "units", TimeoutStartSec="3s")
    services = ":".join(str(p) for p in (build / "services").iterdir() if p.is_dir())
    env = {**os.environ, "PMI_LIBRARY": str(library), "FAKE_PMI_DIR": str(tmp_path), "FAKE_PMI_SIZE": "2"}
    script = '[ $FAKE_PMI_RANK = 0 ] || sleep 5; exec "$0" "$@"'
    procs = [subprocess.Popen(["sh", "-c", script, build / "supervise" / "flux-supervise", f"--units={units}", f"--exec-path={services}", "--", "true"],
                              env={**env, "FAKE_PMI_RANK": str(rank)}, stderr=subprocess.PIPE, text=True) for rank in range(2)]
    assert [(p.communicate(timeout=60)[1], p.returncode) for p in procs] == [("", 0)] * 2


@pytest.mark.parametrize("end,status", [("kill -9 $PPID; exec sleep 1000", -9), ("kill -9 $($FLUX getattr broker.pid); exit 5", 5)])
def test_nodes_end_when_the_first_has_ended_without_a_word_and_wait_for_its_router(build, library, tmp_path, end, status):  # noqa: F811
    script = f"$FLUX job wait-event $($FLUX submit -N{SIZE} sleep 1000) start >&2; {end}"
    began = time.monotonic()
    with tmpdir_of_the_killed() as tmp:
        done = launch(build, tmp_path, script, "-Sbroker.orphan-timeout=0.5s" if status < 0 else "-v", PMI_LIBRARY=str(library), TMPDIR=tmp)
    assert [code for _, _, code in done] == [status, 0, 0], done
    assert time.monotonic() - began < 60  # and not after five minutes


SRUN = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do case $1 in --jobid=8|--overlap|--relative=0|--quiet|--nodes=1|--ntasks=1|--mpi=none) ;; --export=ALL,*) export "${1#*,}";;
*) echo "srun: $1?" >&2; exit 1;; esac; shift; done
cmd=$1; verb=$2; shift 2; [ $verb = uri ] && { echo ssh://elsewhere/run/x/local; exit; }
exec env SLURM_JOB_ID=8 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=1 SLURM_STEP_ID=3 $cmd start --embedded $cmd $verb "$@"
"""


def test_the_instance_of_a_slurm_job_is_found_here_or_by_srun_on_its_first_node(build, tmp_path):  # noqa: F811
    (tmp_path / "srun").write_text(SRUN)
    (tmp_path / "srun").chmod(0o755)
    fluxctl = str(build / "fluxctl" / "fluxctl")
    here = {**{k: v for k, v in os.environ.items() if not k.startswith(("FLUX_", "SLURM_"))}, "PATH": f"{tmp_path}:{os.environ['PATH']}", "F": fluxctl}

    def run(*args, **env):
        return subprocess.run([fluxctl, *args], env={**here, **env}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    script = "echo $FLUX_URI; $F uri slurm:7; $F uri --local slurm:7.2; $F proxy slurm:7 $F start --embedded $F uri slurm:7; $F uri slurm:7.3"
    r = run("start", "--embedded", "sh", "-c", script, SLURM_JOB_ID="7", SLURM_PROCID="0", SLURM_STEP_ID="2", SLURM_STEP_NUM_TASKS="1")
    assert len(set(r.stdout.split())) == 1 and len(r.stdout.split()) == 4 and "no instance of yours in slurm:7.3" in r.stderr, r
    assert run("uri", "slurm:8").stdout == "ssh://elsewhere/run/x/local\n"
    assert run("proxy", "slurm:8", "sh", "-c", "$F getattr size; echo ${FLUX_SLURM_HERE-gone}").stdout == "1\ngone\n"
    assert run("uri", "slurm:8", PATH="/nonexistent").returncode == 1
    for bad in ("slurm:", "slurm:x", "slurm:8.", "slurm:8.x", "slurm:" + "9" * 99):
        assert "expected slurm:JOB" in run("uri", bad).stderr
