# SPDX-License-Identifier: LGPL-3.0-or-later
"""Shell options (-o) of jobs on one node: what is not known is said, what is wrong ends the job."""
import pytest

WARNING = "flux-shell[0]: warning: there is no shell option '%s'; it does nothing\n"
KNOWN = ["cpu-affinity=per-task", "exit-on-error", "exit-timeout=none", "gpu-affinity=off", "input.stdin.type=service", "nosetpgrp", "output.batch-timeout=10ms", "output.limit=1M",
         "output.mode=truncate", "output.stderr.buffer.type=line", "output.stdout.label", "output.stdout.type=kvs", "pmi=off", "rlimit.core=0", "signal.signum=10", "signal.timeleft=5s",
         "taskmap=block", "verbose=0"]


def options(*names):
    return [word for name in names for word in ("-o", name)]


@pytest.mark.parametrize("option, path", [("nosuch", "nosuch"), ("exitonerror=1", "exitonerror"), ("output.file=x", "output.file"), ("signal.x.y=1", "signal.x"),
                                          ("output.mode.x=1", "output.mode.x"), ("a.b.c=1", "a"), ("verbos=1", "verbos"),
                                          ("pty", "pty"), ("output=x", "output"), ("input=x", "input"), ("initrc=x.lua", "initrc")])
def test_an_unknown_option_is_named_in_the_output_and_the_job_runs(instance, option, path):
    r = instance.run("run", "-n2", *options(option), "echo", "hi")
    assert (r.stdout, r.stderr) == ("hi\nhi\n", WARNING % path)


def test_known_options_bring_no_warning(instance):
    r = instance.run("run", *options(*KNOWN), "echo", "hi")
    assert (r.stdout, r.stderr) == ("hi\n", "")


def test_many_unknown_options_are_counted(instance):
    r = instance.run("run", *options(*(f"x{n}" for n in range(40))), "true")
    assert r.stderr.count("\n") == 9 and r.stderr.endswith(" 32 other names either\n")


@pytest.mark.parametrize("option", ["output.stdout.label=perhaps", "output.stdout.buffer.type=block", "output.mode=new", "exit-timeout=soon", "cpu-affinity=maybe", "pmi=pmix", "verbose=much"])
def test_a_wrong_value_ends_the_job_and_is_named(instance, option):
    r = instance.run("run", "-o", option, "true", check=False)
    assert r.returncode == 1 and r.stdout == "" and f"-o {option.split('=')[0]}" in r.stderr, r


def test_lines_of_a_file_are_labelled_when_the_option_is_given_without_value(instance, tmp_path):
    instance.flux("run", "-n2", *options("output.stdout.label", "output.stdout.type=file", f"output.stdout.path={tmp_path}/out"), "echo", "hi")
    assert sorted((tmp_path / "out").read_text().splitlines()) == ["0: hi", "1: hi"]


# --- tasks that crash


def test_a_task_that_crashed_is_said_and_one_that_was_signaled_is_not(instance):
    r = instance.run("run", "-n2", "sh", "-c", "[ $FLUX_TASK_RANK = 0 ] || kill -SEGV $$", check=False)
    assert r.returncode == 139 and r.stderr in ("flux-shell[0]: error: task 1: Segmentation fault\n", "flux-shell[0]: error: task 1: Segmentation fault (core dumped)\n")
    r = instance.run("run", "sh", "-c", "exit 3", check=False)
    assert (r.returncode, r.stderr) == (3, "")
    id = instance.flux("submit", "sleep", "300")
    instance.run("job", "wait-event", id, "start")
    instance.run("job", "kill", id)
    r = instance.run("job", "attach", id, check=False)
    assert (r.returncode, r.stderr) == (143, "")
