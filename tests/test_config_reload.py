# SPDX-License-Identifier: LGPL-3.0-or-later
"""flux config reload: who of the services takes the new configuration, and who does not."""
import json
import os

import pytest
from embedded import Instance, wait_until

BAD = {
    "content": ('sync = "soon"', "content: content.sync: use off, normal or full"),
    "exec": ('kill-timeout = "x"', "exec: exec.kill-timeout: must be a duration"),
    "job-manager": ('inactive-age-limit = "x"', "job-manager: job-manager.inactive-age-limit: must be a duration"),
    "kvs": ('cache-size = "huge"', "kvs: kvs.cache-size: not a number of bytes"),
    "resource": ('exclude = "x y"', "resource: x y: neither a set of ranks nor a list of hosts"),
}


@pytest.fixture
def configured(build, tmp_path):
    conf = tmp_path / "conf"
    conf.mkdir()
    with Instance(build, tmp_path, args=["-c", conf]) as i:
        i.run("run", "true")  # all daemons run

        def reload(text):
            (conf / "a.toml").write_text(text)
            r = i.run("config", "reload", check=False)
            return r.returncode, r.stderr.strip()
        yield i, reload


def test_a_reload_names_each_service_that_refuses_it_and_fails(configured):
    i, reload = configured
    status, said = reload("".join(f"[{table}]\n{line}\n" for table, (line, _) in BAD.items()))
    assert status == 1 and said.startswith("flux-config: ") and said.count("\n") == 0 and "by 5 services of this node" in said
    assert all(sentence in said for _, sentence in BAD.values()), said
    status, said = reload('[kvs]\ngc-threshold = -1\n')
    assert status == 1 and "by 1 service " in said and "kvs.gc-threshold" in said
    assert "kvs: not a table" in reload("kvs = 1\n")[1] and "content: not a table" in reload("content = 1\n")[1]
    assert "kvs.gc-grace" in reload('[kvs]\ngc-grace = "x"\n')[1] and "kvs.gc-size" in reload('[kvs]\ngc-size = "x"\n')[1]


def test_who_takes_the_new_configuration_goes_on_with_it_and_who_does_not_with_what_it_had(configured):
    i, reload = configured
    assert reload('[content]\nblob-size-limit = "1M"\n') == (0, "")
    assert reload('[content]\nblob-size-limit = "2M"\nhash = "md5"\n[kvs]\ngc-threshold = 7\n')[0] == 1
    assert json.loads(i.flux("config", "get", "kvs")) == {"gc-threshold": 7}
    assert json.loads(i.flux("module", "stats", "kvs"))["gc"]["due"] == 7
    r = i.run("content", "store", input="x" * 1500000, check=False)
    assert r.returncode == 1 and "larger than the limit of 1048576" in r.stderr
    i.run("kvs", "put", "-r", "large=-", input="x" * 1500000)  # what the key-value store makes of a value is its own affair
    assert i.flux("kvs", "get", "-r", "large") == "x" * 1500000
    assert reload("") == (0, "")
    i.run("content", "store", input="x" * 1500000)


def waits(i, daemon):
    """A process of the daemon is there and stays: one a second old."""
    pids = i.daemon_pids(daemon)
    with open("/proc/uptime") as f:
        now = float(f.read().split()[0])
    try:
        with open(f"/proc/{pids[0]}/stat") as f:
            started = int(f.read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
    except (IndexError, FileNotFoundError):
        return False
    return now - started > 1


@pytest.mark.parametrize("daemon", ["exec", "broker"])
def test_a_daemon_that_cannot_start_with_its_configuration_says_so_once_and_starts_when_it_is_mended(configured, daemon):
    i, reload = configured
    conf = i.workdir / "conf" / "a.toml"
    text, sentence = ('[exec]\nkill-timeout = "x"\n', "exec.kill-timeout: must be a duration") if daemon == "exec" else ("x = \n", "a.toml:1")
    if daemon == "exec":
        assert reload(text)[0] == 1
    conf.write_text(text)
    told = [r for r in i.log_records(daemon) if sentence in r["MESSAGE"]]
    i.kill_daemon(daemon)
    wait_until("the daemon waits", lambda: waits(i, daemon))
    after = [r for r in i.log_records(daemon) if sentence in r["MESSAGE"]]
    assert len(after) == len(told) + 1, after
    conf.write_text("")
    said = f"flux-supervise: flux-{daemon}: Waits for a better configuration: "
    lines = (i.workdir / "stderr").read_text().splitlines()
    assert len([x for x in lines if x.startswith(said) and sentence in x]) == 1, lines
    if daemon == "exec":
        assert reload("") == (0, "")
    wait_until("jobs run", lambda: i.run("run", "true", check=False).returncode == 0)


BAD_CONTENT = '[content]\nsync = "soon"\nhash = "md5"\n'
BAD_SAYS = "content.sync: use off, normal or full"


def test_daemons_that_store_start_again_with_the_table_they_had_when_that_of_the_file_is_bad(configured, tmp_path):
    i, reload = configured
    go = tmp_path / "go"
    i.run("kvs", "put", "a=1")
    job = i.flux("submit", "sh", "-c", f"echo begun; while [ ! -e {go} ]; do sleep 0.05; done; echo ended")
    wait_until("the task", lambda: i.flux("jobs", "-n", "-o", "{state}", job) == "RUN")
    assert reload(BAD_CONTENT)[0] == 1
    for daemon in ["content", "kvs", "content"]:  # twice: what was kept is kept on
        i.kill_daemon(daemon)
        assert i.run("kvs", "get", "a", check=False, timeout=30).stdout == "1\n"
    i.run("kvs", "put", "b=2")
    for daemon, sentence in ("content", BAD_SAYS), ("kvs", "content.hash: use blake2b or sha256"):
        text = f"the configuration is refused, [content] stays as it was: {sentence}"
        assert any(r["MESSAGE"] == text and r["MESSAGE_ID"] for r in i.log_records(daemon))
    go.touch()
    assert i.flux("job", "attach", job) == "begun\nended"
    assert reload("") == (0, "")
    assert i.flux("kvs", "get", "b") == "2"


def test_an_instance_that_begins_with_a_bad_content_table_says_so_to_who_asks_and_recovers(build, tmp_path):
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "a.toml").write_text(BAD_CONTENT)
    with Instance(build, tmp_path, args=["-c", conf]) as i:
        # the first one begins flux-resource: it waits until that has asked the store in vain
        for args in (["resource", "list"], ["kvs", "put", "a=1"], ["content", "store"], ["run", "true"], ["resource", "list"], ["queue", "status"]):
            r = i.run(*args, check=False, input="", timeout=30)
            assert r.returncode == 1 and ("content.sync: use" in r.stderr or "content.hash: use" in r.stderr), r.stderr
        daemons = ["content", "kvs", "resource", "sched", "job-ingest", "job-manager"]
        pids = {d: i.daemon_pids(d) for d in daemons}
        (conf / "a.toml").write_text("[content]\nhash = \"md5\"\n")
        assert i.run("config", "reload", check=False).returncode == 1
        assert {d: i.daemon_pids(d) for d in daemons} == pids  # none is started again and again
        assert [r["MESSAGE"] for r in i.log_records("content")].count(BAD_SAYS) == 1
        (conf / "a.toml").write_text("")
        assert i.run("config", "reload").returncode == 0
        wait_until("a commit", lambda: i.run("kvs", "put", "a=1", check=False).returncode == 0)
        wait_until("a job", lambda: i.run("run", "true", check=False).returncode == 0)
