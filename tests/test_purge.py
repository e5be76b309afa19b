# SPDX-License-Identifier: LGPL-3.0-or-later
"""Forgetting past jobs: `flux job purge`, the limits of the configuration, and faults in the middle of it."""
import json
import os
import shutil
import signal

import pytest
from embedded import Instance, wait_until
from rawclient import Client


def submit(instance, count, *args):
    return instance.flux("submit", f"--cc=1-{count}", "--wait", *args, "true").split()


def past(instance):
    return int(json.loads(instance.flux("module", "stats", "job-list"))["job-list"]["past"])


def listed(instance):
    return len(instance.flux("jobs", "-an", "-c", "0", "-o", "{id}").split())


def in_kvs(instance):
    """Jobs that the KVS has, and that no directory is left empty."""
    r = instance.run("kvs", "dir", "-R", "job", check=False)
    return len([l for l in r.stdout.splitlines() if ".eventlog" in l and "guest" not in l])


def wait_left(instance, count):
    wait_until(f"{count} jobs left", lambda: (listed(instance), in_kvs(instance)) == (count, count))


def test_what_is_purged_is_unknown_and_leaves_nothing(fresh_instance):
    i = fresh_instance
    ids = submit(i, 5)
    assert "2 jobs would be purged" in i.flux("job", "purge", ids[0], ids[1])
    assert listed(i) == 5
    assert "2 jobs purged" in i.flux("job", "purge", "--force", ids[0], ids[1])
    wait_left(i, 3)
    for args in (["jobs", ids[0]], ["job", "info", ids[0], "jobspec"], ["job", "attach", ids[0]], ["job", "eventlog", ids[0]],
                 ["job", "wait-event", ids[0], "clean"]):
        r = i.run(*args, check=False)
        assert r.returncode != 0 and "there is no" in r.stderr, args
    r = i.run("job", "purge", "--force", ids[0], ids[2], check=False)
    assert r.returncode != 0 and "1 of 2" in r.stderr
    i.run("job", "purge", "--force", "--age-limit=0")
    assert i.run("kvs", "get", "job", check=False).returncode != 0  # not even the directories above
    assert i.flux("kvs", "get", "job-state.npurged") == "5"


def test_active_jobs_and_promised_results_stay(fresh_instance):
    i = fresh_instance
    running, held = i.flux("submit", "sleep", "300"), i.flux("submit", "--urgency=hold", "true")
    waitable = i.flux("submit", "--flags=waitable", "true")
    i.run("job", "attach", waitable)
    wait_until("its end", lambda: i.eventlog(waitable)[-1]["name"] == "clean")
    for jobid, why in ((running, "active"), (held, "active"), (waitable, "wait")):
        r = i.run("job", "purge", "--force", jobid, check=False)
        assert r.returncode != 0 and why in r.stderr, jobid
    assert "0 jobs purged" in i.flux("job", "purge", "--force", "--num-limit=0")
    i.run("job", "wait", waitable)
    wait_until("the purge", lambda: "1 job purged" in i.flux("job", "purge", "--force", "--num-limit=0"))


def test_a_purge_without_a_sensible_choice_is_refused(instance):
    for args in ([], ["--num-limit=-1"], ["--age-limit=soon"], ["--num-limit=1", "ƒ1"], ["nonsense"]):
        r = instance.run("job", "purge", *args, check=False)
        assert r.returncode != 0 and r.stderr, args
    for payload in ({}, {"num_limit": -1}, {"age_limit": -1.5}, {"ids": []}, {"ids": ["x"]}, {"ids": list(range(1, 1002))}, {"ids": 3}):
        assert rpc_errno(instance, "job-manager.purge", payload) in (22, 71), payload
    for payload in ({}, {"max_entries": 0}, {"max_entries": 10**6}, {"max_entries": 1, "after": [1]}, {"max_entries": 1, "after": ["a", "b"]},
                    {"ids": list(range(1001))}):
        assert rpc_errno(instance, "job-list.oldest", payload) in (22, 71), payload


def rpc_errno(instance, topic, payload):
    client = Client(f"{instance.rundir}/local")
    try:
        return client.rpc(topic, payload).errnum
    finally:
        client.close()


def start_with(build, tmp_path, text):
    config = tmp_path / "config"
    config.mkdir()
    (config / "flux.toml").write_text(text)
    return config, Instance(build, tmp_path, args=[f"--config-path={config}"])


def test_the_limits_of_the_configuration_hold_and_are_read_again(build, tmp_path):
    config, inst = start_with(build, tmp_path, "[job-manager]\ninactive-num-limit = 4\n")
    with inst as i:
        ids = submit(i, 10)
        wait_left(i, 4)
        assert set(i.flux("jobs", "-an", "-o", "{id.f58}").split()) <= set(ids)
        (config / "flux.toml").write_text("[job-manager]\ninactive-num-limit = 1\n")
        i.run("config", "reload")
        wait_left(i, 1)
        (config / "flux.toml").write_text('[job-manager]\ninactive-age-limit = "50ms"\n')
        i.run("config", "reload")
        wait_left(i, 0)
        submit(i, 3)
        wait_left(i, 0)
        (config / "flux.toml").write_text('[job-manager]\ninactive-age-limit = "soon"\n')
        r = i.run("config", "reload", check=False)
        wait_until("the refusal", lambda: "inactive-age-limit" in r.stderr + i.logs())


@pytest.mark.parametrize("victims", [["job-manager"], ["job-list"], ["kvs"], ["job-manager", "job-list"]])
def test_a_purge_that_is_killed_loses_count_of_nothing(fresh_instance, victims):
    i = fresh_instance
    submit(i, 250)
    assert listed(i) == 250
    p = i.popen("job", "purge", "--force", "--num-limit=20")
    wait_until("the purge to begin", lambda: listed(i) < 250 or p.poll() is not None)
    for v in victims:
        i.kill_daemon(v)
    p.communicate(timeout=60)
    wait_until("a purge to go on", lambda: i.run("job", "purge", "--force", "--num-limit=20", check=False).returncode == 0)
    wait_left(i, 20)
    assert i.flux("kvs", "get", "job-state.npurged") == "230"
    assert i.flux("kvs", "get", "job-state.ninactive") == "250"
    assert not any("another instance" in r["MESSAGE"] or "not in the KVS" in r["MESSAGE"] for r in i.log_records("job-list"))
    assert submit(i, 1)
    wait_left(i, 21)


def stop_index(i):
    """SIGTERM: all is in the file then, and the next question starts it again."""
    pid = i.kill_daemon("job-list", signal.SIGTERM)
    wait_until("its end", lambda: pid not in i.daemon_pids("job-list"))


def put_index(i, old, path):
    """Under a process that may have taken up the connections of the last one already: the next reads it."""
    shutil.copy(old, path + ".new")
    for suffix in ("-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)
    os.replace(path + ".new", path)
    for pid in i.daemon_pids("job-list"):
        os.kill(pid, signal.SIGKILL)
        wait_until("its end", lambda: pid not in i.daemon_pids("job-list"))


def test_an_index_that_missed_a_purge_finds_what_is_gone(fresh_instance):
    i = fresh_instance
    path = os.path.join(i.rundir, "job-list.sqlite")
    submit(i, 30)
    assert listed(i) == 30
    stop_index(i)
    shutil.copy(path, i.workdir / "old")
    i.run("job", "purge", "--force", "--num-limit=10")
    wait_left(i, 10)
    stop_index(i)
    put_index(i, i.workdir / "old", path)
    wait_left(i, 10)
    assert any("20 jobs were purged meanwhile" in r["MESSAGE"] for r in i.log_records("job-list"))
    assert json.loads(i.flux("module", "stats", "job-list"))["job-list"]["past"] == 10
