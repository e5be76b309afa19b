# SPDX-License-Identifier: LGPL-3.0-or-later
"""flux kvs: each command and option of flux-kvs(1), through a live instance. Keys are below one directory per test."""
import filecmp
import hashlib
import itertools
import json
import os
import re
import subprocess
import threading

import pytest
from embedded import peak_of, with_enough_time
from soak_checks import is_sanitized

serial = itertools.count()


@pytest.fixture
def dir(instance):
    """The name of a directory that no other test has."""
    return f"d{next(serial)}"


@pytest.fixture
def ns(instance):
    name = f"ns{next(serial)}"
    instance.flux("kvs", "namespace", "create", name)
    return name


def kvs(i, *args, **kw):
    return i.flux("kvs", *args, **kw)


@pytest.fixture
def own_kvs(ns):
    """kvs() in a namespace in which nobody else commits: what counts commits needs it."""
    return lambda i, *args: kvs(i, *args, env={"FLUX_KVS_NAMESPACE": ns})


def refused(i, *args, **kw):
    """Its sentence."""
    r = i.run("kvs", *args, check=False, **kw)
    assert r.returncode == 1 and r.stderr.startswith("flux-kvs: ") and r.stderr.count("\n") == 1, r
    return r.stderr


class Watch:
    """A command that prints values as they come; next() is the next line."""

    def __init__(self, i, *args):
        self.p = i.popen("kvs", *args)
        self.timer = threading.Timer(60, self.p.kill)
        self.timer.start()

    def next(self):
        return self.p.stdout.readline().rstrip("\n")

    def end(self):
        """What else it printed, its errors, its exit status."""
        out, err = self.p.communicate(timeout=60)
        self.timer.cancel()
        return out, err, self.p.returncode


# --- put, get


def test_get_prints_values_with_a_newline_unless_they_are_empty_or_raw(instance, dir):
    kvs(instance, "put", f"{dir}.a=1", f"{dir}.b=two words", f"{dir}.e=")
    keys = [f"{dir}.{k}" for k in "abe"]
    assert instance.run("kvs", "get", *keys).stdout == "1\ntwo words\n"
    assert instance.run("kvs", "get", "-r", *keys).stdout == "1two words"
    assert instance.run("kvs", "get", "-l", *keys[:2]).stdout == f"{dir}.a=1\n{dir}.b=two words\n"
    assert json.loads(kvs(instance, "get", "--treeobj", keys[0])) == {"ver": 1, "type": "val", "data": "MQ=="}


def test_get_prints_what_it_finds_and_fails_for_what_it_does_not(instance, dir):
    kvs(instance, "put", f"{dir}.a=1")
    r = instance.run("kvs", "get", f"{dir}.a", f"{dir}.nothing", dir, check=False)
    assert (r.returncode, r.stdout) == (1, "1\n")
    assert f"{dir}.nothing: No such file or directory" in r.stderr and f"{dir}: the key is a directory" in r.stderr


def test_put_takes_bytes_and_tree_objects_from_standard_input(instance, dir):
    data = b"a\0\xffb\n" * 100000
    env = instance.environ()
    subprocess.run([instance.fluxctl, "kvs", "put", "-r", f"{dir}.x=-"], input=data, env=env, check=True)
    assert subprocess.run([instance.fluxctl, "kvs", "get", "-r", f"{dir}.x"], env=env, stdout=subprocess.PIPE, check=True).stdout == data
    instance.run("kvs", "put", "-t", f"{dir}.y=-", input=kvs(instance, "get", "-t", f"{dir}.x"))
    assert subprocess.run([instance.fluxctl, "kvs", "get", "-r", f"{dir}.y"], env=env, stdout=subprocess.PIPE, check=True).stdout == data
    kvs(instance, "put", f"{dir}.z=-")
    assert kvs(instance, "get", f"{dir}.z") == "-"


def test_put_appends_and_tells_the_root_and_its_sequence(instance, dir, own_kvs):
    kvs = own_kvs
    kvs(instance, "put", f"{dir}.a=1")
    kvs(instance, "put", "-A", f"{dir}.a=2")
    root = kvs(instance, "put", "-O", f"{dir}.b=3")
    assert json.loads(root)["type"] == "dirref" and kvs(instance, "get", "-a", root, f"{dir}.a", f"{dir}.b") == "12\n3"
    seq = int(kvs(instance, "put", "-s", "-n", f"{dir}.b=4"))
    assert seq == int(kvs(instance, "version")) == int(kvs(instance, "getroot", "-s"))
    assert [int(kvs(instance, c, "-s", *a)) for c, a in (("mkdir", [f"{dir}.m"]), ("link", ["x", f"{dir}.l"]), ("unlink", [f"{dir}.b"]))] == [
        seq + 1, seq + 2, seq + 3]
    assert kvs(instance, "unlink", "-O", f"{dir}.l") == kvs(instance, "getroot")
    ref = kvs(instance, "put", "-b", "--sync", f"{dir}.b=5")
    assert ref == kvs(instance, "getroot", "-b") == json.loads(kvs(instance, "getroot"))["data"][0]
    assert json.loads(instance.flux("module", "stats", "content"))["methods"]["content.flush"]["calls"] == 1, "by --sync alone"
    assert kvs(instance, "get", "-a", ref, f"{dir}.b") == "5"


@pytest.mark.parametrize("args, words", [
    (["put", "novalue"], "'novalue' KEY=VALUE"), (["put", "=1"], "'=1' KEY=VALUE"), (["put", ".=1"], "'.' root"), (["unlink", "-R", "."], "'.' root"), (["unlink", ".."], "'..' root"),
    (["mkdir", "k", ""], "empty"), (["link", "", "k"], "target empty"), (["link", "k", "."], "'.' root"), (["eventlog", "append", ".", "e"], "'.' root"),
    (["copy", "-D", "none", "resource.R", "k"], "none no such namespace --dst-namespace"), (["eventlog", "get", "resource.R"], "resource.R: not an eventlog"),
    (["eventlog", "append", "-t", "1e300", "k", "e"], "--timestamp '1e300'"),
    (["put", "-t", "k=x"], "k tree object"),
    (["put", "-rt", "k=x"], "--raw --treeobj"), (["put", "-At", "k=x"], "--append --treeobj"), (["put", "-Os", "k=x"], "--treeobj-root --sequence"), (["put", "-Ob", "k=x"], "--treeobj-root --blobref"),
    (["mkdir", "-bs", "k"], "--sequence --blobref"), (["getroot", "-sb"], "--sequence --blobref"), (["getroot", "-ob"], "--owner --blobref"),
    (["namespace", "create", "-r", "x", "new"], "'new' rootref"), (["eventlog", "get", "-uf", "text", "k"], "--unformatted --format"),
    (["eventlog", "get", "-HT", "iso", "k"], "--human --time-format"), (["eventlog", "get", "-f", "x", "k"], "--format 'x'"),
    (["eventlog", "get", "-T", "x", "k"], "--time-format 'x'"), (["eventlog", "get", "--color=x", "k"], "--color 'x'"),
    (["eventlog", "wait-event", "-m", "x", "k", "e"], "--match-context KEY=VALUE"), (["eventlog", "wait-event", "-c", "0", "k", "e"], "--count"),
    (["get", "-rt", "k"], "--raw --treeobj"), (["get", "-At", "k"], "--append --treeobj"), (["get", "-a", "x", "k"], "--at 'x' getroot"), (["get", "-c", "x", "k"], "--count 'x'"),
    (["get", "-w", "-a", '{"ver":1,"type":"dir","data":{}}', "k"], "--at wait"), (["dir", "-a", "x"], "--at 'x'"), (["readlink", "-a", "x", "k"], "--at 'x'"),
    (["readlink", "-ok", "k"], "--namespace-only --key-only"), (["getroot", "-so"], "--sequence --owner"), (["wait", "x"], "version 'x'"),
    (["ls", "-w", "x"], "--width 'x'"), (["get", "-N", "none", "k"], "k: no such namespace"), (["put", "-N", "none", "k=1"], "none no such namespace"),
    (["version", "-N", "none"], "no such namespace"), (["getroot", "-N", "none"], "no such namespace"), (["wait", "-N", "none", "1"], "no such namespace"),
    (["ls", "-N", "none"], "no such namespace"), (["namespace", "create", "primary"], "'primary' exists"), (["namespace", "remove", "none"], "'none' no such"),
    (["namespace", "remove", "primary"], "'primary' cannot"), (["namespace", "create", "-o", "no one", "x"], "'no one'"), (["eventlog", "append", "k", "e", "word"], "JSON object"),
    (["eventlog", "append", "-t", "x", "k", "e"], "--timestamp 'x'"), (["eventlog", "append", "-t", "0", "k", "e"], "--timestamp"), (["eventlog", "wait-event", "-t", "x", "k", "e"], "--timeout 'x'"),
    (["eventlog", "get", "-c", "x", "k"], "--count 'x'"), (["eventlog", "get", "none"], "none: No such"), (["readlink", "none"], "none: No such"),
    (["unlink", "none"], "none: No such"), (["copy", "none", "x"], "none: No such"), (["move", "none", "x"], "none: No such"),
], ids=lambda x: " ".join(x) if isinstance(x, list) else "")
def test_what_is_wrong_is_named(instance, args, words):
    sentence = refused(instance, *args)
    assert all(w.lower() in sentence.lower() for w in words.split(" ")), sentence


# --- waiting and watching


def test_waitcreate_waits_for_the_key(instance, dir):
    w = Watch(instance, "get", "-W", f"{dir}.a")
    kvs(instance, "put", f"{dir}.a=now")
    assert w.end() == ("now\n", "", 0)


def test_watch_prints_every_write_and_stops_after_count(instance, dir):
    kvs(instance, "put", f"{dir}.a=0")
    w = Watch(instance, "get", "-w", "-c", 4, f"{dir}.a")
    assert w.next() == "0"
    for value in "112":
        kvs(instance, "put", f"{dir}.a={value}")
        assert w.next() == value
    assert w.end() == ("", "", 0)


def test_watch_uniq_leaves_out_writes_that_change_nothing(instance, dir):
    kvs(instance, "put", f"{dir}.a=0")
    w = Watch(instance, "get", "-w", "-u", "-c", 3, f"{dir}.a")
    assert w.next() == "0"
    for value in ("0", "1", "1", "2"):
        kvs(instance, "put", f"{dir}.a={value}")
    assert w.end() == ("1\n2\n", "", 0)


def test_watch_append_prints_what_is_appended(instance, dir):
    kvs(instance, "put", f"{dir}.a=begin")
    w = Watch(instance, "get", "-w", "-A", "-l", "-c", 3, f"{dir}.a")
    assert w.next() == f"{dir}.a=begin"
    for value in ("x", "y"):
        kvs(instance, "put", "-A", f"{dir}.a={value}")
        assert w.next() == f"{dir}.a={value}"
    assert w.end() == ("", "", 0)


def test_a_watch_of_appends_says_that_the_value_was_overwritten(instance, dir):
    kvs(instance, "put", f"{dir}.log=123")
    w = Watch(instance, "get", "-A", f"{dir}.log")
    assert w.next() == "123"
    kvs(instance, "put", f"{dir}.log=0")
    out, err, status = w.end()
    assert (out, status) == ("", 1) and err.startswith(f"flux-kvs: {dir}.log: ") and "overwritten" in err


def test_several_keys_are_watched_at_once_and_end_each_for_itself(instance, dir):
    a, b, c = (f"{dir}.{k}" for k in "abc")
    kvs(instance, "put", f"{a}=0", f"{b}=0", f"{c}=0")
    w = Watch(instance, "get", "-w", "-l", "-c", 2, a, f"{dir}.none", c, b)
    assert sorted(w.next() for _ in range(3)) == [f"{a}=0", f"{b}=0", f"{c}=0"]
    kvs(instance, "put", f"{b}=1")
    assert w.next() == f"{b}=1"
    kvs(instance, "put", f"{b}=2")
    kvs(instance, "unlink", a)
    kvs(instance, "put", f"{c}=1")
    out, err, status = w.end()
    assert (out, status) == (f"{c}=1\n", 1)
    assert sorted(err.splitlines()) == [f"flux-kvs: {k}: No such file or directory" for k in (a, f"{dir}.none")]


def test_watch_full_notices_that_a_directory_above_was_replaced(instance, dir):
    kvs(instance, "put", f"{dir}.old.a=0", f"{dir}.new.a=1")
    w = Watch(instance, "get", "-w", "-f", "-c", 2, f"{dir}.old.a")
    assert w.next() == "0"
    kvs(instance, "copy", f"{dir}.new", f"{dir}.old")
    assert w.end() == ("1\n", "", 0)


def test_a_watch_ends_when_the_key_or_the_namespace_goes(instance, dir, ns):
    kvs(instance, "put", f"{dir}.a=0")
    w = Watch(instance, "get", "-w", f"{dir}.a")
    assert w.next() == "0"
    kvs(instance, "unlink", f"{dir}.a")
    assert w.end() == ("", f"flux-kvs: {dir}.a: No such file or directory\n", 1)
    w = Watch(instance, "get", "-N", ns, "-W", "a")
    kvs(instance, "namespace", "remove", ns)
    out, err, status = w.end()
    assert (out, status) == ("", 1) and "no such namespace, or it was removed" in err


def test_wait_waits_for_the_version(instance, dir):
    version = int(kvs(instance, "version"))
    kvs(instance, "wait", version)
    w = Watch(instance, "wait", version + 1)
    kvs(instance, "put", f"{dir}.a=1")
    assert w.end() == ("", "", 0)


# --- directories


@pytest.fixture
def tree(instance, dir):
    kvs(instance, "put", f"{dir}.b.x=1", f"{dir}.b.y.z=long value", f"{dir}.a=one\ntwo\x7f", f"{dir}.e=")
    kvs(instance, "link", "other", f"{dir}.l")
    return dir


def test_ls_lists_as_ls_does(instance, tree):
    def ls(*args):
        return instance.run("kvs", "ls", *args).stdout

    assert ls(tree) == ls("-1", tree) == "a\nb\ne\nl\n"
    assert ls("-F", tree) == "a\nb.\ne\nl@\n"
    assert ls("-w", 80, tree) == "a  b  e  l\n" and ls("-w", 7, tree) == "a  e\nb  l\n" and ls("-1", "-w", 80, tree) == ls(tree)
    assert ls("-R", tree) == f"{tree}:\na\nb\ne\nl\n\n{tree}.b:\nx\ny\n\n{tree}.b.y:\nz\n"
    assert ls("-d", tree) == f"{tree}\n" and ls("-dF", tree) == f"{tree}.\n" and ls("-d", ".") == ".\n"
    kvs(instance, "link", f"{tree}.b", f"{tree}.to")
    assert ls("-F", f"{tree}.l") == ls("-dF", f"{tree}.l") == f"{tree}.l@\n" and ls("-d", f"{tree}.to") == f"{tree}.to\n" and ls(f"{tree}.to") == "x\ny\n"
    kvs(instance, "unlink", f"{tree}.to")
    assert ls(f"{tree}.a", f"{tree}.b") == f"{tree}.a\n{tree}.b:\nx\ny\n"
    assert tree in ls().split() and ls() == ls(".")
    assert "No such file" in refused(instance, "ls", f"{tree}.nothing")


def test_dir_shows_keys_with_values_cut_to_the_width(instance, tree):
    def dir(*args):
        return instance.run("kvs", "dir", *args).stdout

    assert dir(tree) == f"{tree}.a = one.two.\n{tree}.b.\n{tree}.e = \n{tree}.l -> other\n"
    assert dir("-R", f"{tree}.b") == f"{tree}.b.x = 1\n{tree}.b.y.z = long value\n"
    assert dir("-R", "-d", f"{tree}.b") == f"{tree}.b.x\n{tree}.b.y.z\n"
    width = len(f"{tree}.b.y.z = long...")
    assert dir("-R", "-w", width, f"{tree}.b").splitlines()[1] == f"{tree}.b.y.z = long..."
    assert dir("-R", "-w", 0, f"{tree}.b").splitlines()[1] == f"{tree}.b.y.z = long value"
    root = kvs(instance, "getroot")
    kvs(instance, "put", f"{tree}.b.x=2")
    assert dir("-a", root, f"{tree}.b").splitlines()[0] == f"{tree}.b.x = 1"
    refused(instance, "dir", f"{tree}.a")
    refused(instance, "dir", f"{tree}.nothing")


def test_mkdir_makes_empty_directories_and_replaces_what_is_there(instance, tree):
    kvs(instance, "mkdir", f"{tree}.new.deep", f"{tree}.b")
    assert kvs(instance, "ls", "-F", f"{tree}.new") == "deep." and kvs(instance, "ls", f"{tree}.b") == ""


def test_unlink_spares_directories_with_content_unless_told(instance, tree):
    assert "--recursive" in refused(instance, "unlink", f"{tree}.b")
    kvs(instance, "unlink", "-f", f"{tree}.nothing", f"{tree}.a")
    kvs(instance, "mkdir", f"{tree}.empty")
    kvs(instance, "link", f"{tree}.b", f"{tree}.to-a-directory")
    kvs(instance, "unlink", f"{tree}.empty", f"{tree}.l", f"{tree}.to-a-directory")
    assert kvs(instance, "ls", tree) == "b\ne" and kvs(instance, "ls", f"{tree}.b") == "x\ny"
    kvs(instance, "unlink", "-R", tree)
    assert f"{tree}: No such" in refused(instance, "get", tree)


def test_ten_links_are_followed_and_eleven_are_not(instance, dir, ns):
    kvs(instance, "put", "-N", ns, "end.v=1")
    for n in range(12):  # every other one leads to the other namespace
        here, there = (ns, "primary") if n % 2 else ("primary", ns)
        to = "end" if n == 0 else f"{dir}.l{n - 1}"
        kvs(instance, "link", "-N", here, "-T", there if n else ns, to, f"{dir}.l{n}")
    assert kvs(instance, "get", f"{dir}.l8.v") == "1"
    assert kvs(instance, "get", "-N", ns, f"{dir}.l9.v") == "1"
    assert "too many symbolic links" in refused(instance, "get", f"{dir}.l10.v")
    kvs(instance, "link", f"{dir}.self", f"{dir}.self")
    assert "too many symbolic links" in refused(instance, "get", f"{dir}.self")


def test_a_snapshot_is_read_by_tree_object_and_by_root_reference(instance, dir):
    kvs(instance, "put", f"{dir}.a=1", f"{dir}.b.c=2")
    kvs(instance, "link", f"{dir}.a", f"{dir}.l")
    treeobj = kvs(instance, "getroot")
    ref = json.loads(treeobj)["data"][0]
    kvs(instance, "put", f"{dir}.a=3")
    kvs(instance, "unlink", "-R", f"{dir}.b")
    for at in (treeobj, ref):
        assert kvs(instance, "get", "-a", at, f"{dir}.a", f"{dir}.b.c", f"{dir}.l") == "1\n2\n1"
        assert kvs(instance, "dir", "-R", "-a", at, dir).splitlines() == [f"{dir}.a = 1", f"{dir}.b.c = 2", f"{dir}.l -> {dir}.a"]
        assert kvs(instance, "readlink", "-a", at, f"{dir}.l") == f"{dir}.a"
    assert kvs(instance, "get", f"{dir}.l") == "3"


def test_the_namespace_is_named_where_it_may_be_the_reason(instance, dir, ns):
    kvs(instance, "put", f"{dir}.a=1")
    assert f"'{ns}' (--namespace)" in refused(instance, "get", "-N", ns, f"{dir}.a")
    assert f"'{ns}' (FLUX_KVS_NAMESPACE)" in refused(instance, "get", f"{dir}.a", env=instance.environ(FLUX_KVS_NAMESPACE=ns))
    for args in (["get", "-N", "none", "k"], ["put", "-N", "none", "k=1"], ["version", "-N", "none"]):
        assert "'none' (--namespace); `flux kvs namespace list`" in refused(instance, *args)
    assert "--src-namespace" in refused(instance, "copy", "-S", "none", "a", "b")
    kvs(instance, "link", "-T", "none", "k", f"{dir}.l")
    assert f"{dir}.l: a link leads to a namespace that there is not" in refused(instance, "get", f"{dir}.l")


def test_what_is_too_deep_or_another_ones_is_said_so(instance, dir, ns):
    kvs(instance, "link", "k." * 200, f"{dir}.deep")
    assert "too deep" in refused(instance, "get", f"{dir}.deep")
    for command in ("copy", "move"):
        assert "'none' (FLUX_KVS_NAMESPACE)" in refused(instance, command, "a", "b", env={"FLUX_KVS_NAMESPACE": "none"})
    kvs(instance, "namespace", "create", f"{ns}\nforged")
    assert f"\n{ns}.forged " in kvs(instance, "namespace", "list")


def test_links_are_followed_and_read(instance, tree, ns):
    kvs(instance, "put", "-N", ns, "k.v=there")
    kvs(instance, "link", "-T", ns, "k.v", f"{tree}.far")
    kvs(instance, "link", f"{tree}.a", f"{tree}.near")
    kvs(instance, "link", "-N", ns, "k", "in")
    far, near = f"{tree}.far", f"{tree}.near"
    assert kvs(instance, "get", far, near) == "there\none\ntwo\x7f" and kvs(instance, "get", "-N", ns, "in.v") == "there"
    assert kvs(instance, "readlink", far, near) == f"{ns}::k.v\n{tree}.a"
    assert kvs(instance, "readlink", "-o", far, near) == ns and kvs(instance, "readlink", "-k", far, near) == f"k.v\n{tree}.a"
    root = kvs(instance, "getroot")
    kvs(instance, "link", "elsewhere", near)
    assert kvs(instance, "readlink", near) == "elsewhere" and kvs(instance, "readlink", "-a", root, near) == f"{tree}.a"
    assert "not a symbolic link" in refused(instance, "readlink", f"{tree}.a")
    kvs(instance, "link", f"{tree}.loop", f"{tree}.loop")
    assert "too many symbolic links" in refused(instance, "get", f"{tree}.loop") and "too many symbolic links" in refused(instance, "mkdir", f"{tree}.loop.x")
    kvs(instance, "link", "-T", ns, ".", f"{tree}.root")
    for args in (["put", f"{tree}.root.x=1"], ["mkdir", f"{tree}.root.x"], ["unlink", f"{tree}.root.k.v"]):
        assert "leads to another namespace" in refused(instance, *args)
    assert "a link cannot be appended to" in refused(instance, "put", "-A", f"{far}=1")


def test_copy_and_move_go_across_namespaces(instance, tree, ns):
    kvs(instance, "copy", f"{tree}.b", f"{tree}.c")
    assert kvs(instance, "get", f"{tree}.c.y.z") == "long value"
    kvs(instance, "copy", "-D", ns, f"{tree}.b", "b")
    kvs(instance, "move", "-S", ns, "-D", ns, "b", "moved")
    assert kvs(instance, "ls", "-N", ns) == "moved"
    kvs(instance, "move", "-S", ns, "moved", f"{tree}.back")
    assert kvs(instance, "ls", "-N", ns) == "" and kvs(instance, "get", f"{tree}.back.x") == "1"
    kvs(instance, "move", f"{tree}.a", f"{tree}.b.x", env={"FLUX_KVS_NAMESPACE": "primary"})
    assert kvs(instance, "get", f"{tree}.b.x").startswith("one") and "a" not in kvs(instance, "ls", tree).split()


def test_a_move_within_a_namespace_is_one_commit(instance, dir, own_kvs):
    kvs = own_kvs
    kvs(instance, "put", f"{dir}.a=1")
    version = int(kvs(instance, "version"))
    kvs(instance, "move", f"{dir}.a", f"{dir}.b")
    assert int(kvs(instance, "version")) == version + 1


@pytest.mark.parametrize("source, destination", [("a.b", "a.b"), ("a", "a.b.c"), ("a.b", "a"), ("a..b", "a.b"), (".a.", "a.b..c"), ("a.b.", "a")])
def test_nothing_is_lost_by_moving_a_key_to_itself_or_into_itself(instance, dir, source, destination):
    kvs(instance, "put", f"{dir}.a.b=1")
    sentence = refused(instance, "move", f"{dir}.{source}", f"{dir}.{destination}")
    assert f"'{dir}.{source}'" in sentence and kvs(instance, "get", f"{dir}.a.b") == "1"
    refused(instance, "move", f"{dir}.a", "."), refused(instance, "move", ".", f"{dir}.x")
    assert kvs(instance, "get", f"{dir}.a.b") == "1"


# --- namespaces, roots, caches


def test_namespaces_have_an_owner_and_are_listed(instance, ns):
    kvs(instance, "namespace", "create", "-o", "1234", f"{ns}-a", f"{ns}-b")
    listed = {l.split()[0]: l.split()[1:] for l in kvs(instance, "namespace", "list").splitlines()}
    assert listed["NAMESPACE"] == ["OWNER", "FLAGS"] and listed[f"{ns}-a"][0] == listed[f"{ns}-b"][0] == "1234"
    assert listed[ns][0] == listed["primary"][0] == str(os.getuid())
    assert kvs(instance, "getroot", "-N", f"{ns}-a", "-o") == "1234"
    assert {"namespace": f"{ns}-a", "owner": 1234} in [
        {k: o[k] for k in ("namespace", "owner")} for o in json.loads(kvs(instance, "namespace", "list", "--json"))["namespaces"]]
    kvs(instance, "namespace", "remove", f"{ns}-a", f"{ns}-b")
    assert f"{ns}-a" not in kvs(instance, "namespace", "list")


def test_a_namespace_begins_with_what_a_root_contains(instance, ns, dir):
    kvs(instance, "put", f"{dir}.a=1")
    kvs(instance, "namespace", "create", "-r", kvs(instance, "getroot", "-b"), f"{ns}-twin")
    kvs(instance, "put", "-N", f"{ns}-twin", f"{dir}.b=2")
    for ref in ("blake2b-" + "0" * 64, instance.flux("content", "store", input="no directory")):
        assert f"'{ns}-bad'" in refused(instance, "namespace", "create", "-r", ref, f"{ns}-bad")
    assert f"{ns}-bad" not in kvs(instance, "namespace", "list")
    assert kvs(instance, "get", "-N", f"{ns}-twin", f"{dir}.a", f"{dir}.b") == "1\n2" and kvs(instance, "ls", dir) == "a"


def test_the_environment_names_the_namespace_unless_the_option_does(instance, ns, dir):
    kvs(instance, "put", "-N", ns, "k=inside")
    kvs(instance, "put", "k=outside")
    env = {"FLUX_KVS_NAMESPACE": ns}
    assert kvs(instance, "get", "k", env=env) == "inside" and kvs(instance, "get", "-N", "primary", "k", env=env) == "outside"
    assert kvs(instance, "version", env=env) == kvs(instance, "version", "-N", ns) == "1"
    for command in (["mkdir", "m"], ["link", "k", "l"], ["eventlog", "append", "e", "x"], ["unlink", "m"]):
        kvs(instance, command[0], *command[1:], env=env)
    assert kvs(instance, "ls", "-N", ns) == "e\nk\nl" and kvs(instance, "dir", "-N", ns, "-R").startswith("e = ")


def test_values_outlive_the_caches(instance, dir):
    kvs(instance, "put", f"{dir}.a=kept")
    kvs(instance, "dropcache")
    assert kvs(instance, "get", f"{dir}.a") == "kept"
    kvs(instance, "dropcache", "--all")
    assert kvs(instance, "get", f"{dir}.a") == "kept"


# --- eventlogs


def test_events_are_appended_with_their_context_and_time(instance, dir):
    kvs(instance, "eventlog", "append", "-t", "1.5", f"{dir}.log", "first")
    kvs(instance, "eventlog", "append", "-t", "2", f"{dir}.log", "second", '{"a":', '"b c",', '"n":1}')
    kvs(instance, "eventlog", "append", f"{dir}.log", "third")
    lines = kvs(instance, "eventlog", "get", f"{dir}.log").splitlines()
    assert lines[:2] == ["1.500000 first", '2.000000 second a="b c" n=1'] and float(lines[2].split()[0]) > 1.7e9
    raw = kvs(instance, "eventlog", "get", "-u", f"{dir}.log")
    assert raw == kvs(instance, "get", "-r", f"{dir}.log") and json.loads(raw.splitlines()[1])["context"] == {"a": "b c", "n": 1}
    assert kvs(instance, "eventlog", "get", "-c", 2, f"{dir}.log").splitlines() == lines[:2]


def test_eventlog_get_goes_on_with_what_is_appended(instance, dir):
    w = Watch(instance, "eventlog", "get", "-W", "-w", "-c", 3, f"{dir}.log")
    for n in range(3):
        kvs(instance, "eventlog", "append", "-t", n + 1, f"{dir}.log", f"e{n}")
        assert w.next() == f"{n + 1}.000000 e{n}"
    assert w.end() == ("", "", 0)


def test_wait_event_prints_the_event_and_what_was_asked_for_besides(instance, dir):
    log = f"{dir}.log"
    for n in range(3):
        kvs(instance, "eventlog", "append", "-t", n + 1, log, f"e{n}")
    assert kvs(instance, "eventlog", "wait-event", log, "e1") == "2.000000 e1"
    assert kvs(instance, "eventlog", "wait-event", "-v", log, "e1") == "1.000000 e0\n2.000000 e1"
    assert kvs(instance, "eventlog", "wait-event", "-q", log, "e1") == ""
    assert json.loads(kvs(instance, "eventlog", "wait-event", "-u", log, "e1"))["name"] == "e1"
    assert "timed out waiting for event 'e9'" in refused(instance, "eventlog", "wait-event", "-t", "0.1", log, "e9")
    assert "timed out" in refused(instance, "eventlog", "wait-event", "-W", "-t", "0.1", f"{dir}.none", "e9")
    w = Watch(instance, "eventlog", "wait-event", "-W", "-t", "50", f"{dir}.later", "x")
    kvs(instance, "eventlog", "append", "-t", 9, f"{dir}.later", "x")
    assert w.end() == ("9.000000 x\n", "", 0)


LOG = [(1.5, "a", {"n": 1}), (2.5, "b", {"n": 1}), (4.25, "exception", {"n": 2, "note": "x y"}), (5, "b", {"n": "two"}), (6, "b", {})]


@pytest.fixture
def log(instance, dir):
    for t, name, context in LOG:
        kvs(instance, "eventlog", "append", "-t", t, f"{dir}.log", name, *([json.dumps(context)] if context else []))
    return f"{dir}.log"


def test_events_are_shown_in_many_forms(instance, log):
    def get(*args):
        return kvs(instance, "eventlog", "get", *args, log, env={"TZ": "UTC"}).splitlines()

    assert get("-T", "offset") == ["0.000000 a n=1", "1.000000 b n=1", '2.750000 exception n=2 note="x y"', '3.500000 b n="two"', "4.500000 b"]
    assert get("-T", "iso", "-c1") == ["1970-01-01T00:00:01.500000Z a n=1"] and get("-H", "-c1") == get("-Thuman", "-c1") == ["Jan01 00:00:01 a n=1"]
    assert get("-f", "json") == get("-u") and [json.loads(l)["name"] for l in get("-u")] == [e[1] for e in LOG]
    assert get("--color=never") == get() and get("--color=auto") == get()
    kvs(instance, "put", f"{log}2=" + json.dumps({"timestamp": 1e15, "name": "late"}) + "\n")
    assert [kvs(instance, "eventlog", "get", "-T", t, f"{log}2") for t in ("raw", "iso", "human", "offset")] == ["1000000000000000.000000 late"] * 3 + ["0.000000 late"]
    painted = get("-L")[2]
    assert "\033[" in painted and get("--color=always")[2] == painted


def test_wait_event_counts_and_looks_at_the_context(instance, log):
    def wait(*args, name="b"):
        return kvs(instance, "eventlog", "wait-event", "-Toffset", *args, log, name)

    assert wait() == "1.000000 b n=1" and wait("-c2") == '3.500000 b n="two"' and wait("--count=3") == "4.500000 b"
    assert wait("-m", "n=two") == '3.500000 b n="two"' and wait("-m", 'n="two"') == wait("-m", "n=two") and wait("-m", "n=1") == "1.000000 b n=1"
    assert wait("-q", "-v", "-c2").splitlines() == ["0.000000 a n=1", "1.000000 b n=1", '2.750000 exception n=2 note="x y"']
    assert wait("-v", name="exception").count("\n") == 2 and json.loads(kvs(instance, "eventlog", "wait-event", "-u", log, "a"))["timestamp"] == 1.5
    for args in (["-c4"], ["-m", "n=3"], ["-m", "none=1"]):
        assert "timed out" in refused(instance, "eventlog", "wait-event", "-t", "0.1", *args, log, "b")
    assert "No such file" in refused(instance, "eventlog", "wait-event", "-t", "20", f"{log}.none", "b")
    assert "timed out" in refused(instance, "eventlog", "wait-event", "-W", "-t", "0.1", f"{log}.none", "b")


def test_other_events_do_not_put_the_timeout_off(instance, dir):
    def disturbed_for(seconds):
        w = Watch(instance, "eventlog", "wait-event", "-W", "-v", "-t", seconds, f"{dir}.log{seconds}", "never")
        n = 0
        while w.p.poll() is None:
            kvs(instance, "eventlog", "append", f"{dir}.log{seconds}", "other")
            n += 1
        out, err, status = w.end()
        assert status == 1 and "timed out" in err and out.count("\n") <= n
        return n if n > 1 and out else None

    assert with_enough_time(disturbed_for)


def test_a_long_value_passes_in_pieces(instance, dir, tmp_path):
    """Through links, below snapshots and after a label too; the memory of nobody grows with it."""
    piece = hashlib.shake_128(b"seed").digest(1 << 20)
    with open(tmp_path / "data", "wb") as f:
        for _ in range(12):
            f.write(piece)
        f.write(b"end")
    env, key = instance.environ(), f"{dir}.long"

    def peak(*args, **kw):
        return peak_of([instance.fluxctl, "kvs", *args], env, **kw)

    def size_of(name):
        return max(int(re.search(r"VmHWM:\s*(\d+)", open(f"/proc/{p}/status").read()).group(1)) / 1024 for p in instance.daemon_pids(name))

    kvs(instance, "link", key, f"{dir}.link")
    kvs(instance, "link", f"{dir}.link", f"{dir}.link2")
    grown = size_of("kvs")
    with open(tmp_path / "data") as f:
        put = peak("put", "-r", f"{key}=-", stdin=f)
    root, used = kvs(instance, "getroot"), []
    for args in ([key], [f"{dir}.link2"], ["-a", root, key], ["-W", key]):
        with open(tmp_path / "out", "wb") as f:
            used.append(peak("get", "-r", *args, stdout=f))
        assert filecmp.cmp(tmp_path / "out", tmp_path / "data", shallow=False), args
    shown_plainly = re.sub(rb"\xc2[\x80-\x9f]|[\0-\x1f\x7f]", b".", piece) * 12 + b"end"
    for args in ([], ["-w", "60"]):
        with open(tmp_path / "out", "wb") as f:
            used.append(peak("dir", *args, dir, stdout=f))
        (line,) = [l for l in open(tmp_path / "out", "rb").read().split(b"\n") if b"long = " in l]
        assert line == f"{dir}.long = ".encode() + (shown_plainly if not args else shown_plainly[:60 - len(f"{dir}.long = ") - 3] + b"...")
    for command in (["kvs", "get", "-r", key], ["kvs", "dir", dir], ["content", "load", *json.loads(kvs(instance, "get", "-t", key))["data"]]):
        with open("/dev/full", "wb") as full:
            r = subprocess.run([instance.fluxctl, *command], env=env, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        assert r.returncode == 1 and r.stderr == f"flux-{command[0]}: cannot write to standard output: No space left on device\n"
    if not is_sanitized(instance):
        assert max(put, *used) < 56 and size_of("kvs") - grown < 5 and size_of("broker") < 20
    kvs(instance, "put", "-r", f"{dir}.a=1")
    script = f"""flux() {{ {instance.fluxctl} kvs "$@"; }}; set -e
        flux get -l {key} {dir}.a {dir}.link | cmp - <(printf %s= {key}; cat data; printf '\\n%s=1\\n%s=' {dir}.a {dir}.link; cat data; echo)
        flux put -A -r {key}=more; flux get -r {key} | cmp - <(cat data; printf more)
        head -c 6000000 data >part; flux put -A -r {dir}.appended=- <part; flux put -A -r {dir}.appended=- <part
        flux get -r {dir}.appended | cmp - <(cat part part)"""
    subprocess.run(["bash", "-c", script], env=env, cwd=tmp_path, check=True, timeout=60)
