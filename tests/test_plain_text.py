# SPDX-License-Identifier: LGPL-3.0-or-later
"""Names, keys and notes that somebody else chose do not drive the terminal of whoever looks at them."""
import json

RED = "\033[31m"
CSI = "\u009b31m"  # the same in one character, two bytes of UTF-8


def assert_plain(r, *shown):
    text = r.stdout + r.stderr
    assert not [c for c in text if c != "\n" and ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0], repr(text)
    for s in shown:
        assert s in text, text


def test_names_and_notes_of_jobs_are_shown_in_one_line_without_control_characters(instance):
    job = instance.flux("submit", f"--job-name=a{RED}\n{CSI}b", "sleep", "100")
    instance.flux("job", "memo", job, f"x={RED}")
    instance.flux("job", "raise", "-s", "0", "-t", "cancel", job, "--", f"why{RED}{CSI}")
    assert_plain(instance.run("job", "status", "-v", job, check=False), "cancel: why.[31m.31m")
    r = instance.run("jobs", "-ano", "{name} {name:.4}| {exception.note} {annotations.user.x}")
    assert_plain(r, "a.[31m..31mb a.[3| why.[31m.31m .[31m\n")
    assert_plain(instance.run("job", "attach", "-vE", job, check=False), "was canceled: why.[31m.31m")
    assert_plain(instance.run("job", "eventlog", job), 'note="why\\u001B[31m.31m"')
    listed = [json.loads(line) for line in instance.flux("job", "list-inactive").splitlines()]
    assert [j["name"] for j in listed] == [f"a{RED}\n{CSI}b"]  # programs get what it is


def test_keys_are_shown_without_control_characters(instance):
    instance.flux("kvs", "put", f"dir.k{RED}=1")
    instance.flux("kvs", "link", f"to{CSI}", "dir.link")
    assert_plain(instance.run("kvs", "ls", "-RF"), "dir:\nk.[31m\nlink@\n")
    assert_plain(instance.run("kvs", "dir", "-R", "dir"), "dir.k.[31m = 1\n", "dir.link -> to.31m\n")
    assert_plain(instance.run("kvs", "get", f"no{RED}", check=False), "no.[31m: No such file")


def test_reasons_are_shown_without_control_characters(instance):
    instance.flux("resource", "drain", "0", f"why{RED}")
    assert_plain(instance.run("resource", "drain"), "why.[31m")
    instance.flux("resource", "undrain", "0")
