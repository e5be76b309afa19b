# SPDX-License-Identifier: LGPL-3.0-or-later
"""The system instance on four booted nodes, joined by TCP with one certificate, as the administrator's guide sets it up."""
import concurrent.futures
import contextlib
import re
import subprocess
import time

import pytest
from embedded import wait_until
from systemd_node import Network, Node, stage, unusable

SIZE = 4
pytestmark = pytest.mark.skipif(unusable() is not None, reason=str(unusable()))

BOOTSTRAP = """[bootstrap]
curve_cert = "/etc/flux/system/curve.cert"
default_port = 8050
default_bind = "tcp://*:%p"
default_connect = "tcp://%h:%p"
hosts = [{ host = "node[0-3]" }]

[tbon]
fanout = 2

[exec]
node-timeout = "5s"
reconcile-delay = "2s"
"""


@contextlib.contextmanager
def booted(build, staged, size):
    stage(build, staged)
    etc = staged / "etc" / "flux" / "system"
    (etc / "conf.d").mkdir(parents=True, exist_ok=True)
    (etc / "conf.d" / "bootstrap.toml").write_text(BOOTSTRAP.replace("0-3", f"0-{size - 1}"))
    subprocess.run([build / "fluxctl" / "fluxctl", "keygen", etc / "curve.cert"], check=True)
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(Network())
        nodes = []
        for i in range(size):
            node = Node(staged, f"node{i}")
            node.network, node.index = net, i
            nodes.append(stack.enter_context(node))
            hosts = "\\n".join(f"{net.address(k)} node{k}" for k in range(size))
            node.sh(f"printf '{hosts}\\n' >> /etc/hosts; systemd-sysusers; systemd-tmpfiles --create; "
                    "chown flux /etc/flux/system/curve.cert; systemctl daemon-reload")
        for node in nodes:
            node.run("systemctl", "start", "flux.target")
        wait_until("all nodes to join", lambda: summary(nodes[0]) == "full", timeout=60)
        yield nodes


@pytest.fixture(scope="module")
def cluster(build, tmp_path_factory):
    with booted(build, tmp_path_factory.mktemp("staged"), SIZE) as nodes:
        yield nodes


@pytest.fixture(autouse=True)
def no_jobs_are_left(cluster):
    yield
    flux(cluster[0], "job", "cancelall", "-f", "-q", check=False)
    flux(cluster[0], "queue", "idle", check=False, timeout=60)


def flux(node, *args, user="flux", **kw):
    return node.run("fluxctl", *args, user=user, **kw)


def summary(node):
    return flux(node, "overlay", "status", "-s", check=False).stdout.strip()


def test_the_logs_of_all_nodes_are_shown_as_one_in_order_of_time(cluster):
    for i in (2, 0, 3):
        flux(cluster[i], "logger", f"merged from {i}")
        wait_until("it to be written", lambda: cluster[i].run("journalctl", "--sync") and
                   f"merged from {i}" in flux(cluster[i], "dmesg").stdout)
    lines = [l for l in flux(cluster[1], "dmesg", "--all", "-s", "logger").stdout.splitlines() if "merged from" in l]
    assert [l.split(" ", 1)[1] for l in lines] == [f"node{i} logger.info[{i}]: merged from {i}" for i in (2, 0, 3)]
    assert lines == sorted(lines)
    one = flux(cluster[1], "dmesg", "-r", "node3", "-s", "logger", "--json").stdout.splitlines()[-1]
    assert '"_HOSTNAME":"node3"' in one and "merged from 3" in one


def test_four_nodes_form_one_instance(cluster):
    lines = flux(cluster[0], "overlay", "status", "--no-pretty").stdout.splitlines()
    assert [line.split(":")[0].strip() for line in lines] == ["0 node0", "1 node1", "3 node3", "2 node2"]
    for i, node in enumerate(cluster):
        assert flux(node, "getattr", "rank").stdout == f"{i}\n"
        assert node.active("flux-broker.service") == "active"
    assert "node[0-3]" in flux(cluster[2], "resource", "list").stdout
    wait_until("the status text", lambda: cluster[3].run("systemctl", "show", "-P", "StatusText", "flux-broker").stdout ==
               "Routing messages as rank 3 of 4\n")


def test_a_job_runs_on_all_of_them_from_any_of_them(cluster):
    assert sorted(flux(cluster[0], "run", "-N4", "-l", "hostname").stdout.splitlines()) == [f"{i}: node{i}" for i in range(SIZE)]
    assert sorted(flux(cluster[3], "run", "-N4", "hostname").stdout.split()) == [f"node{i}" for i in range(SIZE)]
    assert flux(cluster[1], "run", "-N4", "sh", "-c", "exit $FLUX_TASK_RANK", check=False).returncode == 3


def test_commands_run_on_all_nodes_outside_of_jobs(cluster):
    assert sorted(flux(cluster[2], "exec", "-l", "hostname").stdout.splitlines()) == [f"{i}: node{i}" for i in range(SIZE)]


def test_what_one_node_stores_the_others_read(cluster):
    flux(cluster[3], "kvs", "put", "from=node3")
    for node in cluster:
        wait_until("the value", lambda: flux(node, "kvs", "get", "from", check=False).stdout == "node3\n")


def test_restarting_a_node_disturbs_nobody_else(cluster):
    job = flux(cluster[0], "submit", "-N1", "sleep", "1000").stdout.strip()
    flux(cluster[0], "job", "wait-event", "-t60", job, "start")
    cluster[3].run("systemctl", "restart", "flux.target")
    wait_until("node3 to join again", lambda: summary(cluster[0]) == "full" and
               flux(cluster[3], "ping", "-c1", "-r0", "broker", check=False).returncode == 0)
    assert flux(cluster[0], "jobs", "-no", "{id.f58} {status_abbrev}").stdout.split()[1] == "R"
    assert flux(cluster[0], "exec", "-r3", "true").returncode == 0
    assert "cut off" not in cluster[3].run("journalctl", "-u", "flux-exec", "--no-pager", "-o", "cat").stdout  # by jobs that have ended
    flux(cluster[0], "cancel", job)
    flux(cluster[0], "job", "wait-event", "-t60", job, "clean")


def test_a_restart_of_routers_is_noticed_by_nobody_on_any_node_and_a_stop_at_once(cluster):
    wait_until("the tree", lambda: summary(cluster[0]) == "full", timeout=60)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pings = [pool.submit(flux, cluster[a], "ping", "-c100", "-i0.01", f"-r{b}", "kvs", check=False) for a, b in ((3, 2), (0, 3), (2, 1))]
        for rank in (1, 0, 3):  # node3 is below node1
            pid = cluster[rank].main_pid("flux-broker")
            cluster[rank].run("systemctl", "restart", "flux-broker")
            assert cluster[rank].main_pid("flux-broker") not in (0, pid)
        for p in pings:
            assert (p.result().returncode, p.result().stderr) == (0, "")
    assert "lost" not in flux(cluster[0], "overlay", "status").stdout
    cluster[3].run("systemctl", "stop", "flux.target")
    # At once, and not when its silence is noticed: then it would be lost.
    status = wait_until("it to be seen", lambda: (s := flux(cluster[0], "overlay", "status", "--no-pretty").stdout) and
                        re.search("3 node3: (offline|lost).*", s))
    assert status[0] == "3 node3: offline (it was stopped)"
    cluster[3].run("systemctl", "start", "flux.target")
    wait_until("node3 to join again", lambda: summary(cluster[0]) == "full")


def test_rank_0_may_restart_while_a_job_runs_on_the_others(cluster):
    job = flux(cluster[0], "submit", "-N4", "sleep", "1000").stdout.strip()
    flux(cluster[0], "job", "wait-event", "-t60", job, "start")
    cluster[0].run("kill", "-9", cluster[0].main_pid("flux-broker"))
    wait_until("the tree", lambda: summary(cluster[0]) == "full", timeout=60)
    wait_until("the job to be seen to run", lambda: flux(cluster[0], "jobs", "-no", "{status_abbrev}", check=False).stdout == "R\n",
               timeout=60)
    assert all("sleep" in node.sh("ps -eo args", check=False).stdout for node in cluster)
    flux(cluster[0], "cancel", job)
    flux(cluster[0], "job", "wait-event", "-t60", job, "clean", timeout=90)
    for node in cluster:
        wait_until("the task to be gone", lambda: "sleep 1000" not in node.sh("ps -eo args").stdout)


def test_a_pulled_cable_is_seen_within_twenty_seconds_and_healed_within_five(cluster):
    job = flux(cluster[0], "submit", "-N4", "sleep", "1000").stdout.strip()
    flux(cluster[0], "job", "wait-event", "-t60", "-p", "guest.exec.eventlog", job, "shell.start")
    cluster[3].run("pkill", "-STOP", "flux-shell")  # it hangs: when the node is back somebody else must end it
    began = time.monotonic()
    cluster[3].link("down")
    wait_until("node3 to be lost", lambda: "3 node3: lost" in flux(cluster[0], "overlay", "status", check=False).stdout)
    lost = time.monotonic() - began
    done = flux(cluster[0], "ping", "-c1", "-r3", "broker", check=False)
    assert done.returncode != 0 and "was lost" in done.stderr
    wait_until("node3 to be down", lambda: "node3" in flux(cluster[0], "resource", "list", "-sdown", check=False).stdout)
    assert sorted(flux(cluster[0], "run", "-N3", "hostname").stdout.split()) == ["node0", "node1", "node2"]
    flux(cluster[0], "job", "wait-event", "-t60", job, "clean", timeout=90)
    failures = [line for line in flux(cluster[0], "job", "eventlog", job).stdout.splitlines() if "exception" in line]
    assert len(failures) == 1 and "node-failure" in failures[0] and "node3 (rank 3) is lost" in failures[0]
    assert "sleep 1000" in cluster[3].sh("ps -eo args").stdout  # nobody could tell it
    cluster[3].link("up")
    began = time.monotonic()
    wait_until("node3 to be back", lambda: summary(cluster[0]) == "full")
    healed = time.monotonic() - began
    assert "3!broker.ping" in flux(cluster[0], "ping", "-c1", "-r3", "broker").stdout
    wait_until("nothing of the job to be left on node3", lambda: "sleep 1000" not in cluster[3].sh("ps -eo args").stdout and
               cluster[3].sh("ls -I 'free-*' /run/flux/jobs").stdout == "")
    print(f"lost after {lost:.1f} s, healed after {healed:.1f} s")
    assert lost < 25


def test_all_nodes_may_be_stopped_and_started_while_a_job_runs(cluster):
    job = flux(cluster[0], "submit", "-N4", "sleep", "1000").stdout.strip()
    flux(cluster[0], "job", "wait-event", "-t60", job, "start")
    for node in cluster:
        node.run("systemctl", "stop", "flux.target")
    assert all("sleep 1000" in node.sh("ps -eo args").stdout for node in cluster)
    for node in reversed(cluster):
        node.run("systemctl", "start", "flux.target")
    wait_until("the tree", lambda: summary(cluster[0]) == "full", timeout=60)
    assert "crashed" not in flux(cluster[0], "startlog").stdout
    wait_until("the job to be seen to run", lambda: flux(cluster[0], "jobs", "-no", "{status_abbrev}", check=False).stdout == "R\n", timeout=60)
    flux(cluster[0], "cancel", job)
    flux(cluster[0], "job", "wait-event", "-t60", job, "clean", timeout=90)
    assert "node-failure" not in flux(cluster[0], "job", "eventlog", job).stdout
    for node in cluster:
        wait_until("the task to be gone", lambda: "sleep 1000" not in node.sh("ps -eo args").stdout)


def test_flux_shutdown_stops_rank_0_for_good_and_the_others_wait_for_it(cluster):
    job = flux(cluster[0], "submit", "-N4", "sleep", "1000").stdout.strip()
    flux(cluster[0], "job", "wait-event", "-t60", job, "start")
    done = flux(cluster[2], "shutdown", "--background")
    assert done.returncode == 0
    wait_until("rank 0 to be stopped", lambda: cluster[0].active("flux.target") == "inactive" and
               cluster[0].active("flux-broker.service") == "inactive", timeout=60)
    for node in cluster[1:]:
        wait_until("it to wait", lambda: " join " in flux(node, "uptime").stdout)
        assert node.active("flux-broker.service") == "active"
        assert "sleep 1000" not in node.sh("ps -eo args").stdout
    cluster[0].run("systemctl", "start", "flux.target")
    wait_until("the tree", lambda: summary(cluster[0]) == "full", timeout=60)
    wait_until("run", lambda: " run " in flux(cluster[3], "uptime").stdout)
    log = flux(cluster[0], "startlog").stdout.splitlines()
    assert len(log) >= 2 and log[-1].split(" - ")[1].startswith("running") and "crashed" not in "".join(log)
    assert "severity=0" in flux(cluster[0], "job", "eventlog", job).stdout
    assert flux(cluster[1], "run", "-N4", "true").returncode == 0  # no safe mode after an end in good order


def test_jobs_that_are_instances_span_nodes_down_to_the_third_level_and_leave_nothing(cluster):
    out = flux(cluster[1], "alloc", "-N4", "--cwd=/tmp", "sh", "-c", "flux run -N4 hostname; flux overlay status -s; flux alloc -N3 "
               "flux alloc -N2 sh -c 'flux getattr instance-level; flux getattr size; flux run -N2 hostname; flux resource list -no {nodelist} -sfree'").stdout
    lines = out.splitlines()
    assert sorted(lines[:4]) == [f"node{i}" for i in range(SIZE)] and lines[4:7] == ["full", "3", "2"]
    assert len(set(lines[7:9])) == 2 and lines[9] == "node[0-1]"
    assert flux(cluster[3], "run", "-N2", "-o", "pty.interactive", "sh", "-c", "[ $FLUX_TASK_RANK = 1 ] || tty").stdout.startswith("/dev/pts/")
    job = flux(cluster[2], "batch", "-N4", "--cwd=/tmp", "--output=none", "--wrap", "flux submit -N4 sleep 1000; sleep 1000").stdout.strip()
    for node in cluster:
        wait_until("its tasks to run", lambda: "sleep 1000" in node.sh("ps -eo args").stdout)
    assert "sleep" in flux(cluster[0], "jobs", "-R", "-no", "{name}").stdout.split()
    flux(cluster[0], "cancel", job)
    flux(cluster[0], "job", "wait-event", "-t60", job, "clean")
    for node in cluster:
        wait_until("processes to be gone", lambda: "FLUX_ENCLOSING_ID" not in node.sh("cat /proc/[0-9]*/environ | tr '\\0' '\\n'", check=False).stdout)
        assert node.sh("ls -d /tmp/flux-?????? /tmp/jobtmp-* /run/flux/jobtmp-*", check=False).stdout == ""


def test_garbage_at_the_port_disturbs_nobody(cluster):
    script = """
import os, socket
for i in range(1000):
    s = socket.socket(); s.settimeout(60); s.connect(("node0", 8050))
    s.sendall([b"", b"\\xff", os.urandom(100), b"\\xff" + b"\\0" * 8 + b"\\x7f\\x03\\x01CURVE"][i % 4]); s.close()
"""
    before = cluster[0].main_pid("flux-broker")
    cluster[2].run("python3", "-c", script)
    assert summary(cluster[0]) == "full"
    assert flux(cluster[1], "run", "-N4", "true").returncode == 0
    assert cluster[0].main_pid("flux-broker") == before


def test_a_node_with_another_certificate_stays_outside_and_both_sides_say_why(cluster, build):
    node = cluster[3]
    node.sh("cp /etc/flux/system/curve.cert /root/good; rm -f /etc/flux/system/curve.cert; "
            "fluxctl keygen /etc/flux/system/curve.cert; chown flux /etc/flux/system/curve.cert; systemctl restart flux-broker")
    wait_until("the refused side to say so", lambda: "does not accept our key" in
               node.run("journalctl", "-u", "flux-broker", "--no-pager", "-o", "cat").stdout)
    wait_until("the other side to say so", lambda: "has another key" in
               cluster[1].run("journalctl", "-u", "flux-broker", "--no-pager", "-o", "cat").stdout)
    wait_until("its session to be given up", lambda: summary(cluster[0]) != "full")
    node.sh("cat /root/good > /root/x; rm -f /etc/flux/system/curve.cert; install -m 400 -o flux /root/good /etc/flux/system/curve.cert; "
            "systemctl restart flux-broker")
    wait_until("node3 to join", lambda: summary(cluster[0]) == "full")
