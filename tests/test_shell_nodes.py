# SPDX-License-Identifier: LGPL-3.0-or-later
"""The shells of a job: where its tasks are, what its tasks and shells tell each other."""
import json
import pathlib
import shutil
import subprocess

import pytest
from embedded import wait_until

HERE = pathlib.Path(__file__).resolve().parent
PMI_HELLO = str(HERE / "pmi-hello.py")


@pytest.fixture(scope="module")
def mpi_hello(tmp_path_factory):
    if not shutil.which("mpicc"):
        pytest.skip("there is no mpicc")
    exe = tmp_path_factory.mktemp("mpi") / "mpi-hello"
    subprocess.run(["mpicc", "-o", exe, HERE / "mpi-hello.c"], check=True)
    return str(exe)


def events(instance, jobid, key):
    return [json.loads(line) for line in instance.flux("kvs", "get", "--raw",
                                                            instance.kvs_key(jobid, "guest." + key)).splitlines()]


# --- one node


def test_a_parallel_program_exchanges_keys_by_pmi(instance):
    r = instance.run("run", "-n2", PMI_HELLO)
    assert sorted(r.stdout.splitlines()) == [f"rank {i} of 2, mapping (vector,(0,1,2))" for i in range(2)]


def test_pmi_can_be_turned_off(instance):
    assert instance.run("run", "-o", "pmi=off", "sh", "-c", "echo ${PMI_FD-none}").stdout == "none\n"
    assert instance.run("run", "sh", "-c", "echo ${PMI_FD-none}").stdout != "none\n"


def test_an_unknown_pmi_is_refused_by_name(instance):
    r = instance.run("run", "-o", "pmi=pmix", "true", check=False)
    assert r.returncode != 0 and "-o pmi=pmix" in r.stderr


def test_a_task_that_aborts_by_pmi_ends_the_job(instance):
    r = instance.run("run", "-n2", PMI_HELLO, "abort", check=False)
    assert r.returncode != 0 and "task 1 aborted the program with exit code 7" in r.stderr


def test_a_task_that_speaks_no_pmi_on_its_socket_ends_the_job(instance):
    r = instance.run("run", "-n2", PMI_HELLO, "garbage", check=False)
    assert r.returncode != 0 and "task 1: PMI: " in r.stderr


def test_mpi_knows_its_ranks(instance, mpi_hello):
    r = instance.run("run", "-n2", mpi_hello)
    assert sorted(r.stdout.splitlines()) == ["rank 0 of 2, sum 1", "rank 1 of 2, sum 1"]


def test_input_goes_to_the_ranks_it_is_for_and_others_read_nothing(instance):
    r = instance.run("run", "-n2", "-l", "--input=1", "sh", "-c", "cat; echo end", input="hello\n")
    assert sorted(r.stdout.splitlines()) == ["0: end", "1: end", "1: hello"]


def test_input_for_ranks_that_do_not_exist_is_refused(instance):
    r = instance.run("run", "-n2", "--input=2", "true", check=False)
    assert r.returncode != 0 and "-o input.stdin.ranks" in r.stderr


def test_a_task_map_that_makes_no_sense_is_refused(instance):
    jobid = instance.flux("submit", "-o", "taskmap=zigzag", "true")
    wait_until("the job's end", lambda: instance.eventlog(jobid)[-1]["name"] == "clean")
    assert any(e["name"] == "exception" for e in instance.eventlog(jobid))


def test_the_task_map_is_in_the_start_event(instance):
    jobid = instance.flux("submit", "-n2", "--wait", "true")
    start = [e for e in events(instance, jobid, "exec.eventlog") if e["name"] == "shell.start"]
    assert start[0]["context"]["taskmap"] == {"version": 1, "map": [[0, 1, 2, 1]]}
