# SPDX-License-Identifier: LGPL-3.0-or-later
"""What a user who is not the instance owner may do from any node to any node: ask, register services of his own, meet
himself in barriers. What is the owner's, and what is another guest's, stays theirs. (Key-value store: test_kvs_guests.py.)"""
import os
import pathlib
import re
import subprocess

import pytest
from embedded import wait_until
from rawclient import ANY, EVENT, PRIVATE, REQUEST, RESPONSE, STREAMING, Client
from test_hostile import GUEST, as_user, build, needs_root  # noqa: F401  (a fixture)
from test_tree import Tree

pytestmark = needs_root
TOP = pathlib.Path(__file__).resolve().parent.parent
SIZE = 3
EPERM, ENOENT, ENOSYS = 1, 2, 38


@pytest.fixture(scope="module")
def tree(build, tmp_path_factory):  # noqa: F811
    conf = tmp_path_factory.mktemp("conf")
    (conf / "access.toml").write_text("[access]\nallow-guest-user = true\n")
    with Tree(build, tmp_path_factory.mktemp("tree"), size=SIZE, args=["-c", conf]) as t:
        top = t.node(0)
        while top not in ("/tmp", "/"):  # so that a guest reaches the sockets
            os.chmod(top, os.stat(top).st_mode | 0o011)
            top = os.path.dirname(top)
        for r in range(SIZE):
            os.chmod(t.node(r), 0o711)
        yield t


def guest_at(tree, rank, uid=GUEST):
    with as_user(uid):
        return Client(f"{tree.node(rank)}/local")


@pytest.fixture(params=[0, 2], ids=["rank0", "follower"])
def guest(tree, request):
    c = guest_at(tree, request.param)
    yield c
    c.close()


@pytest.fixture(scope="module")
def job(tree):
    """Of the owner, with a shell on each node, which waits for input."""
    id = tree.say(0, "submit", f"-N{SIZE}", "sh", "-c", "echo $FLUX_TASK_RANK; cat")
    tree.say(0, "job", "wait-event", "-p", "guest.exec.eventlog", id, "shell.start")
    yield int(tree.say(0, "job", "id", "--to=dec", id))
    tree.say(0, "cancel", id)
    tree.say(0, "job", "wait-event", id, "clean")


def run_as_guest(tree, rank, *args):
    env = {**tree.env, "FLUX_URI": f"local://{tree.node(rank)}/local"}
    return subprocess.run([tree.fluxctl, *args], env=env, text=True, capture_output=True, timeout=60, user=GUEST, group=GUEST, extra_groups=[])


def methods_of_the_owner():
    names = set()
    for f in (TOP / "services").glob("*/*.c"):
        names |= set(re.findall(r'\.topic = "([^"]+)",\s*\.roles = ROLE_OWNER', f.read_text()))
    services = sorted({n.split(".")[0] for n in names})
    return sorted(names | {f"{s}.{m}" for s in services for m in ("shutdown", "stats-clear", "debug")})


def test_every_method_of_the_owner_is_refused_on_every_rank(guest, tree):
    names = methods_of_the_owner()
    assert len(names) > 80 and {"rexec.exec", "state-machine.shutdown", "resource.drain", "content.store", "kvs.shutdown"} <= set(names)
    for name in names:
        answers = {r: guest.rpc(name, aux1=r, userid=0, rolemask=1) for r in (ANY, *range(SIZE))}
        assert {m.errnum for m in answers.values()} <= {EPERM, ENOSYS}, (name, {r: m.text for r, m in answers.items()})
        assert EPERM in {m.errnum for m in answers.values()}, name
    assert tree.say(0, "overlay", "status", "-s") == "full"


def test_a_job_of_another_is_neither_read_nor_signalled_nor_written_to(guest, job, tree):
    shell = f"0-shell-{job}"
    asked = [
        (f"{shell}.stdin", {"stream": "stdin", "rank": "all", "data": "x\n"}), (f"{shell}.kill", {"signum": 9}),
        ("job-manager.kill", {"id": job, "signum": 9}), ("job-manager.raise", {"id": job, "severity": 0, "type": "cancel"}),
        ("job-manager.killall", {"userid": 0, "signum": 9}), ("job-manager.raiseall", {"userid": 0, "type": "cancel", "severity": 0}),
        ("job-manager.urgency", {"id": job, "urgency": 0}), ("job-manager.memo", {"id": job, "memo": {"a": 1}}),
        ("job-info.lookup", {"id": job, "keys": ["jobspec"], "flags": 0}), ("job-info.lookup", {"id": job, "keys": ["J"], "flags": 0}),
        ("kvs.lookup", {"key": "stdin", "flags": 0, "namespace": f"job-{job}"}),
    ]
    for topic, payload in asked:
        answers = {r: guest.rpc(topic, payload, aux1=r, userid=0, rolemask=1) for r in (ANY, 0, 1)}
        assert EPERM in {m.errnum for m in answers.values()} <= {EPERM, ENOSYS}, (topic, {r: m.text for r, m in answers.items()})
    for path in ("eventlog", "guest.output", "guest.input"):
        assert guest.rpc("job-info.eventlog-watch", {"id": job, "path": path, "flags": 0}, flags=STREAMING).errnum == EPERM
    assert tree.say(0, "jobs", "-no", "{status_abbrev}") == "R"


@pytest.mark.parametrize("rank", [0, 2])
def test_commands_tell_a_guest_why_they_refuse(tree, job, rank):
    for args, why in [
            (["run", "true"], "this instance runs jobs of its owner only"), (["batch", "-n1", "--wrap", "true"], "this instance runs jobs of its owner only"),
            (["cancel", "--user=root"], "the jobs of other users are for the instance owner"), (["job", "attach", str(job)], "the job is another user's"),
            (["exec", "-r1", "true"], f"rexec.exec is for the owner of this instance, not for user {GUEST}"),
            (["startlog"], "cannot read the list of runs: ")]:
        done = run_as_guest(tree, rank, *args)
        assert done.returncode == 1 and why in done.stderr, (args, done)
    done = run_as_guest(tree, rank, "jobs", "-A", "-no", "{username} {ntasks}")
    assert (done.returncode, done.stdout) == (0, f"root {SIZE}\n"), done.stderr


def test_a_service_of_a_guest_is_called_from_other_nodes_and_told_who_calls(tree):
    server, caller = guest_at(tree, 2), guest_at(tree, 1, GUEST + 1)
    assert server.rpc("service.add", {"service": f"{GUEST}-echo"}).errnum == 0
    assert server.rpc("service.add", {"service": f"{GUEST + 1}-echo"}).errnum == EPERM
    caller.send(topic=f"{GUEST}-echo.hello", payload=b"{}\0", aux1=2, aux2=9, userid=0, rolemask=1)
    m = server.recv()
    assert (m.type, m.userid, m.rolemask & 1) == (REQUEST, GUEST + 1, 0)
    server.send(type=RESPONSE, topic=m.topic, payload=b"{\"a\":1}\0", routes=m.routes, aux2=m.matchtag)
    assert caller.recv().json == {"a": 1}
    server.close()
    wait_until("the name to be gone", lambda: caller.rpc(f"{GUEST}-echo.hello", aux1=2).errnum == ENOSYS)
    caller.close()


def test_private_events_reach_their_user_and_the_owner_on_all_nodes_and_nobody_else(tree):
    owner = Client(f"{tree.node(1)}/local")
    his, others, sender = guest_at(tree, 2), guest_at(tree, 2, GUEST + 1), guest_at(tree, 0)
    for c in (owner, his, others):
        assert c.rpc("event.subscribe", {"topic": "t."}).errnum == 0
    assert Client(f"{tree.node(1)}/local").rpc("event.publish", {"topic": "t.owners", "flags": PRIVATE}).errnum == 0
    sender.send(type=EVENT, topic="t.his", payload=None, flags=PRIVATE, aux2=0)
    assert sender.rpc("event.publish", {"topic": "t.all", "flags": 0}).errnum == 0
    seen = {}
    for name, c in (("owner", owner), ("his", his), ("others", others)):
        seen[name] = set()
        while "t.all" not in seen[name]:
            seen[name].add(c.recv().topic)
        c.close()
    assert seen == {"owner": {"t.owners", "t.his", "t.all"}, "his": {"t.his", "t.all"}, "others": {"t.all"}}


def test_a_barrier_of_a_guest_is_his_own_on_all_nodes(tree):
    a, b, other = guest_at(tree, 0), guest_at(tree, 2), guest_at(tree, 1, GUEST + 1)
    other.send(topic="barrier.enter", payload=b'{"name":"b","nprocs":2}\0', aux2=1)
    a.send(topic="barrier.enter", payload=b'{"name":"b","nprocs":2}\0', aux2=1)
    assert b.rpc("barrier.enter", {"name": "b", "nprocs": 2}).errnum == 0
    assert a.recv().errnum == 0
    assert guest_at(tree, 0, GUEST + 1).rpc("barrier.enter", {"name": "b", "nprocs": 2}).errnum == 0
    assert other.recv().errnum == 0


def test_a_guest_who_floods_from_a_follower_does_not_stop_the_owner_there(tree):
    server, owner = Client(f"{tree.node(0)}/local"), Client(f"{tree.node(2)}/local")
    assert server.rpc("service.add", {"service": "mute"}).errnum == 0
    c = guest_at(tree, 2)
    for i in range(1, 8192 + 2):
        c.send(topic="mute.x", payload=None, aux2=i)
    m = c.recv()
    assert m.errnum == 11 and f"user {GUEST}" in m.text
    assert owner.rpc("kvs.getroot", {"namespace": "primary", "flags": 0}, aux1=0).errnum == 0
    assert guest_at(tree, 1).rpc("broker.ping", aux1=0).errnum == 0
    c.close()
    server.close()


def test_a_guest_who_asks_for_jobs_that_do_not_exist_keeps_nobody_else_waiting_in_vain(tree):
    flood, owner = guest_at(tree, 0), Client(f"{tree.node(0)}/local")
    for i in range(1, 1100):  # each waits a while: it might be a job that is not known yet
        flood.send(topic="job-list.list-id", payload=b'{"id":%d}\0' % i, aux2=i)
    flood.send(topic="job-list.ping", payload=b"{}\0", aux2=5000)
    while flood.recv().matchtag != 5000:
        pass
    m = owner.rpc("job-list.list-id", {"id": 12345})
    assert m.errnum == ENOENT, m.text
    flood.close()
    owner.close()
