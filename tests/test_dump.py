# SPDX-License-Identifier: LGPL-3.0-or-later
"""fluxctl dump and restore: what is archived comes back, what is damaged changes nothing, memory does not grow with the data."""
import hashlib
import io
import os
import signal
import subprocess
import tarfile

import pytest

from embedded import peak_of, wait_until


@pytest.fixture
def where(tmp_path):
    return lambda name: str(tmp_path / name)


def keys(i, key="."):
    """KEY = VALUE lines below a key, without what daemons write."""
    cut = 0 if key == "." else len(key) + 1
    return [l[cut:] for l in i.flux("kvs", "dir", "-R", "-w0", key).splitlines() if not l[cut:].startswith(("admin.", "job-state", "resource."))]


def fill(i):
    i.flux("kvs", "put", "a.b.one=1", "a.b.two=two words", "empty=", "ä.ö=ü", "n/m.k=slash", "long=" + "x" * 5000)
    i.flux("kvs", "put", *(f"large.name{n}={n}" for n in range(300)))
    i.flux("kvs", "mkdir", "e.mpty")
    i.flux("kvs", "link", "a.b", "here")
    i.flux("kvs", "link", "-T", "other", "k", "there")


@pytest.mark.parametrize("name", ["kvs.tar", "kvs.tar.gz", "kvs.tgz", "-"])
def test_what_is_archived_is_restored(fresh_instance, where, name):
    i = fresh_instance
    fill(i)
    before = keys(i)
    if name == "-":
        archive = subprocess.run([i.fluxctl, "dump", "-q", "-"], env=i.environ(), stdout=subprocess.PIPE, timeout=60, check=True).stdout
        subprocess.run([i.fluxctl, "restore", "-q", "--key=again", "-"], env=i.environ(), input=archive, timeout=60, check=True)
    else:
        i.flux("dump", "-q", where(name))
        i.flux("restore", "-q", "--key=again", where(name))
    assert len(before) > 300 and keys(i, "again") == before
    assert i.flux("kvs", "readlink", "again.there").strip() == "other::k"
    assert i.flux("kvs", "ls", "again.e").split() == ["mpty"]
    assert "restore-" not in i.flux("kvs", "namespace", "list")


def test_an_archive_is_made_of_one_moment(fresh_instance, where):
    i = fresh_instance
    writer = i.popen("bulksubmit", "--wait", "--quiet", "true", ":::", *map(str, range(100)))
    i.flux("dump", "-q", where("busy.tar"))
    assert writer.wait(timeout=60) == 0
    i.flux("restore", "--verify", where("busy.tar"))


def test_tar_lists_an_archive_without_a_word_of_complaint(fresh_instance, where):
    i = fresh_instance
    fill(i)
    i.flux("dump", "-q", where("o.tar"))
    r = subprocess.run(["tar", "tvf", where("o.tar")], capture_output=True, text=True, timeout=60, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert r.returncode == 0 and r.stderr == ""
    for expected in ("a/b/one", "here -> a.b", "there -> other::k", "e/mpty/", "n%2Fm/k"):
        assert expected in r.stdout


def test_a_new_instance_takes_over_the_whole_store(build, tmp_path, where):
    from embedded import Instance

    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with Instance(build, tmp_path / "one") as i:
        fill(i)
        before = keys(i)
        i.flux("dump", "-q", "--checkpoint", where("o.tar"))
    with Instance(build, tmp_path / "two") as i:
        i.flux("kvs", "put", "old=1")
        i.flux("restore", "-q", "--checkpoint", where("o.tar"))
        assert keys(i) == before


class Pieces:
    """A file of 100 MB that is never in memory."""
    size = 100_000_000

    def __init__(self):
        self.digest = hashlib.sha256()
        self.pieces = [hashlib.shake_128(b"%d" % n).digest(100_000) for n in range(10)]
        self.pos = 0

    def read(self, size):
        """Whatever is asked for divides the pieces' size, but at the end."""
        out = b""
        while len(out) < size:
            at = self.pos % 1_000_000
            out += (piece := self.pieces[at // 100_000][at % 100_000:][:size - len(out)])
            self.pos += len(piece)
        self.digest.update(out)
        return out


def test_a_value_of_100_megabytes_is_archived_and_restored_in_bounded_memory(fresh_instance, where):
    i = fresh_instance
    pieces = Pieces()
    with tarfile.open(where("foreign.tar"), "w") as t:
        info = tarfile.TarInfo("big/value")
        info.size = Pieces.size
        t.addfile(info, pieces)
    asan = "san" in str(i.fluxctl)
    restored = peak_of([i.fluxctl, "restore", "-q", "--key=first", where("foreign.tar")], i.environ(), stderr=subprocess.DEVNULL)
    dumped = peak_of([i.fluxctl, "dump", "-q", where("o.tar")], i.environ())
    again = peak_of([i.fluxctl, "restore", "-q", "--key=again", where("o.tar")], i.environ())
    assert asan or max(restored, dumped, again) < 90
    with tarfile.open(where("o.tar")) as t:
        found = hashlib.sha256()
        f = t.extractfile("first/big/value")
        while piece := f.read(1 << 20):
            found.update(piece)
    assert found.digest() == pieces.digest.digest()
    assert i.flux("kvs", "get", "-t", "again.first.big.value") == i.flux("kvs", "get", "-t", "first.big.value")


@pytest.fixture(scope="module")
def archive(instance, tmp_path_factory):
    """Bytes of one."""
    path = tmp_path_factory.mktemp("archive") / "o.tar"
    fill(instance)
    instance.flux("dump", "-q", path)
    return path.read_bytes()



@pytest.mark.parametrize("how", ["cut", "cut at an entry", "nothing", "value", "path", "header"])
def test_a_damaged_archive_changes_nothing_and_is_named_so(instance, archive, where, how):
    if how == "cut":
        bad = archive[:len(archive) // 2]
    elif how == "cut at an entry":
        with tarfile.open(fileobj=io.BytesIO(archive)) as t:
            middle = t.getmembers()[len(t.getmembers()) // 2]
        bad = archive[:middle.offset]
    elif how == "nothing":
        bad = b"this is no archive\n" * 100
    else:
        at = {"value": archive.index(b"two words"), "path": archive.index(b"a/b/two"), "header": 100}[how]
        bad = archive[:at] + bytes([archive[at] ^ 2]) + archive[at + 1:]
    path = where("bad.tar")
    with open(path, "wb") as f:
        f.write(bad)
    before = keys(instance)
    for args in (["--verify"], ["--key=bad"], ["--checkpoint"]):
        r = instance.run("restore", *args, path, check=False)
        assert r.returncode == 1 and r.stderr.startswith("flux-restore: "), r
        assert "damaged" in r.stderr or "cannot be a key" in r.stderr, r
    assert keys(instance) == before
    assert "restore-" not in instance.flux("kvs", "namespace", "list")


def test_archives_of_others_are_restored_as_far_as_keys_go(instance, where):
    with tarfile.open(where("f.tar"), "w") as t:
        for name, kind, data in (("./d", tarfile.DIRTYPE, b""), ("./d/file", tarfile.REGTYPE, b"hi"), ("d", tarfile.DIRTYPE, b""),
                                 ("d/empty", tarfile.DIRTYPE, b"")):
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(data)
            t.addfile(info, io.BytesIO(data))
    r = instance.run("restore", "--key=foreign", where("f.tar"))
    assert "no digests" in r.stderr
    assert keys(instance, "foreign") == ["d.file = hi"] and instance.flux("kvs", "ls", "foreign.d").split() == ["empty", "file"]
    with tarfile.open(where("g.tar"), "w") as t:
        t.addfile(tarfile.TarInfo("a.txt"))
    r = instance.run("restore", "--key=g", where("g.tar"), check=False)
    assert r.returncode == 1 and "'a.txt' cannot be a key" in r.stderr


def test_large_values_are_left_out_when_told_so(instance, archive, where):
    with open(where("o.tar"), "wb") as f:
        f.write(archive)
    r = instance.run("restore", "--key=small", "--size-limit=1K", where("o.tar"))
    assert "left out long" in r.stderr
    assert "long" not in instance.flux("kvs", "ls", "small").split()
    assert instance.flux("kvs", "get", "small.a.b.one").strip() == "1"


def test_a_file_that_exists_is_kept_until_the_new_one_is_whole(instance, where):
    with open(where("o.tar"), "w") as f:
        f.write("old")
    r = instance.run("dump", where("o.tar"), check=False, env={**instance.env, "FLUX_URI": "local:///nowhere"})
    assert r.returncode == 1 and open(where("o.tar")).read() == "old"
    instance.run("kvs", "put", "kept=1")
    instance.flux("dump", "-q", where("o.tar"))
    assert tarfile.open(where("o.tar")).getmembers()
    assert sorted(os.listdir(os.path.dirname(where("o.tar")))) == ["o.tar"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_dump_that_is_interrupted_leaves_no_file_behind(instance, where, signum):
    piece = hashlib.shake_128(b"seed").digest(1 << 20).hex()
    instance.run("kvs", "put", "-r", "slow=-", input=piece * 8)
    directory = os.path.dirname(where("i.tar.xz"))
    p = instance.popen("dump", "-q", where("i.tar.xz"))
    wait_until("it writes", lambda: os.listdir(directory))
    p.send_signal(signum)
    assert p.wait(60) == -signum and os.listdir(directory) == []


def test_a_dump_that_does_not_fit_names_the_file_and_ends_at_once(instance):
    instance.flux("kvs", "put", *[f"full.k{n}={os.urandom(400).hex()}" for n in range(100)])
    r = instance.run("dump", "/dev/full", check=False)
    assert r.returncode == 1 and r.stderr.splitlines()[-1] == "flux-dump: cannot write /dev/full: No space left on device"
