# SPDX-License-Identifier: LGPL-3.0-or-later
"""Commands and options beyond a user's first hour, each driven through a live embedded instance."""
import json
import re
import signal
import time

from embedded import wait_until


# --- submit, bulksubmit ---


def test_bulksubmit_dry_run_prints_a_line_for_each_combination(instance):
    out = instance.flux("bulksubmit", "--dry-run", "-n", "{.p2}", "--define=p2=2**int(x)", "hostname", ":::", 0, 1, 2)
    assert out.splitlines() == [f"flux-mini: submit -n{n} hostname" for n in (1, 2, 4)]
    out = instance.flux("mini", "bulksubmit", "--dry-run", "echo", "{1}", "{0}", ":::", 1, 2, ":::", 3, 4)
    assert out.splitlines() == [f"flux-mini: submit echo {x}" for x in ("3 1", "4 1", "3 2", "4 2")]


def test_bulksubmit_reads_inputs_from_stdin_and_runs_a_job_for_each(instance, tmp_path):
    r = instance.run("bulksubmit", "--wait", "sh", "-c", f"echo {{seq}} > {tmp_path}/{{./%}}", input="/x/a.c\n/x/b.c\n")
    assert len(r.stdout.split()) == 2
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a": "0\n", "b": "1\n"}


def test_bulksubmit_combines_inputs_with_cc(instance):
    out = instance.flux("bulksubmit", "--quiet", "--watch", "--cc={}", "echo", "{}:{cc}", ":::", "1-2", "7")
    assert sorted(out.splitlines()) == ["1-2:1", "1-2:2", "7:7"]


def test_bulksubmit_refuses_what_it_does_not_understand_before_it_submits(instance):
    before = instance.flux("jobs", "-a", "-n", "-o", "{id}")
    for template in ("{foo}", "{3}", "{.x}"):
        r = instance.run("bulksubmit", "echo", template, ":::", "a", check=False)
        assert r.returncode == 1 and r.stderr.startswith("fluxctl bulksubmit: ")
    r = instance.run("bulksubmit", "--define=d=open(x)", "echo", "{.d}", ":::", "a", check=False)
    assert "open()" in r.stderr
    assert instance.flux("jobs", "-a", "-n", "-o", "{id}") == before


def test_submit_log_writes_ids_and_output_to_files(instance, tmp_path):
    instance.flux("submit", "--cc=1-2", "--watch", f"--log={tmp_path}/{{cc}}", f"--log-stderr={tmp_path}/err", "sh", "-c", "echo out{cc}; echo err{cc} >&2")
    for cc in (1, 2):
        jobid, out = (tmp_path / str(cc)).read_text().splitlines()
        assert instance.flux("job", "id", jobid).isdigit() and out == f"out{cc}"
    assert sorted((tmp_path / "err").read_text().splitlines()) == ["err1", "err2"]


def test_begin_time_holds_a_job_back(instance):
    jobid = instance.flux("submit", "--begin-time=+1h", "true")
    assert instance.flux("jobs", "-n", "-o", "{state} {dependencies}", jobid).startswith("DEPEND begin-time")
    instance.flux("cancel", jobid)
    spec = json.loads(instance.flux("run", "--dry-run", "--begin-time=2033-05-18 12:00", "true"))
    assert spec["attributes"]["system"]["dependencies"][0]["scheme"] == "begin-time"
    assert "not understood" in instance.run("run", "--begin-time=soon", "true", check=False).stderr


def test_progress_shows_jobs_per_second(instance):
    r = instance.run("submit", "--cc=1-5", "--wait", "--progress=always", "--jps", "true")
    assert "completed 5" in r.stderr and "jobs/s" in r.stderr


def test_setattr_reads_json_from_a_file(instance, tmp_path):
    (tmp_path / "v.json").write_text('{"a": [1, 2]}')
    spec = json.loads(instance.flux("run", "--dry-run", f"--setattr=^user.x={tmp_path}/v.json", "--setattr=y=3", "-o", "verbose", "true"))
    assert spec["attributes"]["user"]["x"] == {"a": [1, 2]}
    assert spec["attributes"]["system"]["y"] == 3 and spec["attributes"]["system"]["shell"]["options"]["verbose"] == 1
