# SPDX-License-Identifier: LGPL-3.0-or-later
"""Launchers that offer PMI as a library only, as srun does: fluxctl start in each of their tasks makes one instance."""
import os
import pathlib
import subprocess

from test_hostile import build  # noqa: F401  (a fixture)

SIZE = 3


def launch(build, work, library, script):  # noqa: F811
    """As srun -n3 fluxctl start SCRIPT would; the processes, rank 0 first."""
    fluxctl = str(build / "fluxctl" / "fluxctl")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FLUX_", "PMI_", "SLURM_"))}
    env.update(PMI_LIBRARY=str(library), FAKE_PMI_DIR=str(work), FAKE_PMI_SIZE=str(SIZE), FLUX=fluxctl)
    return [subprocess.Popen([fluxctl, "start", "--embedded", "--", "sh", "-c", script], text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env={**env, "FAKE_PMI_RANK": str(rank)}) for rank in range(SIZE)]


def test_processes_meet_by_the_library_and_the_program_runs_on_the_first_alone(build, tmp_path):  # noqa: F811
    library = tmp_path / "libpmi.so"
    subprocess.run(["cc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, pathlib.Path(__file__).parent / "fake-pmi.c"], check=True)
    work = tmp_path / "kvs"
    work.mkdir()
    procs = launch(build, work, library, "$FLUX run -N3 -l echo hi; $FLUX overlay status -s; exit 5")
    done = [(*p.communicate(timeout=60), p.returncode) for p in procs]
    out, err, status = done[0]
    assert (sorted(out.split("\n")[:3]), out.split("\n")[3], status) == (["0: hi", "1: hi", "2: hi"], "full", 5), err
    assert [(out, status) for out, _, status in done[1:]] == [("", 0)] * 2


def test_a_library_that_is_not_there_is_named(build, tmp_path):  # noqa: F811
    done = [p.communicate(timeout=60) + (p.returncode,) for p in launch(build, tmp_path, "/nonexistent/libpmi.so", "true")]
    assert all(status == 1 and "/nonexistent/libpmi.so" in err for _, err, status in done), done
