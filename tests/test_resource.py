# SPDX-License-Identifier: LGPL-3.0-or-later
"""What there is, what is drained and why: flux resource, on one node."""
import json
import os
import time

import pytest
from embedded import CORES, Instance, wait_until

FAKE = '[resource]\nmonitor-force-up = true\n[[resource.config]]\nhosts = "n[0-999]"\ncores = "0-7"\ngpus = "0-1"\n'


def start(build, work, config):
    (work / "conf").mkdir()
    (work / "conf" / "r.toml").write_text(config)
    return Instance(build, work, args=["-c", work / "conf"])


@pytest.fixture(scope="module")
def many(build, tmp_path_factory):
    """A thousand nodes that exist in the configuration only."""
    with start(build, tmp_path_factory.mktemp("many"), FAKE) as inst:
        yield inst


@pytest.fixture
def undrained(many):
    yield many
    many.run("resource", "undrain", "-f", "0-999")


def drains(instance, *args):
    return json.loads(instance.flux("resource", "drain", "--json", *args))


def simulated(instance, *args):
    return instance.flux("submit", "--setattr=system.exec.test.run_duration=100s", *args, "true")


def r_of(instance, jobid):
    instance.run("job", "wait-event", "-t", 30, jobid, "alloc")
    return json.loads(instance.flux("kvs", "get", "--raw", instance.kvs_key(jobid, "R")))["execution"]


def test_list_and_status_count_a_thousand_nodes(many):
    assert many.flux("resource", "info") == "1000 Nodes, 8000 Cores, 2000 GPUs"
    assert many.flux("resource", "list", "-n", "-s", "free").split() == ["free", "1000", "8000", "2000", "n[0-999]"]
    assert many.flux("resource", "status", "-s", "all", "-no", "{ranks} {nodelist}") == "0-999 n[0-999]"
    assert many.flux("resource", "info", "-i", "n[10-19],n30") == "11 Nodes, 88 Cores, 22 GPUs"
    assert json.loads(many.flux("resource", "R", "-i", "3"))["execution"]["nodelist"] == ["n3"]


@pytest.mark.parametrize("targets, ranks", [("n[7-9]", "7-9"), ("7-9,12", "7-9,12"), ("n12,n7", "7,12")])
def test_nodes_are_drained_by_rank_or_name_and_get_no_jobs(undrained, targets, ranks):
    undrained.flux("resource", "drain", targets, "being", "repaired")
    (row,) = drains(undrained)
    assert (row["state"], row["ranks"], row["reason"], row["status"]) == ("drained", ranks, "being repaired", "online")
    assert abs(row["timestamp"] - time.time()) < 600
    assert undrained.flux("resource", "list", "-s", "down", "-no", "{ranks}") == ranks
    undrained.flux("resource", "undrain", targets)
    assert drains(undrained) == []
    assert undrained.flux("resource", "list", "-s", "down", "-no", "{nnodes}") == "0"


def test_a_drained_node_keeps_its_first_reason_unless_told_otherwise(undrained):
    undrained.flux("resource", "drain", "5", "first")
    r = undrained.run("resource", "drain", "4-6", "second", check=False)
    assert r.returncode == 1 and "rank 5 (n5) is already drained" in r.stderr
    assert [d["ranks"] for d in drains(undrained)] == ["5"]
    first = drains(undrained)[0]
    undrained.flux("resource", "drain", "-u", "4-6", "second")
    assert {d["ranks"]: d["reason"] for d in drains(undrained)} == {"5": "first", "4,6": "second"}
    undrained.flux("resource", "drain", "-f", "5", "third")
    (row,) = drains(undrained, "-i", "5")
    assert (row["reason"], row["timestamp"]) == ("third", first["timestamp"])
    undrained.flux("resource", "drain", "-ff", "5", "fourth")
    (row,) = drains(undrained, "-i", "5")
    assert row["reason"] == "fourth" and row["timestamp"] > first["timestamp"]


def test_what_is_not_drained_or_does_not_exist_is_refused_with_a_sentence(undrained):
    for args, text in ((["undrain", "3"], "rank 3 (n3) is not drained"), (["drain", "1000"], "rank 1000: there is no such rank"),
                       (["drain", "nosuch"], "nosuch: there is no such host"), (["drain", "-f", "-u", "3"], "--force"),
                       (["drain", "-o", "long", "3"], "--format"), (["status", "-s", "odd"], "'odd' is not a state"),
                       (["list", "-i", "nosuch"], "host nosuch is not"), (["list", "-o", "{x}"], "no field 'x'")):
        r = undrained.run("resource", *args, check=False)
        assert r.returncode == 1 and text in r.stderr and not r.stdout


def test_a_request_that_came_before_the_resources_were_read_is_refused_with_a_sentence_too(build, tmp_path):
    with start(build, tmp_path, FAKE) as i:
        r = i.run("resource", "undrain", "3", check=False)
        assert r.returncode == 1 and "rank 3 (n3) is not drained" in r.stderr, r


def test_drains_are_kept_when_the_daemon_is_killed_and_the_eventlog_tells_of_them(undrained):
    undrained.flux("resource", "drain", "n3", "why")
    before = drains(undrained)
    undrained.kill_daemon("resource")
    wait_until("the resource service to answer", lambda: undrained.run("resource", "status", check=False).returncode == 0)
    assert drains(undrained) == before
    event = json.loads(undrained.flux("kvs", "get", "--raw", "resource.eventlog").splitlines()[-1])
    assert event["name"] == "drain"
    assert event["context"] == {"idset": "3", "nodelist": "n3", "reason": "why", "overwrite": 0}


def test_a_node_that_a_job_has_is_draining_until_the_job_ends(undrained):
    jobid = simulated(undrained, "-N1", "-n1")
    ranks = r_of(undrained, jobid)["R_lite"][0]["rank"]
    undrained.flux("resource", "drain", ranks, "soon")
    assert drains(undrained)[0]["state"] == "draining"
    undrained.run("cancel", jobid)
    wait_until("the node to be drained", lambda: drains(undrained)[0]["state"] == "drained")


@pytest.mark.parametrize("args, nodes, cores, gpus", [
    (["-N1000", "-n1000"], 1000, 1, 0),
    (["-N3", "--exclusive"], 3, 8, 2),
    (["-n20", "-c4"], 10, 8, 0),
    (["-N5", "-n10", "-c2", "-g1"], 5, 4, 2),
    (["-n3", "-c1", "-g2"], 3, 1, 2),
])
def test_jobs_get_what_they_ask_for_of_a_thousand_nodes(many, args, nodes, cores, gpus):
    jobid = simulated(many, *args)
    r = r_of(many, jobid)
    many.run("cancel", jobid)
    many.run("job", "wait-event", "-t", 30, jobid, "clean")
    assert many.free_cores() == 8000
    count = lambda ids: sum(int(p.split("-")[-1]) - int(p.split("-")[0]) + 1 for p in ids.split(",")) if ids else 0
    assert sum(count(e["rank"]) for e in r["R_lite"]) == nodes
    assert {(count(e["children"]["core"]), count(e["children"].get("gpu", ""))) for e in r["R_lite"]} == {(cores, gpus)}


def test_a_job_too_large_is_refused_and_one_for_drained_nodes_waits(undrained):
    r = undrained.run("submit", "-N1001", "true", check=False)
    jobid = r.stdout.strip()
    text = r.stderr if r.returncode else undrained.flux("job", "eventlog", jobid)
    assert "1001 nodes" in text
    undrained.flux("resource", "drain", "999", "x")
    jobid = simulated(undrained, "-N1000", "-n1000")
    undrained.flux("resource", "undrain", "999")
    assert r_of(undrained, jobid)["nodelist"] == ["n[0-999]"]
    undrained.run("cancel", jobid)
    undrained.run("job", "wait-event", "-t", 30, jobid, "clean")


def test_a_node_that_lacks_cores_is_drained_with_the_reason(build, tmp_path):
    with start(build, tmp_path, f'[[resource.config]]\nhosts = "big"\ncores = "0-{CORES + 7}"\n') as inst:
        (row,) = wait_until("the node to be drained", lambda: drains(inst))
        assert row["state"] == "drained" and row["reason"].startswith("rank 0 (big): cores ")
        assert row["reason"].endswith(f"-{CORES + 7} configured, not found")
        inst.kill_daemon("resource")
        wait_until("the service to answer", lambda: inst.run("resource", "status", check=False).returncode == 0)
        assert drains(inst) == [row]


def test_excluded_nodes_are_told_apart(build, tmp_path):
    with start(build, tmp_path, FAKE.replace("[resource]\n", '[resource]\nexclude = "n[0-2]"\n')) as inst:
        assert inst.flux("resource", "status", "-n").split() == ["avail", "✔", "997", "n[3-999]", "exclude", "✔", "3", "n[0-2]"]
        assert inst.flux("resource", "info") == "997 Nodes, 7976 Cores, 1994 GPUs"


@pytest.mark.skipif(CORES < 2, reason="needs two cores")
@pytest.mark.parametrize("affinity", ["on", "off"])
def test_an_instance_in_a_job_has_what_the_job_was_given(instance, affinity):
    out = instance.flux("run", "-n1", "-c1", "-t", "10m", "-o", f"cpu-affinity={affinity}", instance.fluxctl, "start",
                        instance.fluxctl, "resource", "R")
    r = json.loads(out)["execution"]
    assert [e["rank"] for e in r["R_lite"]] == ["0"] and len(r["R_lite"][0]["children"]["core"]) == 1
    assert 0 < r["expiration"] - time.time() <= 600


def test_uptime_counts_nodes_that_are_drained_or_offline(undrained):
    assert "drained" not in undrained.flux("uptime") and "offline" not in undrained.flux("uptime")
    undrained.flux("resource", "drain", "3-5", "x")
    assert undrained.flux("uptime").endswith(",  3 drained")
