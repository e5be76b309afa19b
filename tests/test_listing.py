# SPDX-License-Identifier: LGPL-3.0-or-later
"""flux jobs against a live instance that has a job in each state and with each result."""
import datetime
import json
import os
import pwd
import subprocess
import time

import pytest
from embedded import Instance, wait_until

ME = pwd.getpwuid(os.getuid()).pw_name
HOST = os.uname().nodename


@pytest.fixture(scope="module")
def zoo(build, tmp_path_factory):
    """An instance of two cores, and its jobs: {name: id}. Nothing changes after it was made."""
    work = tmp_path_factory.mktemp("zoo")
    (work / "conf").mkdir()
    (work / "conf" / "r.toml").write_text(f'[resource]\nnoverify = true\n[[resource.config]]\nhosts = "{HOST}"\ncores = "0-1"\n')
    with Instance(build, work, args=["-c", str(work / "conf")], env={"TZ": "UTC"}) as i:
        def submit(name, *args):
            jobs[name] = i.flux("submit", f"--job-name={name}", *args)

        jobs = {}
        submit("good", "-n2", "true")
        submit("bad", "-n1", "sh", "-c", "exit 3")
        submit("killed", "sh", "-c", "kill -9 $$")
        submit("late", "-t", "0.1s", "sleep", "300")
        for name in ("good", "bad", "killed", "late"):
            i.run("job", "attach", jobs[name], check=False)
        submit("gone", "--urgency=hold", "true")
        i.flux("job", "cancel", jobs["gone"], "not", "needed")
        submit("runs", "-n2", "-t", "1h", "--queue=batch", "--flags=novalidate", "sleep", "300")
        submit("waits", "-n2", "--urgency=20", "true")
        submit("held", "--urgency=hold", "true")
        submit("depends", f"--dependency=afterok:{jobs['runs']}", "true")
        for name, event in (("good", "clean"), ("bad", "clean"), ("killed", "clean"), ("late", "clean"), ("gone", "clean"),
                            ("runs", "start"), ("waits", "priority"), ("held", "priority"), ("depends", "dependency-add")):
            i.flux("job", "wait-event", "--timeout=30", jobs[name], event)
        wait_until("all to be listed", lambda: i.flux("jobs", "-an", "-o", "{state_single}").count("I") == 5)
        wait_until("the running job to be listed so", lambda: i.flux("jobs", "-no", "{state}", jobs["runs"]) == "RUN")
        yield i, jobs
        i.flux("cancel", *(jobs[n] for n in ("depends", "held", "waits", "runs")))


def names(zoo, *args):
    return set(zoo[0].flux("jobs", "-n", "-o", "{name}", *args).split())


ACTIVE = {"runs", "waits", "held", "depends"}
INACTIVE = {"good", "bad", "killed", "late", "gone"}


def field(zoo, job, fmt):
    return zoo[0].flux("jobs", "-n", "-o", fmt, zoo[1][job])


@pytest.mark.parametrize("args, expected", [
    ([], ACTIVE), (["-a"], ACTIVE | INACTIVE), (["-A"], ACTIVE | INACTIVE), (["-f", "pending"], ACTIVE - {"runs"}),
    (["-f", "running"], {"runs"}), (["--filter=active"], ACTIVE), (["-f", "inactive"], INACTIVE), (["-f", "depend"], {"depends"}),
    (["-f", "sched"], {"waits", "held"}), (["-f", "RUN,cleanup"], {"runs"}), (["-f", "completed"], {"good"}), (["-f", "failed"], {"bad", "killed"}),
    (["-f", "canceled"], {"gone"}), (["-f", "timeout"], {"late"}), (["-f", "failed,canceled"], {"bad", "killed", "gone"}),
    (["-f", "running,failed"], {"runs", "bad", "killed"}), (["-f", "inactive,failed"], INACTIVE),
    (["-a", "--name=bad"], {"bad"}), (["-a", "--name=none"], set()), (["-a", "--queue=batch"], {"runs"}),
    (["-a", "-u", "all"], ACTIVE | INACTIVE), (["-a", "-u", ME], ACTIVE | INACTIVE), (["-a", "-u", str(os.getuid())], ACTIVE | INACTIVE),
    (["-a", "-u", "65533"], set()), (["--since=-1h"], ACTIVE | INACTIVE), (["--since=-0s"], ACTIVE), (["-f", "inactive", "--since=-0s"], set()),
    (["--since=2026-01-01 8am", "-f", "failed"], {"bad", "killed"}), (["--since=1"], ACTIVE | INACTIVE),
], ids=lambda x: " ".join(sorted(x) if isinstance(x, set) else x))
def test_options_choose_jobs(zoo, args, expected):
    assert names(zoo, *args) == expected


def test_count_limits_the_list_and_0_does_not(zoo):
    assert [len(names(zoo, "-a", "-c", n)) for n in (1, 3, 0, 1000)] == [1, 3, 9, 9]


def test_jobs_may_be_named_in_any_encoding_and_unknown_ones_are_complained_about(zoo):
    i, jobs = zoo
    hexa = i.flux("job", "id", "--to=hex", jobs["bad"])
    r = i.run("jobs", "-n", "-o", "{name}", hexa, "ƒ1", jobs["runs"], "nonsense", check=False)
    assert r.stdout.split() == ["bad", "runs"] and r.returncode == 1
    assert "ƒ1" in r.stderr and "'nonsense' is not a job id" in r.stderr


@pytest.mark.parametrize("args, words", [
    (["-f", "soon"], "--filter 'soon'"), (["-f", ""], "--filter ''"), (["-f", "running,,failed"], "--filter ''"), (["-c", "x"], "--count 'x'"), (["-c", "-1"], "--count '-1'"),
    (["-u", "no such"], "'no such'"), (["-o", "{nope}"], "--format 'nope'"), (["-o", "{id"], "--format {"), (["-o", "{id!q}"], "--format !q"),
    (["-o", "{id:w}"], "--format 'w'"), (["--color=red"], "--color 'red'"), (["--since=tomorrow"], "--since 'tomorrow' future"),
    (["--since=-x"], "--since 'x'"), (["--since=soon"], "--since 'soon'"),
], ids=lambda x: x[-1].encode("ascii", "replace").decode() if isinstance(x, list) else "")
def test_a_wrong_value_is_refused_with_the_option_and_the_value(zoo, args, words):
    r = zoo[0].run("jobs", *args, check=False)
    assert r.returncode == 1 and r.stdout == "" and r.stderr.startswith("flux-jobs: ")
    assert all(w in r.stderr for w in words.split(" ")), r.stderr


# {field: {job: value}}; a callable is asked, a missing job is not looked at.
VALUES = {
    "userid": {"good": str(os.getuid())}, "username": {"good": ME}, "urgency": {"good": "16", "held": "0", "waits": "20"},
    "priority": {"good": "16", "waits": "20", "depends": ""}, "status": {"good": "COMPLETED", "bad": "FAILED", "killed": "FAILED", "late": "TIMEOUT",
        "gone": "CANCELED", "runs": "RUNNING", "waits": "PENDING", "held": "PENDING", "depends": "PENDING"},
    "status_abbrev": {"good": "CD", "bad": "F", "late": "TO", "gone": "CA", "runs": "R", "waits": "P"},
    "state": {"good": "INACTIVE", "runs": "RUN", "waits": "SCHED", "depends": "DEPEND"}, "state_single": {"good": "I", "runs": "R", "waits": "S", "depends": "D"},
    "result": {"good": "COMPLETED", "gone": "CANCELED", "runs": "", "depends": ""}, "result_abbrev": {"good": "CD", "late": "TO", "waits": ""},
    "name": {"good": "good"}, "queue": {"runs": "batch", "good": ""}, "ntasks": {"good": "2", "bad": "1", "waits": "2"}, "ncores": {"good": "2"},
    "nnodes": {"good": "1", "runs": "1", "waits": "", "gone": ""}, "ranks": {"good": "0", "waits": ""}, "nodelist": {"good": HOST, "runs": HOST, "held": ""},
    "success": {"good": "True", "bad": "False", "gone": "False", "runs": "", "waits": ""}, "waitstatus": {"good": "0", "bad": "768", "runs": "", "gone": ""},
    "returncode": {"good": "0", "bad": "3", "killed": "137", "gone": "-128", "runs": "", "waits": ""},
    "exception.occurred": {"good": "False", "late": "True", "gone": "True", "bad": "False"}, "exception.type": {"late": "timeout", "gone": "cancel", "good": ""},
    "exception.severity": {"late": "0", "gone": "0", "good": ""}, "exception.note": {"gone": "not needed", "good": ""},
    "t_run": {"waits": "", "gone": ""}, "t_cleanup": {"runs": "", "waits": ""}, "t_inactive": {"runs": "", "depends": ""},
    "runtime": {"waits": "0.0", "gone": "0.0"}, "duration": {"runs": "3600.0", "late": "0.1"}, "t_remaining": {"good": "", "waits": ""},
    "cwd": {"good": lambda s: s.startswith("/")}, "annotations": {"depends": ""}, "sched.resource_summary": {"runs": "rank0/core[0-1]"},
    "annotations.sched.resource_summary": {"runs": "rank0/core[0-1]"}, "sched": {"runs": '{"resource_summary":"rank0/core[0-1]"}'}, "user": {"runs": ""}, "user.x.y": {"runs": ""},
    "annotations.user.x": {"runs": ""}, "id.words": {"good": lambda s: s.count("-") >= 5},
}


@pytest.mark.parametrize("name", VALUES)
def test_a_field_has_its_value_in_each_state(zoo, name):
    for job, expected in VALUES[name].items():
        value = field(zoo, job, f"{{{name}}}")
        assert expected(value) if callable(expected) else value == expected, job


def test_dependencies_name_what_is_waited_for(zoo):
    assert zoo[1]["runs"] in field(zoo, "depends", "{dependencies}") and field(zoo, "waits", "{dependencies}") == ""


def test_ids_have_the_encodings_that_flux_job_id_knows(zoo):
    i, jobs = zoo
    for encoding in ("dec", "f58", "hex", "dothex", "words"):
        assert field(zoo, "good", f"{{id.{encoding}}}") == i.flux("job", "id", f"--to={encoding}", jobs["good"])
    assert field(zoo, "good", "{id}") == field(zoo, "good", "{id.dec}")


def test_times_are_those_of_the_eventlog_and_in_order(zoo):
    i, jobs = zoo
    times = [float(field(zoo, "good", f"{{t_{t}}}")) for t in ("submit", "depend", "run", "cleanup", "inactive")]
    assert times == sorted(times) and times[0] == pytest.approx(i.eventlog(jobs["good"])[0]["timestamp"], abs=1e-3)
    assert float(field(zoo, "good", "{runtime}")) == pytest.approx(times[3] - times[2], abs=1e-3)
    start, end, left = (float(field(zoo, "runs", f"{{{f}}}")) for f in ("t_run", "expiration", "t_remaining"))
    R = json.loads(i.flux("job", "info", jobs["runs"], "R"))["execution"]
    assert end == pytest.approx(R["expiration"], abs=1e-3) and end == pytest.approx(R["starttime"] + 3600, abs=1e-3)
    assert R["starttime"] == pytest.approx(start, abs=30) and left == pytest.approx(end - time.time(), abs=30)
    assert float(field(zoo, "late", "{runtime}")) >= 0.09


def test_conversions_are_those_of_the_page(zoo):
    start = datetime.datetime.fromtimestamp(float(field(zoo, "good", "{t_run}")), datetime.timezone.utc)
    assert field(zoo, "good", "{t_run!D}") == start.strftime("%Y-%m-%dT%H:%M:%S")
    assert field(zoo, "good", "{t_run!d:%H:%M:%S on %j}") == start.strftime("%H:%M:%S on %j")
    assert field(zoo, "waits", "{t_run!D:h}{t_run!D}{t_run!d:%Y}") == "-1970"
    assert field(zoo, "waits", "{runtime:08h}|{runtime:=5h}|{runtime:<3h}|{nnodes:04h}|") == "       -|    -|-  |-   |"
    for spec in ("", "08.1f", "+", "12", " ", "e", "*=+15"):
        assert field(zoo, "runs", f"|{{duration:{spec}}}|") == "|" + format(3600.0, spec) + "|", spec
    assert field(zoo, "runs", "{duration!F} {duration!H} {duration!F:>6}|") == "1h 1:00:00     1h|"
    assert field(zoo, "waits", "{runtime!F:h} {runtime!H:h} {runtime!F} {runtime!H} {runtime:h}") == "- - 0s 0:00:00 -"


def test_widths_and_alignments_are_those_of_python(zoo):
    for spec in (">8", "<8", "^8", "*^9", "8", "2", ".2", "<8.2", ">8.2"):
        assert field(zoo, "bad", f"|{{name:{spec}}}|") == "|" + format("bad", spec) + "|", spec
    for spec in ("5", "05", "+", "<5", "^5", "x", ".2f", "e", "d", "+x", "=+8", "*=+8", "^08", "_^08", "<+08", " 015.3f", "+08.2e"):
        assert field(zoo, "good", f"|{{urgency:{spec}}}|") == "|" + format(16, spec) + "|", spec


def test_the_default_is_the_format_of_the_page(zoo):
    fmt = ("{id.f58:>12} {username:<8.8} {name:<10.10} {status_abbrev:>2.2} {ntasks:>6} {nnodes:>6h} {runtime!F:>8h} {nodelist:h}")
    args = ["-a", "-f", "pending,inactive"]  # their run times stand still
    assert zoo[0].flux("jobs", *args) == zoo[0].flux("jobs", *args, "-o", fmt)
    lines = zoo[0].flux("jobs", *args).splitlines()
    assert lines[0].split() == "JOBID USER NAME ST NTASKS NNODES RUNTIME NODELIST".split()
    assert len(lines) == 9 and zoo[0].flux("jobs", *args, "-n").splitlines() == lines[1:]


@pytest.fixture
def config(tmp_path):
    """Write formats for a directory of configuration: config("home", tool, object) -> the directory."""
    def write(dir, tool, content):
        path = tmp_path / dir / "flux" / f"flux-{tool}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(tmp_path / dir)
    return write


def formats(**named):
    return {"formats": {name: {"format": f, "description": f"about {name}"} for name, f in named.items()}}


def test_formats_have_names(zoo):
    i, jobs = zoo
    listed = [l.split()[0] for l in i.flux("jobs", "-o", "help").splitlines()]
    assert listed == ["default", "long", "deps", "ends"]
    for name in listed:
        lines = i.flux("jobs", "-a", "-o", name).splitlines()
        assert len(lines) == 10 and lines[0].split()[0] == "JOBID" and all(len(l) <= 160 for l in lines)
    assert f"afterok={jobs['runs']}"[:8] in i.flux("jobs", "-no", "deps", jobs["depends"]) and "TO" in i.flux("jobs", "-no", "ends", jobs["late"])
    r = i.run("jobs", "-o", "nosuch", check=False)
    assert r.returncode == 1 and r.stdout == "" and "--format=help" in r.stderr


def test_files_add_formats_and_the_nearest_wins(zoo, config):
    i, jobs = zoo
    env = {"XDG_CONFIG_HOME": config("home", "jobs", formats(mine="{name} mine", both="{name} home")),
           "XDG_CONFIG_DIRS": config("first", "jobs", formats(both="{name} first", site="{name} site", default="{id.dec} {name}")) + ":"
           + config("second", "jobs", formats(site="{name} second", other="{name} other"))}

    def seen(*args, **more):
        return i.flux("jobs", "-n", *args, jobs["good"], env={**env, **more})

    assert [seen("-o", f) for f in ("mine", "both", "site", "other")] == ["good mine", "good home", "good site", "good other"]
    assert seen() == f"{i.flux('job', 'id', jobs['good'])} good" and seen(FLUX_JOBS_FORMAT_DEFAULT="mine") == "good mine"
    assert seen(FLUX_JOBS_FORMAT_DEFAULT="{name} given") == "good given"
    assert "about mine" in i.flux("jobs", "-o", "help", env=env)
    assert json.loads(i.flux("jobs", "-o", "get-config=both", env=env)) == formats(both="{name} home") | {"formats": {"both": {"format": "{name} home", "description": "about both"}}}


def test_formats_of_resource_have_a_part_for_each_subcommand(zoo, config):
    env = {"XDG_CONFIG_HOME": config("home", "resource", {"list": formats(mine="{state}"), "status": formats(mine="{nnodes}")})}
    assert zoo[0].flux("resource", "list", "-n", "-o", "mine", env=env).split() == ["free", "allocated", "down"]
    assert zoo[0].flux("resource", "status", "-n", "-s", "avail", "-o", "mine", env=env) == "1"
    assert zoo[0].flux("resource", "list", "-no", "{state}", env=env) == zoo[0].flux("resource", "list", "-n", env={**env, "FLUX_RESOURCE_LIST_FORMAT_DEFAULT": "mine"})
    r = zoo[0].run("resource", "drain", "-o", "mine", env=env, check=False)
    assert r.returncode == 1 and "there is no format 'mine'" in r.stderr


@pytest.mark.parametrize("content, why", [("{", "line"), ({"formats": {"mine": {"text": "x"}}}, "'mine' lacks")])
def test_a_malformed_file_is_said_and_left_out(zoo, config, content, why):
    env = {"XDG_CONFIG_HOME": config("home", "jobs", content)}
    r = zoo[0].run("jobs", "-f", "pending", env=env)
    assert why in r.stderr and "flux-jobs.json" in r.stderr and r.stdout == zoo[0].run("jobs", "-f", "pending").stdout


def test_headings_exist_for_every_field_and_take_its_width(zoo):
    for name in VALUES:
        assert zoo[0].flux("jobs", "-o", f"{{{name}}}", zoo[1]["good"]).splitlines()[0].isupper(), name
    assert zoo[0].flux("jobs", "-o", "{name:>8}|{id.f58:<7}|", "--name=none") == "    NAME|JOBID  |"


def test_colors_mark_what_failed_and_end_before_the_line_does(zoo):
    def colored(*args):
        return [l for l in zoo[0].flux("jobs", "-an", "-o", "{name}", *args).splitlines() if "\033" in l]

    assert colored() == colored("--color=auto") == colored("--color=never") == []
    assert {l.replace("\033[0m", "").split("m", 1)[1] for l in colored("--color=always")} == {"bad", "killed", "late", "gone"}
    assert all(l.endswith("\033[0m") for l in colored("--color=always"))


def test_stats_come_before_the_list_and_alone_say_whether_anything_is_active(zoo, fresh_instance):
    i, _ = zoo
    stats = "1 running, 1 completed, 2 failed, 1 canceled, 1 timeout, 3 pending"
    assert i.flux("jobs", "--stats", "-f", "running").splitlines()[0] == stats
    assert i.flux("jobs", "--stats-only", "-f", "failed", "-a") == stats
    o = json.loads(i.flux("jobs", "--stats", "--json", "-f", "running"))
    assert o["stats"] == {"running": 1, "completed": 1, "failed": 2, "canceled": 1, "timeout": 1, "pending": 3} and [j["name"] for j in o["jobs"]] == ["runs"]
    assert json.loads(i.flux("jobs", "--stats-only", "--json")) == {"stats": o["stats"]}
    r = fresh_instance.run("jobs", "--stats-only", check=False)
    assert (r.returncode, r.stdout) == (1, "0 running, 0 completed, 0 failed, 0 canceled, 0 timeout, 0 pending\n")


def test_json_has_the_same_jobs_and_values(zoo):
    i, jobs = zoo
    by_name = {j["name"]: j for j in json.loads(i.flux("jobs", "-a", "--json"))["jobs"]}
    assert set(by_name) == ACTIVE | INACTIVE
    bad = by_name["bad"]
    assert (bad["result"], bad["state"], bad["status"], bad["returncode"], bad["username"]) == ("FAILED", "INACTIVE", "FAILED", 3, ME)
    assert by_name["gone"]["exception"] == {"occurred": True, "severity": 0, "type": "cancel", "note": "not needed"}
    assert [j["name"] for j in json.loads(i.flux("jobs", "--json", jobs["late"]))["jobs"]] == ["late"]
    assert json.loads(i.flux("jobs", "--json", "--name=none")) == {"jobs": []}


def test_a_reader_that_goes_away_ends_the_command_in_silence(zoo):
    i, _ = zoo
    p = i.popen("jobs", "-a", "-o", "{name:>4000} {name:>4000} {name:>4000}")  # more than a pipe holds
    p.stdout.close()
    assert p.wait(timeout=30) == -13 and p.stderr.read() == ""


def test_output_that_cannot_be_written_is_a_failure(zoo):
    i, _ = zoo
    for fmt in ("{name}", "{name:>4000}"):
        with open("/dev/full", "w") as full:
            r = subprocess.run([i.fluxctl, "jobs", "-a", "-o", fmt], env=i.environ(), stdout=full, stderr=subprocess.PIPE, text=True)
        assert r.returncode == 1 and "No space left on device" in r.stderr, fmt
