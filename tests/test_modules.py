# SPDX-License-Identifier: LGPL-3.0-or-later
"""flux module and flux hwloc, in a live embedded instance."""
import json
import xml.etree.ElementTree as ET

import pytest


def stat(instance, service, path):
    return json.loads(instance.flux("module", "stats", "-p", path, service))


# --- statistics


def test_stats_clear_makes_a_service_count_anew(instance):
    instance.run("kvs", "put", "modules.a=1")
    assert stat(instance, "kvs", "commits") > 0 and stat(instance, "kvs", "methods")["kvs.commit"]["calls"] > 0
    uptime = stat(instance, "kvs", "uptime")
    for option in ("--clear", "--clear-all"):
        instance.run("kvs", "put", "modules.a=1")
        assert instance.run("module", "stats", option, "kvs").stdout == ""
        assert stat(instance, "kvs", "commits") == 0 and "kvs.commit" not in stat(instance, "kvs", "methods")
    assert stat(instance, "kvs", "uptime") >= uptime


@pytest.mark.parametrize("service", ["broker", "content", "job-ingest", "job-list", "job-manager", "resource", "rexec", "sched"])
def test_every_service_can_clear_its_counters(instance, service):
    for _ in range(3):
        instance.run("ping", "-c1", service)
    instance.run("module", "stats", "-c", service)
    assert stat(instance, service, "requests") < 3


def test_stats_converts_one_value(instance):
    instance.run("module", "debug", "--set=3", "kvs")
    assert instance.flux("module", "stats", "-p", "debug", "-s", "2", "kvs") == "6"
    assert instance.flux("module", "stats", "-p", "debug", "-s", "0.5", "-t", "double", "kvs") == "1.500000"
    assert instance.flux("module", "stats", "-p", "debug", "-s", "0.5", "-t", "int", "kvs") == "1"
    assert json.loads(instance.flux("module", "stats", "--rusage", "kvs"))["maxrss"] > 0
    assert float(instance.flux("module", "stats", "--rusage", "-p", "utime", "-s", "1000", "kvs")) >= 0
    instance.run("module", "debug", "--clear", "kvs")


@pytest.mark.parametrize("args,why", [
    (("-p", "nosuch"), "there is no 'nosuch'"), (("-p", "methods", "-s2"), "'methods' is not a number"), (("-s2",), "--parse"),
    (("-p", "debug", "-t", "text"), "int or double"), (("-p", "debug", "-s", "x"), "number"), (("-c", "-R"), "--clear")])
def test_stats_says_what_it_cannot_do(instance, args, why):
    r = instance.run("module", "stats", *args, "kvs", check=False)
    assert r.returncode == 1 and why in r.stderr


# --- debug flags


def test_debug_flags_are_set_and_cleared_by_mask(instance):
    def debug(*args):
        return instance.flux("module", "debug", *args, "resource")

    assert debug() == "0x0"
    assert debug("--set=0x10") == "0x10"
    assert debug("--setbit=3") == "0x13"
    assert debug("--clearbit=01") == "0x12"
    assert debug() == "0x12" and stat(instance, "resource", "debug") == 0x12
    assert debug("--clear") == "0x0"


@pytest.mark.parametrize("args,why", [
    (("--set=-1", "kvs"), "'-1' is not a mask"), (("--set=0x100000000", "kvs"), "not a mask"), (("--set=1", "--clear", "kvs"), "exclude"),
    (("nosuch",), "nosuch")])
def test_debug_refuses_what_is_no_mask_or_no_service(instance, args, why):
    r = instance.run("module", "debug", *args, check=False)
    assert r.returncode == 1 and why in r.stderr


# --- hwloc


def test_hwloc_counts_what_the_topology_has(instance):
    root = ET.fromstring(instance.flux("hwloc", "topology").split("?>", 1)[1].split(">", 1)[1])
    objects = [o.get("type") for o in root.iter("object")]
    counts = json.loads(instance.flux("hwloc", "info", "--json"))
    assert counts == {"machines": objects.count("Machine"), "cores": objects.count("Core"), "pus": objects.count("PU")}
    assert counts["machines"] == 1 and counts["pus"] > 0
    assert instance.flux("hwloc", "info").startswith("1 Machine, ")
    assert instance.flux("hwloc", "info", "-r", "all") == instance.flux("hwloc", "info", "--rank=0") == instance.flux("hwloc", "info", "--ranks", "0")


def test_hwloc_local_needs_no_instance(instance):
    r = instance.run("hwloc", "topology", "--local", env={"FLUX_URI": "local:///nowhere"})
    assert "<topology" in r.stdout
    r = instance.run("hwloc", "info", env={"FLUX_URI": "local:///nowhere"}, check=False)
    assert r.returncode == 1 and "cannot reach" in r.stderr


@pytest.mark.parametrize("args,why", [(("-r", "1"), "there is no rank 1"), (("-r", "0-3"), "there is no rank 3"), (("-r", "x"), "not 'x'"),
                                      (("-l", "-r", "0"), "exclude")])
def test_hwloc_refuses_ranks_that_do_not_exist(instance, args, why):
    r = instance.run("hwloc", "info", *args, check=False)
    assert r.returncode == 1 and why in r.stderr
