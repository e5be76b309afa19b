# SPDX-License-Identifier: LGPL-3.0-or-later
"""Collection of blobs that nobody needs: what is needed stays, whatever happens meanwhile."""
import contextlib
import json
import os
import random
import signal
import subprocess
import tarfile
import threading

import pytest
from embedded import Instance, wait_until
from soak_checks import connect
from test_tree import Tree


def stats(i, service="kvs"):
    return json.loads(i.flux("module", "stats", service))


def value(key, n):
    return f"{key}:{n}:" + "x" * 700


def put(i, keys, n):
    i.flux("kvs", "put", *(f"{k}={value(k, n)}" for k in keys))


def removed(i):
    out = i.flux("content", "gc", "--grace=0")
    assert out.startswith("removed "), out
    return int(out.split()[1])


def drop(i):
    i.flux("kvs", "dropcache")
    i.flux("content", "dropcache")


KEYS = [f"d.k{n}" for n in range(100)]


def test_what_is_not_needed_any_more_is_removed_and_the_rest_is_read(fresh_instance):
    i = fresh_instance
    i.settle()
    for n in range(3):
        put(i, KEYS, n)
    assert removed(i) >= 200
    drop(i)
    assert i.flux("kvs", "get", *KEYS).split("\n") == [value(k, 2) for k in KEYS]
    assert removed(i) < 20  # its own traces
    # what was removed comes again
    put(i, KEYS, 0)
    drop(i)
    assert i.flux("kvs", "get", *KEYS).split("\n") == [value(k, 0) for k in KEYS]


@pytest.fixture
def instance_without_age(build, tmp_path):
    """Blobs that were stored by themselves are removed at once."""
    (tmp_path / "content.toml").write_text('[content]\nloose-age = "0s"\n')
    with Instance(build, tmp_path, args=["-c", str(tmp_path)]) as i:
        yield i


def test_the_database_becomes_smaller(instance_without_age):
    i = instance_without_age

    def size():
        path, sizes, journal = i.flux("content", "info").splitlines()
        assert int(sizes.split()[0]) == os.path.getsize(path) and journal.endswith("files of the journal")
        return int(sizes.split()[0])

    i.settle()
    i.flux("content", "store", "--chunksize=20000", input="".join(f"{n:020000d}" for n in range(1000)))
    put(i, KEYS, 0)
    i.flux("content", "flush")
    before = size()
    out = i.flux("content", "gc", "--grace=0")
    assert "bytes smaller" in out and int(out.splitlines()[1].split()[3]) == before - size()
    assert size() < before / 2
    drop(i)
    assert i.flux("kvs", "get", *KEYS).split("\n") == [value(k, 0) for k in KEYS]


def test_a_blob_that_nothing_refers_to_stays_until_its_age(build, tmp_path):
    config = tmp_path / "config"
    config.mkdir()
    (config / "content.toml").write_text('[content]\nloose-age = "infinity"\n')
    with Instance(build, tmp_path, args=["-c", str(config)]) as i:
        ref = i.flux("content", "store", input="loose" * 100)
        removed(i)
        i.flux("content", "dropcache")
        assert i.flux("content", "load", ref) == "loose" * 100
        i.kill_daemon("content")
        wait_until("it is there", lambda: i.run("content", "info", check=False).returncode == 0)
        removed(i)
        i.flux("content", "dropcache")
        assert i.flux("content", "load", ref) == "loose" * 100
        (config / "content.toml").write_text('[content]\nloose-age = "0s"\n')
        i.flux("config", "reload")
        removed(i)
        i.flux("content", "dropcache")
        assert "no such blob" in i.run("content", "load", ref, check=False).stderr


def test_what_a_checkpoint_refers_to_stays_whole(instance_without_age):
    i = instance_without_age
    client = connect(i)
    put(i, KEYS, 0)
    root = i.flux("kvs", "getroot", "-b")
    blob = i.flux("content", "store", input="not a directory")
    for key, v in {"mine": {"version": 1, "rootref": root, "sequence": 1}, "other": [{"file": blob}, "x"], "third": "blake2b-00"}.items():
        assert client.rpc("content.checkpoint-put", {"key": key, "value": v}).errnum == 0
    put(i, KEYS, 1)
    removed(i)
    assert stats(i)["gc"]["missing"] == 0
    drop(i)
    assert i.flux("kvs", "get", "-a", root, *KEYS).split("\n") == [value(k, 0) for k in KEYS]
    assert i.flux("content", "load", blob) == "not a directory"
    for key in ("mine", "other"):
        assert client.rpc("content.checkpoint-put", {"key": key, "value": {}}).errnum == 0
    assert removed(i) > 100
    drop(i)
    r = i.run("kvs", "get", "-a", root, KEYS[0], check=False)
    assert r.returncode == 1 and r.stderr.count("\n") == 1


def test_a_sweep_removes_nothing_before_what_a_new_checkpoint_refers_to_is_marked(instance_without_age):
    i = instance_without_age
    client = connect(i)
    blob = i.flux("content", "store", input="a snapshot")
    i.flux("content", "flush")
    generation = client.rpc("content.sweep-begin", {}).json["generation"]
    step = {"generation": generation, "limit": 1000000}
    assert client.rpc("content.checkpoint-put", {"key": "mine", "value": {"rootref": blob}}).errnum == 0
    answer = client.rpc("content.sweep-step", step).json
    assert answer["refs"] == [blob] and answer["removed"] == 0 and not answer["done"]
    assert "refs" not in client.rpc("content.sweep-step", step).json


def test_only_the_owner_may_ask_and_wrong_words_are_refused(fresh_instance):
    r = fresh_instance.run("content", "gc", "--grace=soon", check=False)
    assert r.returncode == 1 and "--grace" in r.stderr


def test_so_many_commits_begin_one_by_themselves(build, tmp_path):
    (tmp_path / "kvs.toml").write_text('[kvs]\ngc-threshold = 40\ngc-grace = "0s"\n')
    with Instance(build, tmp_path, args=["-c", str(tmp_path)]) as i:
        before = stats(i)["gc"]["due"]
        assert before == 40
        for n in range(60):
            put(i, KEYS[:3], n)
        wait_until("a collection", lambda: stats(i)["gc"]["runs"] > 0 and stats(i)["gc"]["phase"] == "idle")
        assert stats(i)["gc"]["due"] > before
        due = stats(i)["gc"]["due"]
        os.kill(stats(i)["pid"], signal.SIGKILL)
        wait_until("the next process", lambda: i.run("kvs", "version", check=False).returncode == 0)
        assert stats(i)["gc"]["due"] == due, "it is known after a restart"
        drop(i)
        assert i.flux("kvs", "get", KEYS[0]).strip() == value(KEYS[0], 59)


def test_so_many_bytes_begin_one_too_in_whatever_namespace(build, tmp_path):
    """A user who writes the same key of his own namespace again and again does not fill the disk."""
    (tmp_path / "kvs.toml").write_text('[kvs]\ngc-size = "1M"\ngc-grace = "0s"\n')
    with Instance(build, tmp_path, args=["-c", str(tmp_path)]) as i:
        i.run("kvs", "namespace", "create", "other")
        version = i.flux("kvs", "version")
        for n in range(6):
            i.run("kvs", "put", "-r", "-N", "other", "k=-", input=str(n) * 200000)
            i.run("content", "flush")  # what is in the journal only stays
        wait_until("a collection", lambda: stats(i)["gc"]["runs"] > 0 and stats(i)["gc"]["phase"] == "idle")
        assert stats(i)["gc"]["removed"] >= 3 and i.flux("kvs", "version") == version
        assert i.flux("kvs", "get", "-N", "other", "k") == "5" * 200000


def test_nothing_is_lost_when_daemons_are_killed_while_they_collect(fresh_instance):
    i = fresh_instance
    known = {}  # key -> number of the last commit that was acknowledged
    over = threading.Event()

    def write():
        n = 0
        while not over.is_set():
            keys = random.sample(KEYS, 5)
            for k in keys:
                known.pop(k, None)  # not known until it is acknowledged
            # small numbers: old values come again
            r = i.run("kvs", "put", *(f"{k}={value(k, n % 4)}" for k in keys), check=False)
            if r.returncode == 0:
                known.update({k: n % 4 for k in keys})
            n += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(12):
            gc = i.popen("content", "gc", "--grace=0")
            service = random.choice(["kvs", "content"])
            r = i.run("module", "stats", service, check=False)
            if r.returncode == 0:
                with contextlib.suppress(ProcessLookupError):  # kvs may have ended for want of content
                    os.kill(json.loads(r.stdout)["pid"], signal.SIGKILL)
            gc.communicate(timeout=60)
        wait_until("enough to look at", lambda: len(known) > 20)
    finally:
        over.set()
        writer.join()
    wait_until("a collection", lambda: i.run("content", "gc", "--grace=0", check=False).returncode == 0)
    drop(i)
    for k, n in known.items():
        assert i.flux("kvs", "get", k).strip() == value(k, n)
    assert stats(i)["gc"]["missing"] == 0


def test_an_archive_is_whole_although_what_it_reads_is_collected_meanwhile(fresh_instance, tmp_path):
    i = fresh_instance
    put(i, KEYS, 0)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    dump = i.popen("dump", "-q", str(fifo))
    with open(fifo, "rb") as f:
        archive = f.read(1)  # the dump has begun, and waits for a reader
        put(i, KEYS, 1)
        drop(i)
        removed(i)
        archive += f.read()
    assert dump.wait(timeout=60) == 0
    (tmp_path / "o.tar").write_bytes(archive)
    i.flux("restore", "--verify", str(tmp_path / "o.tar"))
    with tarfile.open(tmp_path / "o.tar") as t:
        assert t.extractfile("d/k99").read().decode() == value("d.k99", 0)
    assert removed(i) >= 100, "it is not held any longer"


def test_a_reference_to_something_that_is_gone_is_refused_or_whole(fresh_instance):
    i = fresh_instance
    put(i, KEYS, 0)
    snapshot = i.flux("kvs", "get", "-t", "d").strip()
    put(i, KEYS, 1)
    assert i.flux("kvs", "dir", "-a", i.flux("kvs", "getroot").strip(), "d").count("\n") == 99
    removed(i)
    drop(i)
    r = i.run("kvs", "get", "-a", snapshot, "k1", check=False)
    assert r.returncode == 1 and r.stderr.count("\n") == 1


def test_followers_that_fell_behind_read_on(build, tmp_path):
    with Tree(build, tmp_path, size=3) as t:
        t.say(0, "kvs", "put", *(f"{k}={value(k, 0)}" for k in KEYS))
        t.say(2, "kvs", "wait", t.say(0, "kvs", "version"))
        watch = subprocess.Popen([t.fluxctl, "kvs", "get", "--watch", KEYS[0]], text=True, stdout=subprocess.PIPE,
                                 env={**t.env, "FLUX_URI": f"local://{t.node(2)}/local"})
        assert watch.stdout.readline().strip() == value(KEYS[0], 0)
        pid = json.loads(t.say(2, "module", "stats", "kvs"))["pid"]
        t.say(2, "content", "dropcache")
        os.kill(pid, signal.SIGSTOP)
        try:
            for n in range(1, 4):
                t.say(0, "kvs", "put", *(f"{k}={value(k, n)}" for k in KEYS))
            assert "removed" in t.say(0, "content", "gc", "--grace=0")
            reader = subprocess.Popen([t.fluxctl, "kvs", "get", KEYS[7]], text=True, stdout=subprocess.PIPE,
                                      env={**t.env, "FLUX_URI": f"local://{t.node(2)}/local"})
        finally:
            os.kill(pid, signal.SIGCONT)
        assert reader.communicate(timeout=60)[0].strip() in {value(KEYS[7], n) for n in range(4)}
        seen = [watch.stdout.readline().strip()]
        while seen[-1] != value(KEYS[0], 3):
            seen.append(watch.stdout.readline().strip())
        assert seen == sorted(seen)
        watch.kill()
        watch.communicate()
        assert t.say(2, "kvs", "get", *KEYS).split("\n") == [value(k, 3) for k in KEYS]


def test_a_snapshot_that_is_older_than_a_collection_is_whole_or_a_clear_error(build, tmp_path):
    """At any moment, on any rank, however it is asked for: never something else, and it does not hang."""
    def ask(t, rank, what):
        value_of = t.at(rank, "kvs", "get", "-a", what, "d.k7")
        names = t.at(rank, "kvs", "dir", "-R", "-d", "-a", what, "d")
        assert value_of.returncode != 0 or value_of.stdout.strip() == value("d.k7", 0)
        assert names.returncode != 0 or names.stdout.count("\n") == 100
        for r in (value_of, names):
            assert r.returncode == 0 or (r.stderr.count("\n") == 1 and "older than the last collection" in r.stderr), r.stderr
        return value_of.returncode

    with Tree(build, tmp_path, size=2) as t:
        for _ in range(2):
            t.say(0, "kvs", "put", *(f"{k}={value(k, 0)}" for k in KEYS))
            snapshots = [t.say(0, "kvs", "getroot", "-b"), t.say(0, "kvs", "getroot")]
            t.say(0, "kvs", "put", *(f"{k}={value(k, 1)}" for k in KEYS))
            assert [ask(t, rank, what) for rank in (0, 1) for what in snapshots] == [0] * 4
            t.say(0, "kvs", "dropcache", "--all")
            t.say(1, "content", "dropcache")
            collection = t.popen("content", "gc", "--grace=0")
            while collection.poll() is None:
                ask(t, 1, snapshots[0])
            assert collection.returncode == 0
            for rank in (0, 1):
                t.say(rank, "content", "dropcache")
            t.say(0, "kvs", "dropcache", "--all")
            assert [ask(t, rank, what) for rank in (0, 1) for what in snapshots] == [1] * 4
