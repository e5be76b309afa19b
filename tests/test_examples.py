# SPDX-License-Identifier: LGPL-3.0-or-later
"""What examples/ shows works, in a smaller size."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "examples"


def example(instance, name, *args, needs, timeout=240):
    for program in needs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    r = subprocess.run([EXAMPLES / name / "run", *map(str, args)], env=instance.environ(FLUX=instance.fluxctl), stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
    assert r.returncode == 0, r.stdout + r.stderr + instance.logs()
    return r.stdout


def completed(instance, name):
    return instance.flux("jobs", "-n", "-c0", "-f", "completed", "--name", name, "-o", "{id}").split()


def test_make_builds_a_program_with_a_job_for_each_recipe(instance):
    out = example(instance, "make", 8, needs=["make", "cc"])
    assert re.search(r"^[0-9]+ words$", out, re.M)
    assert len(completed(instance, "make")) == 5 + 1 + 3  # objects, the program, its test


def test_make_stops_when_a_recipe_fails(instance, tmp_path):
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    (tmp_path / "Makefile").write_text(f"SHELL = {EXAMPLES}/make/flux-shell-command\nexport FLUX\nall: bad\n\t@echo not reached\nbad:\n\t@exit 3\n")
    r = subprocess.run(["make", "-C", tmp_path, f"FLUX={instance.fluxctl}"], env=instance.environ(), capture_output=True, text=True, timeout=120)
    assert r.returncode == 2 and "Error 3" in r.stderr and "not reached" not in r.stdout


def test_bulksubmit_runs_a_job_for_each_of_200_numbers(instance):
    assert re.fullmatch(r"200 jobs in .* s, .* jobs/s\n", example(instance, "bulk", 200, needs=["factor"]))
    assert len(completed(instance, "factor")) == 200


def test_the_tasks_of_a_benchmark_report_what_they_reach(instance):
    out = example(instance, "benchmark", 1, 1, needs=["openssl"])
    assert re.search(r"^task 0: [1-9][0-9]* MB/s$", out, re.M) and re.search(r"^1 tasks: [1-9][0-9]* MB/s", out, re.M)


def test_each_example_has_its_line_in_the_readme():
    readme = (EXAMPLES / "README.md").read_text()
    assert all(f"({p.name}/run)" in readme for p in EXAMPLES.iterdir() if p.is_dir())


def test_the_demo_of_the_readme_shows_what_it_promises(build):
    r = subprocess.run(["tools/demo"], cwd=pathlib.Path(__file__).parent.parent, env={**os.environ, "FLUX_BUILD": str(build)},
                       capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stdout + r.stderr
    assert all(f"{n}: task {n} of 4 on " in r.stdout for n in range(4)) and "The instance ends with this script." in r.stdout


def test_what_is_started_uninstalled_finds_flux(build):
    r = subprocess.run(["tools/flux", "start", "flux", "run", "fluxctl", "getattr", "size"], cwd=pathlib.Path(__file__).parent.parent,
                       env={**os.environ, "FLUX_BUILD": str(build)}, capture_output=True, text=True, timeout=60)
    assert (r.returncode, r.stdout) == (0, "1\n"), r.stderr
