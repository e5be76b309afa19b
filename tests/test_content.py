# SPDX-License-Identifier: LGPL-3.0-or-later
"""The content store of an instance: collection, checking, repair, backup, full disks, caches."""
import contextlib
import errno
import hashlib
import json
import os
import re
import select
import signal
import socket
import sqlite3
import struct
import subprocess
import time

import pytest

from embedded import Instance, wait_until
from rawclient import RESPONSE, UPSTREAM, Client, Message, encode

ECONNRESET, STALE = 104, 116


@pytest.fixture
def stored(build, tmp_path):
    """An instance with a state directory, and a raw client of it. Blobs that nothing refers to may be removed at once."""
    (tmp_path / "content.toml").write_text('[content]\nloose-age = "0s"\n')
    with Instance(build, tmp_path, ["--statedir", tmp_path / "state", "-c", tmp_path]) as instance:
        instance.settle()
        client = Client(os.path.join(instance.rundir, "local"))
        yield instance, client
        client.close()


def digest(ref):
    return bytes.fromhex(ref.partition("-")[2])


def rpc_raw(client, topic, payload):
    client.tag += 1
    client.send(topic=topic, payload=payload, aux2=client.tag)
    return client.recv()


def store(instance, text):
    return instance.flux("content", "store", input=text)


def test_a_sweep_removes_what_is_not_marked(stored):
    instance, client = stored
    keep, drop = store(instance, "keep"), store(instance, "drop")
    instance.run("content", "flush")
    generation = client.rpc("content.sweep-begin").json["generation"]
    late = store(instance, "late")
    marked = rpc_raw(client, "content.mark", struct.pack(">Q", generation) + digest(keep) + bytes(32))
    assert (marked.json["unknown"], marked.json["first"]) == (1, "blake2b-" + "0" * 64)
    step = client.rpc("content.sweep-step", {"generation": generation, "limit": 1000}).json
    assert step["done"] and step["removed"] >= 1
    assert instance.flux("content", "load", keep) == "keep"
    assert instance.flux("content", "load", late) == "late"
    instance.run("content", "dropcache")
    assert "no such blob" in instance.run("content", "load", drop, check=False).stderr
    assert client.rpc("content.sweep-step", {"generation": generation, "limit": 1}).errnum == STALE


# --- damage

CORRUPT = "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e95"
UNUSED = "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7ea4"


def harm(instance, change):
    """Change the files behind the back of flux-content, as a disk would, and start it again."""
    instance.run("content", "flush")  # everything is in one file now
    change(database(instance))
    database(instance).with_name("content.sqlite-wal").unlink(missing_ok=True)
    pid = instance.kill_daemon("content")
    wait_until("flux-content has ended", lambda: pid not in instance.daemon_pids("content"))


def database(instance):
    return instance.workdir / "state" / "content.sqlite"


def named_in_log(instance, what):
    return [r for r in instance.log_records("content") if r.get("MESSAGE_ID") == CORRUPT and what in json.dumps(r)]


def damage(path, what, by):
    data = path.read_bytes()
    assert data.count(what) == 1
    path.write_bytes(data.replace(what, by))


def fill(client, n=60):
    """Blobs of half a page; {digest: text}."""
    texts = [f"blob {i} ".encode() + hashlib.sha256(str(i).encode()).hexdigest().encode() * 30 for i in range(n)]
    return {rpc_raw(client, "content.store", text).payload: text for text in texts}


def loaded(client, blobs):
    """The digests of those that can be loaded. What is loaded is right."""
    ok = set()
    for digest, text in blobs.items():
        m = rpc_raw(client, "content.load", digest)
        while m.errnum == ECONNRESET:  # it was just killed
            m = rpc_raw(client, "content.load", digest)
        if m.errnum == 0:
            assert m.payload == text
            ok.add(digest)
    return ok


def test_a_flipped_bit_is_eio_and_repaired_by_storing_again(stored):
    instance, client = stored
    good, bad = store(instance, "this one is good"), store(instance, "this one will be bad")
    assert instance.run("content", "check").stdout.endswith(": 0 damaged\n")
    harm(instance, lambda path: damage(path, b"this one will be bad", b"this one will be bat"))
    r = instance.run("content", "load", bad, check=False)
    assert r.returncode == 1 and r.stdout == "" and "damaged" in r.stderr
    assert named_in_log(instance, bad)
    assert [rpc_raw(client, "content.validate", digest(ref)).errnum for ref in (good, bad)] == [0, errno.EIO]
    assert instance.flux("content", "load", good) == "this one is good"
    r = instance.run("content", "check", check=False)
    assert r.returncode == 1 and bad in r.stdout.splitlines() and good not in r.stdout
    assert "1 were removed" in instance.run("content", "repair").stdout
    assert instance.run("content", "check").returncode == 0
    assert store(instance, "this one will be bad") == bad
    instance.run("content", "flush")
    instance.run("content", "dropcache")
    assert instance.flux("content", "load", bad) == "this one will be bad"


def test_a_dump_leaves_out_what_is_damaged_if_it_is_told_so(stored, tmp_path):
    """A value of several blobs as a whole. And -v, --no-cache, --checkpoint, and restoring to no key."""
    instance, _ = stored
    blobs = {name: [store(instance, f"{name} {n} THE END") for n in range(2)] for name in ("first", "second")}
    for name, refs in blobs.items():
        instance.run("kvs", "put", "-t", f"long.{name}=" + json.dumps({"ver": 1, "type": "valref", "data": refs}))
    instance.run("kvs", "put", "good=" + "g" * 500, "bad=" + "b" * 500, "small=1")
    instance.run("content", "flush")
    instance.run("dump", "-q", "--no-cache", tmp_path / "whole.tar")

    def change(path):
        damage(path, b"b" * 500, b"b" * 499 + b"c")
        damage(path, b"second 1 THE END", b"second 1 THE AND")
    harm(instance, change)
    instance.run("kvs", "dropcache")
    r = instance.run("dump", tmp_path / "some.tar", check=False)
    assert r.returncode == 1 and not (tmp_path / "some.tar").exists() and re.match("flux-dump: (bad|long.second): cannot load blake2b-[0-9a-f]*: the blob on disk is damaged\n", r.stderr)
    for args in ([], ["--no-cache"], ["--checkpoint"]):
        said = instance.run("dump", "-v", "--ignore-failed-read", *args, tmp_path / "some.tar").stderr.splitlines()
        assert {"good", "long.first", "small"} < set(said) and not {"bad", "long.second"} & set(said)
        assert all([l for l in said if key in l and "damaged" in l] for key in ("bad", "long.second")), said
    r = instance.run("restore", "-v", "--no-cache", tmp_path / "some.tar")
    (ref,) = r.stdout.split()
    assert {"good", "long.first", "small"} <= set(r.stderr.splitlines())
    assert instance.flux("kvs", "get", "-a", ref, "good", "small") == "g" * 500 + "\n1"
    instance.run("restore", "-q", "--key=again", tmp_path / "whole.tar")
    assert instance.flux("kvs", "get", "again.long.second", "again.bad") == "second 0 THE ENDsecond 1 THE END\n" + "b" * 500


@pytest.mark.parametrize("how", ["end", "first page", "a page"])
def test_a_damaged_database_is_refused_and_what_is_sound_is_salvaged(stored, how):
    instance, client = stored
    instance.run("kvs", "put", "a=1")
    blobs = fill(client)

    def change(path):
        data = path.read_bytes()
        middle = len(data) // 8192 * 4096
        path.write_bytes({"end": data[:len(data) // 8 * 5], "first page": bytes(4096) + data[4096:],
                          "a page": data[:middle] + b"x" * 4096 + data[middle + 4096:]}[how])

    harm(instance, change)
    ok = loaded(client, blobs)
    assert len(ok) < len(blobs)
    if how != "a page":
        assert not ok and named_in_log(instance, "flux content repair")
        pids = instance.daemon_pids("content")
        assert "flux content repair" in instance.run("content", "check", check=False).stderr
        assert instance.daemon_pids("content") == pids  # it stays to say so
    instance.run("content", "repair")
    after = loaded(client, blobs)
    assert ok <= after and len(after) >= (len(blobs) if how == "first page" else len(blobs) // 3)
    assert instance.run("content", "check").returncode == 0
    if how == "first page":
        wait_until("the key-value store is there again",
                   lambda: instance.run("kvs", "get", "a", check=False).stdout == "1\n")


def test_a_truncated_log_of_sqlite_loses_nothing(stored):
    instance, client = stored
    blobs = fill(client, 30)
    instance.run("content", "flush")
    wal = database(instance).with_name("content.sqlite-wal")
    os.truncate(wal, wal.stat().st_size // 2)
    instance.kill_daemon("content")
    assert loaded(client, blobs) == set(blobs)
    instance.run("content", "check")


def test_a_truncated_journal_is_named_and_the_rest_of_it_is_there(stored):
    instance, client = stored
    blobs = fill(client, 30)
    (path,) = database(instance).parent.glob("content.sqlite-journal.*")
    os.truncate(path, path.stat().st_size // 2)
    instance.kill_daemon("content")
    assert 5 < len(loaded(client, blobs)) < 25
    (record,) = [r for r in instance.log_records("content") if "no whole commit" in r["MESSAGE"]]
    assert record["MESSAGE_ID"] == "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7ea3"


def test_a_missing_database_is_not_taken_for_a_new_one(stored):
    instance, client = stored
    blobs = fill(client, 3)
    elsewhere = instance.workdir / "elsewhere"
    harm(instance, lambda path: path.rename(elsewhere))
    assert not loaded(client, blobs)
    assert "is missing" in instance.run("content", "store", input="x", check=False).stderr
    assert named_in_log(instance, "is missing") and not database(instance).exists()
    elsewhere.rename(database(instance))
    instance.kill_daemon("content")
    assert loaded(client, blobs) == set(blobs)


def test_a_store_of_a_newer_version_is_refused_with_a_sentence(stored):
    instance, client = stored
    blobs = fill(client, 1)

    def set_version(path, version):
        with open(path, "r+b") as f:
            f.seek(60)  # PRAGMA user_version
            f.write(struct.pack(">I", version))

    harm(instance, lambda path: set_version(path, 99))
    assert not loaded(client, blobs)
    (pid,) = instance.daemon_pids("content")
    assert "has storage version 99" in instance.run("content", "store", input="y", check=False).stderr
    assert instance.daemon_pids("content") == [pid]
    assert any(r.get("MESSAGE_ID") == UNUSED and "storage version 99" in r["MESSAGE"] for r in instance.log_records("content"))
    set_version(database(instance), 4)
    instance.kill_daemon("content")
    assert loaded(client, blobs) == set(blobs)


def test_check_and_repair_of_a_store_that_nobody_uses(build, tmp_path):
    state = tmp_path / "state"
    with Instance(build, tmp_path, ["--statedir", state]) as instance:
        text = "this one will be bad"
        ref = store(instance, text)
        instance.run("content", "flush")
        r = instance.run("content", "check", "--path", state, check=False)
        assert r.returncode == 1 and "another flux-content runs on it" in r.stderr
    assert instance.run("content", "check", "--path", state).returncode == 0
    damage(state / "content.sqlite", text.encode(), text.upper().encode())
    r = instance.run("content", "check", f"--path={state}", check=False)
    assert r.returncode == 1 and ref in r.stdout
    assert "1 damaged blobs were left behind" in instance.run("content", "repair", "--path", state / "content.sqlite").stdout
    assert instance.run("content", "check", "--path", state).returncode == 0
    assert (state / "content.sqlite.damaged").exists()
    assert "there is no store" in instance.run("content", "check", "--path", tmp_path, check=False).stderr


@pytest.mark.parametrize("what", ["text", "database", "empty", "device"])
def test_what_is_no_store_is_neither_repaired_nor_touched(instance, tmp_path, what):
    path = tmp_path / "precious"
    if what == "database":  # of somebody else
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.executescript("CREATE TABLE t(a); INSERT INTO t VALUES(1);")
    elif what == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_text("root:x:0:0:root:/root:/bin/bash\n" * 30 if what == "text" else "")
    before = None if what == "device" else path.read_bytes()
    for command in ("check", "repair"):
        r = instance.run("content", command, f"--path={path}", check=False)
        assert r.returncode == 1 and f"{path} is not a content store" in r.stderr, r
        assert [p.name for p in tmp_path.iterdir()] == ["precious"]
        assert before is None or path.read_bytes() == before


# --- backup

def test_a_backup_of_a_running_store_can_be_put_in_its_place(build, tmp_path):
    state, copy = tmp_path / "state", tmp_path / "copy"
    copy.mkdir()
    with Instance(build, tmp_path, ["--statedir", state]) as instance:
        refs = [store(instance, f"blob {i}") for i in range(5)]
        instance.run("kvs", "put", "before=1", "big=" + "x" * 100000)
        instance.run("content", "backup", copy / "content.sqlite")
        instance.run("kvs", "put", "after=1")
        r = instance.run("content", "backup", copy / "content.sqlite", check=False)
        assert r.returncode == 1 and "is there already" in r.stderr
    with contextlib.closing(sqlite3.connect(f"file:{copy}/content.sqlite?immutable=1", uri=True)) as db:
        ages = db.execute("SELECT stored FROM loose").fetchall()
    assert len(ages) == len(refs) and all(0 <= time.time() - age < 3600 for (age,) in ages)  # not to be collected at once
    with Instance(build, tmp_path, ["--statedir", copy]) as instance:
        assert instance.flux("content", "load", *refs) == "".join(f"blob {i}" for i in range(5))
        assert instance.flux("kvs", "get", "before") == "1"
        assert instance.flux("kvs", "get", "big") == "x" * 100000
        assert instance.run("kvs", "get", "after", check=False).returncode == 1
        assert instance.run("content", "check").returncode == 0


def test_no_sweep_begins_while_a_backup_is_read(stored):
    instance, client = stored
    store(instance, "x")
    backup = client.rpc("content.backup-begin").json
    assert client.rpc("content.sweep-begin").errnum == 16
    m = client.rpc("content.backup-read", {"id": backup["id"], "row": 0})
    assert b'"next":null' in (m.fd_payload or m.payload)
    assert client.rpc("content.sweep-begin").errnum == 0
    assert client.rpc("content.backup-read", {"id": backup["id"], "row": 0}).errnum == STALE


# --- large values

def test_a_large_value_goes_through_in_parts(stored, tmp_path):
    instance, _ = stored
    data = os.urandom(1 << 20) * 20
    (tmp_path / "data").write_bytes(data)
    flux = f"{instance.fluxctl} content"
    script = (f"{flux} store --chunksize=1M <data >refs && {flux} load <refs | cmp - data && "
              f"{flux} load $(cat refs) | cmp - data")
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env=instance.environ(), check=True, timeout=60)
    assert len((tmp_path / "refs").read_text().split()) == 20


def test_the_cache_can_be_bypassed(stored):
    instance, _ = stored
    ref = instance.flux("content", "store", "--bypass-cache", input="x")
    assert instance.flux("content", "load", "-b", ref) == "x"


# --- the cache

def test_attributes_of_the_store(stored):
    instance, _ = stored
    get = lambda name: instance.flux("getattr", "content." + name)
    # Other daemons may have something in it, too: again, until nobody has.
    wait_until("an empty cache", lambda: instance.flux("content", "dropcache") == "" and
               get("acct-entries") == get("acct-valid") == get("acct-size") == "0")
    ref = store(instance, "x" * 1000)
    instance.run("content", "load", ref)
    assert int(get("acct-size")) >= 1000
    wait_until("all to be written", lambda: get("acct-dirty") == "0")
    assert get("backing-module") == "content-sqlite" and get("backing-path") == str(database(instance))
    assert get("blob-size-limit") == str(1 << 30)
    instance.run("setattr", "content.purge-target-size", "2M")
    instance.run("setattr", "content.purge-old-entry", "0.5")
    assert get("purge-target-size") == str(2 << 20) and get("purge-old-entry") == "0.5"
    assert "content.acct-size cannot be set" in instance.run("setattr", "content.acct-size", "1", check=False).stderr
    assert instance.run("setattr", "content.purge-old-entry", "soon", check=False).returncode == 1
    assert "content.acct-size" in instance.flux("lsattr").split()


def test_the_cache_is_purged_when_its_blobs_are_old(build, tmp_path):
    with Instance(build, tmp_path, ["-Scontent.purge-target-size=100K", "-Scontent.purge-old-entry=1000"]) as instance:
        refs = [store(instance, f"{i}" * 9000) for i in range(15)]
        instance.run("content", "load", *refs)
        size = lambda: int(instance.flux("getattr", "content.acct-size"))
        assert size() > 100_000
        instance.run("setattr", "content.purge-old-entry", "1")
        wait_until("the cache is purged", lambda: size() <= 102_400)
        assert size() > 50_000


# --- full disks

@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_refuses_writes_only_and_recovers_unaided(build, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", state], check=True)
    try:
        with Instance(build, tmp_path, ["--statedir", state]) as instance:
            client = Client(os.path.join(instance.rundir, "local"))
            instance.run("kvs", "put", "before=1")  # it has begun
            blobs = fill(client, 20)
            instance.run("content", "flush")
            with open(state / "filler", "wb", buffering=0) as f, contextlib.suppress(OSError):
                while True:
                    f.write(bytes(4096))
            pids = instance.daemon_pids("content"), instance.daemon_pids("kvs")
            answers = [rpc_raw(client, "content.store", os.urandom(65536)) for _ in range(30)]
            assert answers[-1].errnum == errno.ENOSPC and "is full" in answers[-1].text
            assert "is full" in instance.run("content", "store", input="x" * 100000, check=False).stderr
            instance.run("kvs", "put", "a=" + "x" * 100000, check=False)
            assert loaded(client, blobs) == set(blobs)
            assert (instance.daemon_pids("content"), instance.daemon_pids("kvs")) == pids
            (state / "filler").unlink()
            kept = fill(client, 30)
            instance.run("kvs", "put", "b=1")
            instance.run("content", "flush")
            assert loaded(client, {**blobs, **kept}) == {*blobs, *kept}
            assert (instance.daemon_pids("content"), instance.daemon_pids("kvs")) == pids
            assert instance.run("content", "check").returncode == 0
            client.close()
    finally:
        subprocess.run(["umount", "-l", state], check=True)


PAGE = 4096


def begin_on_a_disk_with(build, path, pages):
    """A new instance whose state directory has room for so many pages; then there is more."""
    path.mkdir()
    state = path / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", state], check=True)
    try:
        (state / "filler").write_bytes(bytes((1 << 20) - pages * PAGE))
        with Instance(build, path, ["--statedir", state]) as instance:
            for args in (["kvs", "put", "a=1"], ["kvs", "ls"], ["content", "store"]):
                r = instance.run(*args, check=False, timeout=60, input="")
                assert r.returncode == 0 or re.search("full|No space", r.stderr), r.stderr
            (state / "filler").unlink()
            wait_until("a commit", lambda: instance.run("kvs", "put", "b=1", check=False, timeout=60).returncode == 0)
            assert instance.flux("kvs", "get", "b") == "1"
            assert instance.run("content", "check").returncode == 0
            wait_until("a job", lambda: instance.run("run", "true", check=False).returncode == 0)
    finally:
        subprocess.run(["umount", "-l", state], check=True)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")


@needs_root
def test_an_instance_that_begins_on_a_full_disk_says_so_at_once_and_recovers_unaided(build, tmp_path):
    begin_on_a_disk_with(build, tmp_path / "0", 0)


@needs_root
@pytest.mark.skipif("FLUX_LONG_TESTS" not in os.environ, reason="a long test: set FLUX_LONG_TESTS=1")
def test_wherever_the_disk_is_full_when_an_instance_begins(build, tmp_path):
    for pages in range(1, 32):
        begin_on_a_disk_with(build, tmp_path / str(pages), pages)


# --- other nodes

@pytest.fixture
def two_nodes(build, tmp_path):
    with Instance(build, tmp_path, size=2) as instance:
        instance.settle()
        client = Client(os.path.join(instance.node(1), "local"))
        yield instance, client
        client.close()


def test_loads_of_one_blob_at_once_share_a_request_to_the_node_above(two_nodes):
    instance, client = two_nodes
    blob = os.urandom(1 << 20)
    name = rpc_raw(client, "content.store", blob[:50000]).payload
    assert client.rpc("content.dropcache").errnum == 0
    before = client.rpc("content.stats-get").json
    for tag in range(1000, 1020):
        client.send(topic="content.load", payload=name, aux2=tag)
    answers = [client.recv() for _ in range(20)]
    assert all((m.fd_payload or m.payload) == blob[:50000] for m in answers)
    after = client.rpc("content.stats-get").json
    loads, joined, hits = (after[k] - before[k] for k in ("loads", "loads-joined", "cache-hits"))
    assert loads == 1 and joined + hits == 19


def test_the_empty_blob_is_one_too_and_a_value_may_consist_of_it(two_nodes):
    instance, client = two_nodes
    name = rpc_raw(client, "content.store", None).payload
    value = json.dumps({"ver": 1, "type": "valref", "data": [f"blake2b-{name.hex()}"] * 2})
    instance.run("kvs", "put", "-t", f"nothing={value}")
    for rank in (0, 1):
        env = {"FLUX_URI": f"local://{instance.node(rank)}/local"}
        for service in ("content", "kvs"):
            instance.run(service, "dropcache", env=env)
        assert instance.run("content", "load", f"blake2b-{name.hex()}", env=env).stdout == ""
        instance.run("content", "dropcache", env=env)
        instance.run("kvs", "wait", instance.flux("kvs", "version"), env=env)
        assert instance.run("kvs", "get", "nothing", env=env).stdout == instance.run("kvs", "get", "-W", "-w", "-c1", "nothing", env=env).stdout == ""
    client.rpc("content.dropcache")
    m = rpc_raw(client, "content.load", name)
    assert (m.errnum, m.payload) == (0, b"")


def test_a_digest_is_valid_if_the_blob_is_there(two_nodes):
    _, client = two_nodes
    name = rpc_raw(client, "content.store", b"some").payload
    m = rpc_raw(client, "content.validate", name)
    assert (m.errnum, m.payload) == (0, b"")
    assert rpc_raw(client, "content.validate", bytes(32)).errnum == errno.ENOENT
    assert rpc_raw(client, "content.validate", name[:31]).errnum == errno.EPROTO


def test_the_node_above_is_asked_when_the_flag_says_so(two_nodes):
    """CONTENT_FLAG_UPSTREAM: what this node has in memory does not count, nor does it keep what it passes on."""
    instance, client = two_nodes

    def upstream(topic, payload):
        client.tag += 1
        client.send(topic=topic, payload=payload, flags=UPSTREAM, aux1=1, aux2=client.tag)
        return client.recv()

    name = upstream("content.store", b"x" * 3000).payload
    assert upstream("content.load", name).payload == b"x" * 3000
    before = client.rpc("content.stats-get").json["loads"]
    assert rpc_raw(client, "content.load", name).payload == b"x" * 3000
    assert client.rpc("content.stats-get").json["loads"] > before, "it was not in the memory of this node"


def asked_by(listener, client, request):
    """Somebody who connects to the listener passes the client's request on: the socket it came by, and what came.
    A request that still met the killed service is answered with ECONNRESET and sent again."""
    client.send(**request)
    peers, end = [], time.monotonic() + 60
    while time.monotonic() < end:
        for s in select.select([listener, client.s, *peers], [], [], 1)[0]:
            if s is listener:
                peers.append(listener.accept()[0])
            elif s is client.s:
                assert client.recv().errnum == ECONNRESET
                client.send(**request)
            elif not (data := s.recv(1 << 18)):
                peers.remove(s)
            elif (m := Message(data)).topic == request["topic"]:
                return s, m
    raise TimeoutError(f"nobody passed on {request}")


def test_what_is_not_the_blob_that_was_asked_for_is_refused(two_nodes):
    """Somebody else answers in place of the store of rank 0."""
    instance, client = two_nodes
    blob = b"what was stored"
    name = rpc_raw(client, "content.store", blob).payload
    path = os.path.join(instance.node(0), "node", "content")
    os.rename(path, path + ".away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(60)
        instance.kill_daemon("content")
        assert client.rpc("content.dropcache").errnum == 0
        peer, m = asked_by(listener, client, {"topic": "content.load", "payload": name, "aux2": 77})
        peer.send(encode(type=RESPONSE, topic=m.topic, payload=b"what was stured", routes=m.routes, aux1=0, aux2=m.matchtag))
        m = client.recv()
        peer.close()
    assert m.matchtag == 77 and m.errnum == errno.EIO and "not the blob" in m.text
    os.rename(path + ".away", path)
    assert client.rpc("content.stats-get").json["rejected"] == 1
