# SPDX-License-Identifier: LGPL-3.0-or-later
"""flux module, with modules of third parties, and flux hwloc, in a live embedded instance."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import xml.etree.ElementTree as ET

import pytest
import rawclient
from embedded import wait_until


def stat(instance, service, path):
    return json.loads(instance.flux("module", "stats", "-p", path, service))


# --- statistics


def test_stats_clear_makes_a_service_count_anew(instance):
    instance.run("kvs", "put", "modules.a=1")
    assert stat(instance, "kvs", "commits") > 0 and stat(instance, "kvs", "methods")["kvs.commit"]["calls"] > 0
    uptime = stat(instance, "kvs", "uptime")
    for option in ("--clear", "--clear-all"):
        instance.run("kvs", "put", "modules.a=1")

        def cleared():
            assert instance.run("module", "stats", option, "kvs").stdout == ""
            return stat(instance, "kvs", "commits") == 0 and "kvs.commit" not in stat(instance, "kvs", "methods")

        wait_until("no commits to be counted", cleared)  # daemons commit, too, when they like
    assert stat(instance, "kvs", "uptime") >= uptime


@pytest.mark.parametrize("service", ["broker", "content", "job-ingest", "job-list", "job-manager", "resource", "rexec", "sched"])
def test_every_service_can_clear_its_counters(instance, service):
    def pings():
        return stat(instance, service, "methods").get(f"{service}.ping", {"calls": 0})["calls"]

    instance.run("ping", "-c100", "-i0", service)  # more than anybody else has to say meanwhile
    assert pings() >= 100 and stat(instance, service, "requests") >= 100
    instance.run("module", "stats", "-c", service)
    assert pings() < 100 and stat(instance, service, "requests") < 100


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


@pytest.mark.parametrize("args,why", [(("-r", "1"), "there is no rank 1"), (("-r", "0-3"), "there is no rank 3"), (("-r", "x"), "no node has the name x"), (("-r", ""), "not ''"),
                                      (("-l", "-r", "0"), "exclude")])
def test_hwloc_refuses_ranks_that_do_not_exist(instance, args, why):
    r = instance.run("hwloc", "info", *args, check=False)
    assert r.returncode == 1 and why in r.stderr


# --- modules of third parties

TOP = pathlib.Path(__file__).resolve().parent.parent

TROUBLE = r"""
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <flux/core.h>

static void on_stats(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    if (flux_module_debug_test(h, 0x1, true))
        raise(SIGKILL);
    flux_respond_pack(h, msg, "{s:b s:b}", "mine", 1, "two", flux_module_debug_test(h, 0x2, true));
}

__attribute__((constructor)) static void loaded(void)
{
    if (getenv("TROUBLE_LOADS"))
        abort();
}

int mod_main(void *context, int argc, char **argv)
{
    struct flux_match match = FLUX_MATCH_REQUEST;
    flux_msg_handler_t *mh;

    if (argc > 0 && !strcmp(argv[0], "fail")) {
        errno = EDOM;
        return -1;
    }
    if (argc > 0 && !strcmp(argv[0], "crash"))
        abort();
    if (argc > 0 && !strcmp(argv[0], "return"))
        return 0;
    if (argc > 0 && !strcmp(argv[0], "hang"))
        signal(SIGTERM, SIG_IGN);
    match.topic_glob = "trouble.stats-get";
    mh = flux_msg_handler_create(context, match, on_stats, NULL);
    flux_msg_handler_start(mh);
    do {
        flux_reactor_run(flux_get_reactor(context), 0);
    } while (argc > 0 && !strcmp(argv[0], "hang"));
    flux_msg_handler_destroy(mh);
    return 0;
}
"""


def source_on_the_page():
    page = (TOP / "man/man1/flux-module.1").read_text()
    return re.search(r"^\.Bd -literal -offset indent\n(#include.*?)^\.Ed", page, re.M | re.S).group(1).replace(r"\e", "\\")


def compile_module(build, directory, name, source):
    (directory / f"{name}.c").write_text(source)
    subprocess.run(["cc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", directory / f"{name}.so", directory / f"{name}.c",
                    f"-I{TOP}/libflux/include", f"-I{build}/libflux/include", f"-L{build}/libflux", "-lflux-core"], check=True)
    return directory / f"{name}.so"


@pytest.fixture(scope="module")
def modules(build, tmp_path_factory):
    work = tmp_path_factory.mktemp("modules")
    compile_module(build, work, "hello", source_on_the_page())
    compile_module(build, work, "trouble", TROUBLE)
    compile_module(build, work, "nomain", "int x;\n")
    compile_module(build, work, "kvs", "int mod_main(void *h, int argc, char **argv) { return 0; }\n")
    compile_module(build, work, "bad.name", 'const char *mod_name = "bad.name";\nint mod_main(void *h, int argc, char **argv) { return 0; }\n')
    return work


def services(instance):
    return {s["name"]: s for s in json.loads(instance.flux("module", "list", "--json"))}


def pid_of(instance, name):
    return json.loads(instance.flux("module", "info", name))["pid"]


@pytest.fixture
def clean(instance):
    yield instance
    for name in ("hello", "trouble"):
        instance.run("module", "remove", "-f", name)


def test_the_module_on_the_page_loads_answers_and_is_removed(clean, modules):
    clean.run("module", "load", modules / "hello.so", "good morning")
    listed = services(clean)["hello"]
    assert listed["state"] == "registered" and os.readlink(f"/proc/{listed['pid']}/exe").endswith("/flux-module-exec")
    assert f"{listed['pid']}" in clean.flux("module", "list", "hello")
    client = rawclient.Client(f"{clean.rundir}/local")
    answer = client.rpc("hello.greet", {"who": "ada"})
    client.close()
    assert answer.json == {"greeting": "good morning", "who": "ada"}
    clean.run("module", "remove", "hello")
    assert "hello" not in services(clean)
    wait_until("its process has ended", lambda: not os.path.exists(f"/proc/{listed['pid']}"))


def test_a_module_answers_what_every_service_answers(clean, modules):
    clean.run("module", "load", modules / "hello.so")
    assert "hello.ping pad=" in clean.flux("ping", "-c1", "hello")
    stats = json.loads(clean.flux("module", "stats", "hello"))
    assert stats["pid"] == pid_of(clean, "hello") and stats["rx"]["request"] >= 2 and stats["tx"]["response"] >= 1
    assert json.loads(clean.flux("module", "stats", "--rusage", "hello"))["maxrss"] > 0
    for _ in range(10):
        clean.run("ping", "-c1", "hello")
    clean.run("module", "stats", "--clear", "hello")
    assert int(clean.flux("module", "stats", "-p", "rx.request", "hello")) < 5
    assert clean.flux("module", "debug", "--set=6", "hello") == "0x6"
    r = clean.run("ping", "-c1", "hello.nosuch", check=False)
    assert r.returncode == 1


def test_its_own_handlers_come_before_the_default_ones_and_it_sees_debug_flags(clean, modules):
    clean.run("module", "load", modules / "trouble.so")
    clean.run("module", "debug", "--setbit=2", "trouble")
    assert json.loads(clean.flux("module", "stats", "trouble")) == {"mine": True, "two": True}
    assert json.loads(clean.flux("module", "stats", "trouble")) == {"mine": True, "two": False}
    assert clean.flux("module", "debug", "trouble") == "0x0"


def test_a_module_that_crashes_hurts_nobody_and_is_started_again(clean, modules):
    clean.run("module", "load", modules / "trouble.so", "again")
    before = pid_of(clean, "trouble")
    broker = clean.daemon_pids("broker")
    clean.run("module", "debug", "--set=1", "trouble")
    r = clean.run("module", "stats", "trouble", check=False)
    assert r.returncode == 1 and "went away" in r.stderr
    wait_until("it is there again", lambda: "trouble" in services(clean))
    assert pid_of(clean, "trouble") != before
    assert json.loads(clean.flux("module", "stats", "trouble"))["mine"]
    assert clean.daemon_pids("broker") == broker and clean.flux("run", "echo", "fine") == "fine"


def test_a_module_that_was_killed_can_be_removed_before_it_is_back(clean, modules):
    clean.run("module", "load", modules / "hello.so")
    os.kill(pid_of(clean, "hello"), signal.SIGKILL)
    clean.run("module", "remove", "hello")
    assert "is not loaded" in clean.run("module", "remove", "hello", check=False).stderr


@pytest.mark.parametrize("what,args,why", [
    ("trouble.so", ["fail"], "mod_main of trouble failed: Numerical argument"), ("trouble.so", ["crash"], "ended before it was ready"),
    ("nosuch.so", [], "No such file"), ("nomain.so", [], "has no mod_main"), ("kvs.so", [], "there is a daemon of Flux of the name kvs"),
    ("bad.name.so", [], "cannot be the name of a service"), ("hello.c", [], "ELF")])
def test_load_says_why_it_failed_and_leaves_nothing(clean, modules, what, args, why):
    r = clean.run("module", "load", modules / what, *args, check=False)
    assert r.returncode == 1 and why in r.stderr
    assert "trouble" not in services(clean)
    assert "is not loaded" in clean.run("module", "remove", "trouble", check=False).stderr
    record = pathlib.Path(clean.rundir) / "module"
    assert not record.exists() or list(record.iterdir()) == []


def test_a_constructor_that_crashes_is_nobodys_crash_but_its_own(clean, modules):
    r = clean.run("module", "load", modules / "trouble.so", env={"TROUBLE_LOADS": "1"}, check=False)
    assert r.returncode == 1 and r.stderr.startswith("flux-module: ")


def test_a_name_is_searched_in_the_module_path(clean, modules):
    assert "no hello.so in" in clean.run("module", "load", "hello", check=False).stderr
    clean.run("module", "load", "hello", env={"FLUX_MODULE_PATH": f"/nowhere:{modules}"})
    assert "runs already" in clean.run("module", "load", modules / "hello.so", check=False).stderr
    assert json.loads(clean.flux("module", "info", modules / "hello.so"))["name"] == "hello"
    clean.run("module", "remove", modules / "hello.so")


def test_reload_keeps_file_and_arguments_unless_told(clean, modules):
    assert "is not loaded" in clean.run("module", "reload", modules / "hello.so", check=False).stderr
    clean.run("module", "reload", "--force", modules / "hello.so", "one")
    first = pid_of(clean, "hello")
    clean.run("module", "reload", "hello")
    record = json.loads((pathlib.Path(clean.rundir) / "module/hello.json").read_text())
    assert pid_of(clean, "hello") != first and record == {"path": str(modules / "hello.so"), "args": ["one"]}
    clean.run("module", "reload", "hello", "two", "-x")
    assert json.loads((pathlib.Path(clean.rundir) / "module/hello.json").read_text())["args"] == ["two", "-x"]


def test_a_module_that_returns_has_ended_well(clean, modules):
    clean.run("module", "load", modules / "trouble.so", "return")
    wait_until("it has ended", lambda: "is not loaded" in clean.run("module", "remove", "trouble", check=False).stderr)


def test_a_service_shutdown_ends_a_module_for_good(clean, modules):
    clean.run("module", "load", modules / "hello.so")
    pid = pid_of(clean, "hello")
    subprocess.run(["kill", "-TERM", str(pid)], check=True)
    wait_until("it has ended", lambda: "hello" not in services(clean))
    wait_until("and is forgotten", lambda: clean.run("module", "load", modules / "hello.so", check=False).returncode == 0)


def test_modules_end_with_the_instance(build, modules, tmp_path):
    from embedded import Instance

    with Instance(build, tmp_path) as i:
        i.run("module", "load", modules / "hello.so")
        pid = pid_of(i, "hello")
    assert not os.path.exists(f"/proc/{pid}")


def test_a_module_survives_a_killed_router(fresh_instance, modules):
    i = fresh_instance
    i.run("module", "load", modules / "hello.so")
    i.kill_daemon("broker")
    wait_until("it is registered again", lambda: i.run("ping", "-c1", "hello", check=False).returncode == 0)


def control(instance, request):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(30)
        s.connect(f"{instance.rundir}/control")
        s.send(request)
        return s.recv(4096).decode(errors="replace")


@pytest.mark.parametrize("request_", [b"x", b"start", b"stop flux-kvs", b"start flux-kvs", b"start flux-imp@x", b"start flux-module@../x",
                                      b"start flux-module@", b"status flux-broker", b"stop flux-module@nosuch", b"a" * 255, b"restart flux-module@x"])
def test_the_control_socket_does_nothing_else(instance, request_):
    assert control(instance, request_) != "ok"
    assert instance.flux("kvs", "put", "still=1") == ""


def test_the_control_socket_drops_garbage_and_goes_on(instance):
    for garbage in (b"a" * 5000, b"\0"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(30)
            s.connect(f"{instance.rundir}/control")
            s.send(garbage)
            assert s.recv(4096) in (b"", b"unknown request")
    clients = []
    for _ in range(100):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(f"{instance.rundir}/control")
        clients.append(s)
    for s in clients:
        s.close()
    wait_until("it serves again", lambda: control(instance, b"status flux-module@x") == "flux-module@x is not loaded")
