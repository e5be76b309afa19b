# SPDX-License-Identifier: LGPL-3.0-or-later
"""Jobs that the job manager archives with their finish: what is left of them when daemons are killed at that moment."""
import collections
import json
import random
import signal

from embedded import Instance, wait_until
from test_hostile import build  # noqa: F401  (a fixture)

JOBS = 32


def namespaces(instance):
    return [line.split()[0] for line in instance.flux("kvs", "namespace", "list").splitlines()[1:]]


def exec_log(instance, jobid):
    text = instance.flux("kvs", "get", "--raw", instance.kvs_key(jobid, "guest.exec.eventlog"))
    return [json.loads(line) for line in text.splitlines()]


def test_a_job_that_ended_well_is_archived_once_whoever_was_killed_meanwhile(build, tmp_path):  # noqa: F811
    pick = random.Random(1)
    with Instance(build, tmp_path) as i:
        ids = i.flux("submit", f"--cc=1-{JOBS}", "sh", "-c", f"echo run >>{tmp_path}/ran.$FLUX_JOB_ID").split()
        for n in range(1, 6):
            wait_until("some more to end", lambda: len(i.flux("jobs", "-ano", "{id}", "--filter=inactive").split()) >= n * JOBS // 8)
            i.kill_daemon(pick.choice(["job-manager", "exec"]), signal.SIGKILL)
        i.flux("queue", "drain")
        for jobid in ids:
            names = collections.Counter(e["name"] for e in i.eventlog(jobid))
            assert all(names[n] == 1 for n in ("alloc", "start", "finish", "free", "clean")), names
            (finish,) = [e for e in i.eventlog(jobid) if e["name"] == "finish"]
            log = exec_log(i, jobid)
            assert [e["name"] for e in log[-2:]] == ["complete", "done"]
            assert log[-2]["context"] == finish["context"] == {"status": 0}
            assert [e["name"] for e in log].count("complete") == 1
            assert (tmp_path / f"ran.{i.flux('job', 'id', '--to=f58', jobid).strip()}").read_text() == "run\n"
        assert not [ns for ns in namespaces(i) if ns.startswith("job-")]


def test_a_user_cannot_keep_his_job_from_being_archived(build, tmp_path):  # noqa: F811
    with Instance(build, tmp_path) as i:
        i.flux("run", "true")
        pid = i.daemon_pids("job-manager")
        for what in ("flux kvs put exec=1", "flux kvs unlink -R exec && flux kvs put exec.eventlog.x=1", "flux kvs unlink -R exec"):
            jobid = i.flux("submit", "sh", "-c", f"export FLUX_KVS_NAMESPACE=job-$(flux job id --to=dec $FLUX_JOB_ID); {what}").strip()
            i.flux("job", "wait-event", jobid, "clean")
        assert not [ns for ns in namespaces(i) if ns.startswith("job-")]
        assert i.daemon_pids("job-manager") == pid
