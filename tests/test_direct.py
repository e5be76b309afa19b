# SPDX-License-Identifier: LGPL-3.0-or-later
"""The instance owner's requests go to the services' own sockets: they do not pass the router, a service that is killed
or removed is answered for as the router would, and one bad client does not hurt the others."""
import contextlib
import json
import os
import pathlib
import signal

import pytest
from embedded import wait_until
from rawclient import Client

ENOSYS = 38


def service_list(i):
    return {s["name"]: s for s in json.loads(i.flux("module", "list", "--json"))}


def stats(i, service):
    return json.loads(i.flux("module", "stats", service))


def test_the_list_names_each_socket_once_per_service_and_is_the_owners(instance):
    path = pathlib.Path(instance.rundir, "direct")
    rank, *lines = path.read_text().splitlines()
    assert rank == "rank 0" and path.stat().st_mode & 0o777 == 0o600
    services = dict(line.split() for line in lines)
    assert services["kvs"] == services["kvs-watch"] == "node/kvs"
    assert services["job-info"] == services["job-list"] == "leader/job-list"
    assert "broker" not in services and "local" not in services
    for socket in services.values():
        assert pathlib.Path(instance.rundir, socket).is_socket()


def test_requests_do_not_pass_the_router_unless_that_is_asked_for(instance):
    instance.settle()
    instance.flux("kvs", "put", "direct.a=1")

    def forwarded():
        return service_list(instance)["kvs"]["messages"]

    before = forwarded()
    assert instance.flux("kvs", "get", "direct.a") == "1"
    assert forwarded() == before
    assert instance.flux("kvs", "get", "direct.a", env={"FLUX_HANDLE_ROUTED": "1"}) == "1"
    assert forwarded() > before


def test_the_services_that_run_are_listed_with_their_processes(fresh_instance):
    i = fresh_instance
    daemons = {"kvs": "kvs", "kvs-watch": "kvs", "content": "content", "rexec": "exec", "sched": "sched"}
    i.flux("kvs", "put", "a=1")
    wait_until("they have started", lambda: all("pid" in service_list(i)[name] for name in daemons))
    pids = i.all_pids()
    services = service_list(i)
    for name, daemon in daemons.items():
        assert (services[name]["state"], services[name]["pid"]) == ("running", pids[daemon]), name
        assert services[name]["uid"] == os.getuid()
    assert services["job-list"]["state"] == "idle" and "pid" not in services["job-list"]
    old = i.kill_daemon("kvs")
    wait_until("the next one", lambda: service_list(i)["kvs"].get("pid") not in (None, old))
    assert service_list(i)["kvs"]["pid"] == i.daemon_pids("kvs")[0]


def test_the_broker_remembers_the_daemons_over_its_own_restart(fresh_instance):
    i = fresh_instance
    i.flux("kvs", "put", "a=1")
    pids = i.all_pids()
    os.kill(pids["broker"], signal.SIGTERM)
    wait_until("the next broker", lambda: i.daemon_pids("broker") not in ([], [pids["broker"]]))
    services = service_list(i)
    now = i.all_pids()
    assert {s: services[s]["pid"] for s in ("kvs", "content")} == {s: now[s] for s in ("kvs", "content")}


@contextlib.contextmanager
def waiting_client(i):
    """A client with a request in flight that will not be answered. It is counted as a watch: nobody else has one,
    while other daemons' requests come and go."""
    i.flux("kvs", "eventlog", "append", "log", "start")
    assert stats(i, "kvs")["watches"] == 0
    p = i.popen("kvs", "eventlog", "wait-event", "log", "never")
    wait_until("the request is there", lambda: stats(i, "kvs")["watches"] == 1)
    yield p
    p.kill()
    p.wait()


def test_a_killed_service_fails_what_is_in_flight_and_answers_the_next_call(fresh_instance):
    i = fresh_instance
    i.flux("kvs", "put", "a=1")
    with waiting_client(i) as p:
        i.kill_daemon("kvs")
        _, err = p.communicate(timeout=30)
        assert p.returncode == 1 and "flux-kvs went away" in err
    assert i.flux("kvs", "get", "a") == "1"


def test_a_client_that_leaves_takes_its_requests_along(fresh_instance):
    i = fresh_instance
    i.flux("kvs", "put", "a=1")
    with waiting_client(i) as p:
        p.kill()
        wait_until("nothing is asked but this", lambda: (s := stats(i, "kvs"))["watches"] == 0 and s["inflight"] == 1)


def test_a_removed_service_is_missed_by_the_router(fresh_instance):
    i = fresh_instance
    path = pathlib.Path(i.rundir, "leader", "job-list")
    path.rename(path.with_name("elsewhere"))
    r = i.run("jobs", check=False)
    assert r.returncode == 1 and "no service" in r.stderr
    path.with_name("elsewhere").rename(path)
    assert i.run("jobs").returncode == 0


def test_many_clients_at_one_service_and_none_left_behind(instance):
    path = f"{instance.rundir}/node/kvs"
    instance.settle()
    before = stats(instance, "kvs")["connections"]
    clients = [Client(path) for _ in range(300)]
    for n, c in enumerate(clients):
        c.send(topic="kvs.ping", payload=b'{"n":%d}\0' % n, aux2=7)
    for n, c in enumerate(clients):
        m = c.recv()
        assert (m.topic, m.errnum, m.matchtag, m.json["n"]) == ("kvs.ping", 0, 7, n)
    for c in clients:
        c.close()
    wait_until("they are gone", lambda: stats(instance, "kvs")["connections"] <= before + 1)


def test_a_client_that_does_not_read_is_dropped_and_the_others_are_served(fresh_instance):
    i = fresh_instance
    path = f"{i.rundir}/node/kvs"
    bad = [Client(path) for _ in range(3)]
    good = Client(path)
    payload = b'{"x":"' + b"x" * 60000 + b'"}\0'
    for c in bad:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while True:
                c.send(topic="kvs.ping", payload=payload)
    assert good.rpc("kvs.ping").errnum == 0
    assert stats(i, "kvs")["bad_peers"] == len(bad)
    assert i.flux("kvs", "put", "a=1") == ""


def test_a_client_with_too_many_requests_in_flight_is_told(fresh_instance):
    i = fresh_instance
    i.flux("kvs", "put", "a=1")
    c, other = Client(f"{i.rundir}/node/kvs"), Client(f"{i.rundir}/node/kvs")
    wait = b'{"namespace":"primary","rootseq":1000000}\0'
    for tag in range(65537):
        c.send(topic="kvs.wait-version", payload=wait, aux2=tag + 1)
    m = c.recv()
    assert m.errnum == 11 and "wait for answers" in m.text and m.matchtag == 65537
    assert other.rpc("kvs.ping").errnum == 0
    c.close()
    wait_until("they are gone", lambda: stats(i, "kvs")["inflight"] < 10)
