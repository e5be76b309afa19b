# SPDX-License-Identifier: LGPL-3.0-or-later
"""fluxctl keygen: certificates that are closed, whole, and not replaced by accident."""
import os
import re
import stat
import subprocess

import pytest


@pytest.fixture
def keygen(build, tmp_path):
    def run(*args):
        return subprocess.run([build / "fluxctl" / "fluxctl", "keygen", *args], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    return run


def keys(path):
    return dict(re.findall(r'^    (public-key|secret-key) = "(.{40})"$', path.read_text(), re.M))


def test_a_certificate_is_closed_and_has_a_pair_of_keys(keygen, tmp_path):
    r = keygen("c")
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o400
    assert set(keys(tmp_path / "c")) == {"public-key", "secret-key"}
    assert f'    name = "{os.uname().nodename}"\n' in (tmp_path / "c").read_text()
    assert os.listdir(tmp_path) == ["c"]


def test_every_certificate_is_another(keygen, tmp_path):
    assert keygen("a").returncode == keygen("b").returncode == 0
    assert not set(keys(tmp_path / "a").values()) & set(keys(tmp_path / "b").values())


def test_name_and_metadata_are_written(keygen, tmp_path):
    assert keygen("--name=n one", "--meta=rack=7,site=a=b", "c").returncode == 0
    text = (tmp_path / "c").read_text()
    assert '    name = "n one"\n' in text and '    rack = "7"\n' in text and '    site = "a=b"\n' in text


def test_the_public_part_has_no_secret_key(keygen, tmp_path):
    assert keygen("--public=c.pub", "c").returncode == 0
    assert keys(tmp_path / "c.pub") == {"public-key": keys(tmp_path / "c")["public-key"]}
    assert keys(tmp_path / "c")["secret-key"] not in (tmp_path / "c.pub").read_text()


@pytest.mark.parametrize("args", [["c"], ["--public=c", "d"]])
def test_a_file_is_replaced_only_when_told_to(keygen, tmp_path, args):
    (tmp_path / "c").write_text("mine")
    r = keygen(*args)
    assert r.returncode == 1 and "c exists" in r.stderr and "--force" in r.stderr
    assert (tmp_path / "c").read_text() == "mine" and not (tmp_path / "d").exists()
    assert keygen("--force", *args).returncode == 0
    assert "public-key" in keys(tmp_path / "c")


@pytest.mark.parametrize("args,says", [
    (["--meta=rack", "c"], "'rack': expected KEY=VALUE"), (["--meta=a b=1", "c"], "cannot be a key"), (["--meta=a=\"", "c"], "the value of a"),
    (["--meta=name=x", "c"], "--name"), (["--name=a\nb", "c"], "--name"), (["nowhere/c"], "nowhere/c: No such file"), ([], "PATH")])
def test_what_cannot_be_done_says_why_and_leaves_nothing(keygen, tmp_path, args, says):
    r = keygen(*args)
    assert r.returncode != 0 and says in r.stderr, r.stderr
    assert os.listdir(tmp_path) == []
