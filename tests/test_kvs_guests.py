# SPDX-License-Identifier: LGPL-3.0-or-later
"""What a user who is not the instance owner may do with the key-value and content stores: everything in a namespace of his
own, nothing elsewhere. Asked as another uid, on rank 0 and on a follower, over sockets that know nothing of the library."""
import contextlib
import errno
import os
import pathlib
import re
import subprocess

import pytest
from embedded import wait_until
from rawclient import NORESPONSE, STREAMING, Client
from test_hostile import GUEST, as_user, build, needs_root  # noqa: F401  (a fixture)
from test_tree import Tree

pytestmark = needs_root
VAL = {"ver": 1, "type": "val", "data": "MQ=="}
BLOB = "blake2b-" + "0" * 64
WATCH, READDIR, TREEOBJ, APPEND, WAITCREATE = 4, 1, 16, 32, 8


@pytest.fixture(scope="module")
def tree(build, tmp_path_factory):  # noqa: F811
    conf = tmp_path_factory.mktemp("conf")
    (conf / "access.toml").write_text("[access]\nallow-guest-user = true\n")
    with Tree(build, tmp_path_factory.mktemp("tree"), size=3, args=["-c", conf]) as t:
        top = t.node(0)
        while top != "/tmp" and top != "/":  # so that a guest reaches the sockets
            os.chmod(top, os.stat(top).st_mode | 0o011)
            top = os.path.dirname(top)
        for r in range(3):
            os.chmod(t.node(r), 0o711)
        t.say(0, "kvs", "namespace", "create", f"--owner={GUEST}", "his")
        t.say(0, "kvs", "namespace", "create", "owners")
        t.say(0, "kvs", "put", "secret=1", "d.k=2")
        t.say(0, "kvs", "put", "-N", "owners", "secret=1")
        t.say(0, "kvs", "link", "-T", "his", "k", "tohis")
        for r in (1, 2):
            t.say(r, "kvs", "wait", t.say(0, "kvs", "version"))
        yield t


@pytest.fixture(params=[0, 2], ids=["rank0", "follower"])
def guest(tree, request):
    with as_user(GUEST):
        c = Client(f"{tree.node(request.param)}/local")
    yield c
    c.close()


def op(key, dirent=VAL, flags=0, **kw):
    return {"key": key, "flags": flags, "dirent": dirent, **kw}


def lookup(key, ns, flags=0, **kw):
    return {"key": key, "flags": flags, "namespace": ns, **kw}


def commit(ns, *ops):
    return {"namespace": ns, "flags": 0, "ops": list(ops)}


ANOTHERS = [
    ("kvs.lookup", lookup("secret", "{ns}")),
    ("kvs.lookup", lookup(".", "{ns}", TREEOBJ)),
    ("kvs.lookup", lookup(".", "{ns}", READDIR)),
    ("kvs.commit", commit("{ns}", op("x"))),
    ("kvs.commit", commit("{ns}", op("secret", None))),
    ("kvs.commit", commit("{ns}")),
    ("kvs.fence", {**commit("{ns}", op("x")), "name": "f", "nprocs": 1}),
    ("kvs.getroot", {"namespace": "{ns}", "flags": 0}),
    ("kvs.wait-version", {"namespace": "{ns}", "rootseq": 0}),
    ("kvs.wait-version", {"namespace": "{ns}", "rootseq": 1000000}),
    ("kvs.namespace-remove", {"namespace": "{ns}"}),
]


@pytest.mark.parametrize("ns", ["primary", "owners"])
@pytest.mark.parametrize("topic,payload", ANOTHERS, ids=lambda p: p if isinstance(p, str) else "")
def test_a_namespace_of_somebody_else_is_closed(guest, topic, payload, ns):
    payload = {k: v.replace("{ns}", ns) if isinstance(v, str) else v for k, v in payload.items()}
    m = guest.rpc(topic, payload)
    assert m.errnum == errno.EPERM and m.text, (m.errnum, m.text)


@pytest.mark.parametrize("ns", ["primary", "owners"])
def test_a_namespace_of_somebody_else_cannot_be_watched(guest, ns):
    for flags in (WATCH, WATCH | WAITCREATE, WAITCREATE):
        m = guest.rpc("kvs-watch.lookup", lookup("secret", ns, flags), flags=STREAMING)
        assert m.errnum == errno.EPERM, m.text


OWNERS = [
    ("kvs.namespace-create", {"namespace": "new", "owner": GUEST, "flags": 0}),
    ("kvs.namespace-create", {"namespace": "new", "owner": GUEST, "flags": 0, "rootref": BLOB}),
    ("kvs.namespace-remove", {"namespace": "his"}),
    ("kvs.dropcache", {}),
    ("kvs.gc", {}),
    ("kvs.hold", {"rootref": BLOB}),
    ("kvs.follow", {}),
    ("kvs.commit", {**commit("his", op("x")), "flags": 1024}),
    ("kvs.fence", {**commit("his", op("x")), "flags": 1024, "name": "sync", "nprocs": 1}),
    ("kvs.lookup", lookup("k", "his", treeobj={"ver": 1, "type": "dirref", "data": [BLOB]})),
    ("kvs.lookup", lookup("k", "his", treeobj={"ver": 1, "type": "dir", "data": {"k": VAL}})),
    ("kvs.commit", commit("his", op("x", {"ver": 1, "type": "valref", "data": [BLOB]}))),
    ("kvs.commit", commit("his", op("x", {"ver": 1, "type": "dirref", "data": [BLOB]}))),
    ("kvs.commit", commit("his", op("x", {"ver": 1, "type": "dir", "data": {"y": {"ver": 1, "type": "valref", "data": [BLOB]}}}))),
    ("kvs.commit", commit("his", op("x", {"ver": 1, "type": "symlink", "data": {"target": "secret", "namespace": "primary"}}))),
    ("kvs.commit", commit("his", op(".", {"ver": 1, "type": "dir", "data": {}}))),
    ("kvs.commit", commit("his", {"key": "x", "flags": 0, "archive": "owners"})),
    ("kvs.commit", commit("his", {"key": "x", "flags": 0, "archive": "his"})),
    ("kvs.commit", commit("his", {"key": "x", "flags": 0, "create": "new", "owner": 0})),
    ("content.store", {}), ("content.load", {}), ("content.commit", {}), ("content.roots", {}), ("content.flush", {}), ("content.dropcache", {}),
    ("content.checkpoint-get", {"key": "kvs-gc"}), ("content.checkpoint-put", {"key": "kvs-gc", "value": {}}),
    ("content.sweep-begin", {}), ("content.mark", {}), ("content.sweep-step", {"generation": 1, "limit": 1}), ("content.sweep-end", {"generation": 1}),
    ("content.info", {}), ("content.validate", {}), ("content.backing-load", {}), ("content.backing-store", {}), ("content.check", {"limit": 1, "remove": True}),
    ("content.repair", {}), ("content.backup-begin", {}), ("content.backup-read", {"id": 1, "row": 0}), ("content.attr-get", {"name": "content.acct-size"}),
    ("content.attr-set", {"name": "content.purge-old-entry", "value": "1"}), ("content.attr-list", {}),
    *((f"{service}.{method}", payload) for service in ("kvs", "content") for method, payload in (
        ("stats-clear", {}), ("shutdown", {}), ("config-reload", {}), ("debug", {"op": "get"}))),
]
HIS = ["kvs.lookup", "kvs.commit", "kvs.fence", "kvs.getroot", "kvs.wait-version", "kvs.namespace-list", "kvs-watch.lookup", "kvs-watch.cancel"]


def test_each_method_of_the_two_services_is_asked_by_a_guest_here():
    """In the tests below and above: what the code knows, and no name that it does not."""
    top = pathlib.Path(__file__).resolve().parent.parent
    code = "".join((top / f"services/{d}/manager.c").read_text() for d in ("kvs", "content"))
    builtin = re.findall(r'\.topic = "([a-z-]+)",\s+\.roles = ROLE_OWNER', (top / "libflux/service/builtin.c").read_text())
    methods = set(re.findall(r'\.topic = "((?:kvs|kvs-watch|content)\.[a-z-]+)"', code)) | {f"{s}.{m}" for s in ("kvs", "content") for m in builtin}
    assert len(methods) > 40 and methods == {topic for topic, _ in ANOTHERS + OWNERS} | set(HIS)


@pytest.mark.parametrize("topic,payload", OWNERS, ids=lambda p: p if isinstance(p, str) else "")
def test_what_is_the_owners_alone_is_refused(guest, topic, payload):
    m = guest.rpc(topic, payload, flags=STREAMING if topic in ("kvs.hold", "kvs.follow") else 0)
    assert m.errnum == errno.EPERM and m.text, (m.errnum, m.text)


def test_a_namespace_of_his_own_is_read_written_watched_and_waited_for(guest, tree):
    key = f"k{id(guest)}"
    assert guest.rpc("kvs.commit", commit("his", op(f"{key}.a"))).errnum == 0
    assert guest.rpc("kvs.lookup", lookup(f"{key}.a", "his")).json["val"]["data"] == "MQ=="
    assert guest.rpc("kvs.commit", commit("his", op(f"{key}.log", flags=APPEND))).errnum == 0
    assert guest.rpc("kvs.fence", {**commit("his", op(f"{key}.b")), "name": key, "nprocs": 1}).errnum == 0
    root = guest.rpc("kvs.getroot", {"namespace": "his", "flags": 0}).json
    assert root["owner"] == GUEST
    assert guest.rpc("kvs.wait-version", {"namespace": "his", "rootseq": root["rootseq"]}).errnum == 0
    assert [n["namespace"] for n in guest.rpc("kvs.namespace-list").json["namespaces"]] == ["his"]
    first = guest.rpc("kvs-watch.lookup", lookup(f"{key}.a", "his", WATCH), flags=STREAMING)
    assert first.json["val"]["data"] == "MQ=="
    tree.say(0, "kvs", "put", "-N", "his", f"{key}.a=2")
    assert guest.recv().json["val"]["data"] == "Mg=="
    assert guest.rpc("kvs.commit", commit("his", {"key": f"{key}.b", "flags": 0, "prune": True})).errnum == 0


def test_a_link_of_the_owner_leads_a_guest_only_to_what_is_his(guest, tree):
    tree.say(0, "kvs", "link", "-T", "primary", "secret", "out", "-N", "his")
    assert guest.rpc("kvs.lookup", lookup("out", "his")).errnum == errno.EPERM
    assert guest.rpc("kvs-watch.lookup", lookup("out", "his", WATCH), flags=STREAMING).errnum == errno.EPERM
    assert guest.rpc("kvs.lookup", lookup("tohis", "primary")).errnum == errno.EPERM


def test_a_guest_cannot_cancel_the_watch_of_another(guest, tree):
    """The matchtag of another client's watch, and words that only routers may use."""
    with contextlib.closing(Client(f"{tree.node(0)}/local")) as owner:
        assert owner.rpc("kvs-watch.lookup", lookup("secret", "primary", WATCH), flags=STREAMING).errnum == 0
        for tag in range(1, 5):
            guest.send(topic="kvs-watch.cancel", payload=b'{"matchtag":%d}\0' % tag, flags=NORESPONSE, aux2=0)
        assert guest.rpc("kvs.namespace-list").errnum == 0  # it has been taken
        tree.say(0, "kvs", "put", "secret=3")
        assert owner.recv().json["val"]["data"] == "Mw=="


def test_the_commands_of_a_guest_do_what_is_his_and_say_what_is_not(tree):
    def flux(rank, *args, ns="his"):
        env = {**tree.env, "FLUX_URI": f"local://{tree.node(rank)}/local", "FLUX_KVS_NAMESPACE": ns}
        r = subprocess.run([tree.fluxctl, *args], env=env, user=GUEST, group=GUEST, extra_groups=[], capture_output=True, text=True, timeout=60,
                           cwd="/", input="x" * (50000000 if "huge" in args[-1] else 5000000) if args[-1].endswith("=-") else "")
        return r.returncode, r.stdout.strip() or r.stderr.strip()

    for rank in (0, 2):
        for args in (["put", "c.a=1", "c.b=2"], ["put", "-A", "c.a=2"], ["mkdir", "c.m"], ["eventlog", "append", "c.log", "e"], ["copy", "c.a", "c.c"],
                     ["move", "c.c", "c.d"], ["unlink", "c.b"], ["put", "-r", "c.big=-"]):
            assert flux(rank, "kvs", *args) == (0, ""), args
        assert flux(rank, "kvs", "ls", "c") == (0, "a\nbig\nd\nlog\nm") and flux(rank, "kvs", "get", "c.a", "c.d") == (0, "12\n12")
        assert flux(rank, "kvs", "get", "-r", "c.big") == (0, "x" * 5000000) and flux(rank, "kvs", "get", "-w", "-c1", "c.d") == (0, "12")
        root = flux(rank, "kvs", "getroot")[1]
        for args in (["kvs", "link", "a", "l"], ["kvs", "copy", "c", "c2"], ["kvs", "copy", "c.big", "c2"], ["kvs", "namespace", "create", "x"], ["kvs", "dropcache"],
                     ["kvs", "dropcache", "--all"], ["kvs", "put", "--sync", "c.a=3"], ["kvs", "get", "-a", root, "c.a"], ["content", "store"], ["dump", "-"],
                     ["getattr", "content.acct-size"]):
            status, said = flux(rank, *args)
            assert status == 1 and re.search("owner|not permitted|another user", said), (args, said)
        assert rank > 0 or "c.huge: more than 47 MiB" in flux(rank, "kvs", "put", "-r", "c.huge=-")[1]
        status, said = flux(rank, "kvs", "get", "secret", ns="primary")
        assert status == 1 and "belongs to another user: 'primary'" in said
        for args in (["put", "a=1"], ["version"], ["wait", "1"], ["getroot"], ["eventlog", "append", "a", "b"]):
            status, said = flux(rank, "kvs", *args, ns="primary")
            assert status == 1 and said.endswith(": the namespace belongs to another user: 'primary'; FLUX_KVS_NAMESPACE chooses another one"), said
        assert flux(rank, "kvs", "link", "a", "l")[1].endswith("l: only the instance owner may commit references and links")
        assert flux(rank, "kvs", "dropcache")[1].endswith("only the owner of the instance may")
        assert flux(rank, "kvs", "unlink", "-R", "c") == (0, "")


def test_a_guest_says_who_he_is_in_vain(guest):
    """Userid and roles in the header are the router's."""
    m = guest.rpc("kvs.lookup", lookup("secret", "primary"), userid=os.getuid(), rolemask=1)
    assert m.errnum == errno.EPERM


def test_nothing_was_changed_by_all_this(tree):
    wait_until("rank 0", lambda: tree.at(0, "kvs", "version").returncode == 0)
    names = set(tree.say(0, "kvs", "ls").split()) - {"admin", "job-state", "resource"}  # the instance's own
    assert names == {"d", "secret", "tohis"}
    assert tree.say(0, "kvs", "ls", "-N", "owners").split() == ["secret"]
    names = tree.say(0, "kvs", "namespace", "list")
    assert "his" in names and "owners" in names and "new" not in names
