# SPDX-License-Identifier: LGPL-3.0-or-later
"""A planned restart of each daemon under load shows no client an error: connections and unanswered requests go through
the service manager's descriptor store. The clients (steady.c) tolerate nothing."""
import contextlib
import os
import signal
import subprocess

import pytest

from embedded import DAEMONS, wait_until

MODES = ["commit", "lookup", "watch", "log", "jobs", "list"]


class Load:
    """One steady client of each mode."""

    def __init__(self, build, instance):
        self.clients = {}
        self.build, self.instance = build, instance

    def __enter__(self):
        for mode in MODES:
            self.clients[mode] = subprocess.Popen([str(self.build / "tests/steady"), mode], env=self.instance.environ(),
                                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                                  text=True)
        return self

    def end(self):
        """What each has done, by mode; or what went wrong."""
        done, trouble = {}, []
        for mode in reversed(MODES):  # the committer last, and who watches it before: nothing to wait for
            with contextlib.suppress(BrokenPipeError):
                self.clients[mode].stdin.close()
            self.clients[mode].stdin = None
        for mode, p in self.clients.items():
            out, err = p.communicate(timeout=60)
            if p.returncode != 0 or err:
                trouble.append(f"{mode}: exit {p.returncode}\n{err}")
            elif out:
                done[mode] = int(out.split()[1])
        assert not trouble, "\n".join(trouble) + self.instance.logs()
        return done

    def __exit__(self, *exc):
        for p in self.clients.values():
            p.kill()
            p.wait()


def restart(instance, daemon):
    old = instance.kill_daemon(daemon, signal.SIGTERM)
    wait_until(f"the next flux-{daemon}", lambda: instance.daemon_pids(daemon) not in ([], [old]))


def served(instance):
    """A job through all daemons, so that the restart before it is over."""
    return instance.run("run", "true").returncode == 0


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_planned_restart_under_load_is_noticed_by_no_client(fresh_instance, build, daemon):
    with Load(build, fresh_instance) as load:
        for _ in range(3):
            assert served(fresh_instance)
            restart(fresh_instance, daemon)
        assert served(fresh_instance)
        done = load.end()
    assert set(done) == set(MODES) and all(n > 0 for n in done.values()), done


def catches(pid, sig):
    with open(f"/proc/{pid}/status") as f:
        return any(line.startswith("SigCgt:") and int(line.split()[1], 16) >> (sig - 1) & 1 for line in f)


def restart_twice(instance, daemon):
    """The process that follows has its order to stop when it has only just begun to understand such orders."""
    old = instance.kill_daemon(daemon, signal.SIGTERM)
    while (pids := instance.daemon_pids(daemon)) in ([], [old]):
        pass
    (pid,) = [p for p in pids if p != old]
    os.kill(pid, signal.SIGSTOP)
    while not catches(pid, signal.SIGTERM):
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGCONT)
    wait_until(f"the next flux-{daemon}", lambda: instance.daemon_pids(daemon) not in ([], [old], [pid], [old, pid]))


def test_a_restart_of_a_router_that_has_only_just_begun_is_noticed_by_no_client(fresh_instance, build):
    with Load(build, fresh_instance) as load:
        for _ in range(5):
            restart_twice(fresh_instance, "broker")
        assert served(fresh_instance)
        load.end()
    assert [r["MESSAGE"] for r in fresh_instance.log_records("supervise") if "was killed" in r["MESSAGE"]] == []
