# SPDX-License-Identifier: LGPL-3.0-or-later
"""flux-supervise with units and a daemon of the tests' own: activation, readiness, restarts, watchdog, descriptor store,
exit codes, and that nothing is left."""
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest
from embedded import wait_until

TOP = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def build():
    return pathlib.Path(os.environ.get("FLUX_BUILD", TOP / "build"))


class Supervise:
    """Units in a directory and flux-supervise on them; the program is held open by a pipe."""

    def __init__(self, build, tmp):
        self.exe = str(build / "supervise" / "flux-supervise")
        self.toy = str(build / "supervise" / "toy-daemon")
        self.units = tmp / "units"
        self.rundir = tmp / "run"
        self.log = tmp / "starts"
        self.units.mkdir()
        (self.units / "flux.target").write_text("[Unit]\nWants=flux-first.service\n")
        self.proc = None

    def daemon(self, name, socket=True, args="", **keys):
        keys = {"Type": "notify", "Restart": "on-failure", "RestartSec": "10ms", "FileDescriptorStoreMax": "4", **keys}
        lines = "\n".join(f"{k}={v}" for k, v in keys.items())
        (self.units / f"flux-{name}.service").write_text(
            f"[Service]\nExecStart={self.toy} {args}\nEnvironment=TOY_LOG={self.log}.{name}\n{lines}\n")
        if socket:
            (self.units / f"flux-{name}.socket").write_text(
                f"[Socket]\nListenSequentialPacket=%t/flux/node/{name}\nSymlinks=%t/flux/leader/{name}-too\n"
                f"SocketMode=0600\nFileDescriptorName=service\n")

    def command(self, *program, opts=()):
        return [self.exe, f"--units={self.units}", f"--rundir={self.rundir}", *opts, "--", *program]

    def run(self, *program, opts=(), **kw):
        return subprocess.run(self.command(*program, opts=opts), capture_output=True, text=True, timeout=60, **kw)

    def start(self):
        self.proc = subprocess.Popen(self.command("sh", "-c", "echo $FLUX_URI; read x"), stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.proc.stdout.readline().strip() == f"local://{self.rundir}/local"

    def stop(self):
        if self.proc and self.proc.poll() is None:
            self.proc.stdin.close()
            assert self.proc.wait(timeout=60) == 1  # read at end of file

    def connect(self, name):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(60)
        s.connect(str(self.rundir / name))
        return s

    def ask(self, name, *requests):
        with self.connect(name) as s:
            return self.say(s, *requests)

    @staticmethod
    def say(s, *requests):
        out = []
        for r in requests:
            s.send(r.encode())
            out.append(s.recv(4096).decode())
        return out[0] if len(out) == 1 else out

    def starts(self, name):
        try:
            return pathlib.Path(f"{self.log}.{name}").read_text().splitlines()
        except FileNotFoundError:
            return []


@pytest.fixture
def sup(build, tmp_path):
    s = Supervise(build, tmp_path)
    yield s
    if s.proc and s.proc.poll() is None:
        s.proc.kill()
        s.proc.wait()


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().split(") ")[1][0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("script,status", [("exit 0", 0), ("exit 9", 9), ("kill -9 $$", 137), ("kill -TERM $$", 143)])
def test_exit_status_is_that_of_the_program(sup, script, status):
    sup.daemon("first")
    assert sup.run("sh", "-c", script).returncode == status


def test_a_program_that_does_not_exist_is_named(sup):
    sup.daemon("first")
    r = sup.run("/no/such/program")
    assert r.returncode == 127 and "/no/such/program" in r.stderr


def test_nothing_is_left(sup):
    sup.daemon("first")
    r = sup.run("sh", "-c", "sleep 1000 & setsid sleep 1000 & echo $! $PPID")
    background, supervise = map(int, r.stdout.split())
    assert not sup.rundir.exists()
    assert not alive(background) and not alive(supervise)
    assert not alive(sup.starts("first")[0].split()[0])


def test_a_runtime_directory_that_was_there_is_kept(sup):
    sup.daemon("first")
    sup.rundir.mkdir(mode=0o700)
    assert sup.run("true").returncode == 0
    assert sup.rundir.exists()


def test_a_runtime_directory_open_to_others_is_refused(sup):
    sup.daemon("first")
    sup.rundir.mkdir()
    sup.rundir.chmod(0o755)
    r = sup.run("true")
    assert r.returncode == 1 and str(sup.rundir) in r.stderr


def test_wanted_daemons_start_at_once_and_others_when_somebody_connects(sup):
    sup.daemon("first")
    sup.daemon("second")
    sup.start()
    assert len(sup.starts("first")) == 1 and not sup.starts("second")
    pid = sup.ask("node/second", "pid")
    assert sup.starts("second") == [f"{pid} service"]
    assert sup.ask("leader/second-too", "pid") == pid
    sup.stop()


def test_daemons_get_their_environment(sup):
    sup.daemon("first")
    sup.start()
    names = ["FLUX_RUNDIR", "STATE_DIRECTORY", "FLUX_LOG_DIR", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_FDNAMES", "FLUX_URI",
             "LISTEN_PID"]
    values = dict(zip(names, sup.ask("node/first", *[f"env {n}" for n in names])))
    assert values == {"FLUX_RUNDIR": str(sup.rundir), "STATE_DIRECTORY": "(unset)", "LISTEN_FDS": "1",
                      "FLUX_LOG_DIR": f"{sup.rundir}/log", "NOTIFY_SOCKET": f"{sup.rundir}/notify",
                      "LISTEN_FDNAMES": "service", "FLUX_URI": "(unset)", "LISTEN_PID": sup.ask("node/first", "pid")}
    sup.stop()


def test_sockets_and_directory_are_private(sup):
    sup.daemon("first")
    sup.start()
    assert (sup.rundir.stat().st_mode & 0o777) == 0o700
    assert ((sup.rundir / "node" / "first").stat().st_mode & 0o777) == 0o600
    sup.stop()


def test_a_killed_daemon_is_started_again_and_waiting_clients_are_served(sup):
    sup.daemon("first")
    sup.start()
    pid = sup.ask("node/first", "pid")
    os.kill(int(pid), signal.SIGKILL)
    assert sup.ask("node/first", "pid") != pid  # waits in the socket's queue meanwhile
    assert len(sup.starts("first")) == 2
    sup.stop()


def test_a_daemon_that_ends_well_is_started_again_only_on_demand(sup):
    sup.daemon("first", RestartSec="1h")
    sup.start()
    with sup.connect("node/first") as s:
        pid = sup.say(s, "pid")
        s.send(b"exit 0")
        assert s.recv(1) == b""
    assert len(sup.starts("first")) == 1
    assert sup.ask("node/first", "pid") != pid  # not after an hour
    sup.stop()


def test_restart_always_starts_again_after_a_good_end(sup):
    sup.daemon("first", Restart="always")
    sup.start()
    with sup.connect("node/first") as s:
        s.send(b"exit 0")
    wait_until("second start", lambda: len(sup.starts("first")) == 2)
    sup.stop()


def test_the_watchdog_replaces_a_daemon_that_hangs(sup):
    sup.daemon("first", WatchdogSec="1s")
    sup.start()
    with sup.connect("node/first") as s:
        pid = sup.say(s, "pid")
        s.send(b"hang")
        assert s.recv(1) == b""
    assert sup.ask("node/first", "pid") != pid
    sup.stop()


def test_the_watchdog_replaces_a_daemon_that_was_stopped(sup):
    sup.daemon("first", WatchdogSec="200ms")
    sup.start()
    pid = sup.ask("node/first", "pid")
    os.kill(int(pid), signal.SIGSTOP)
    assert sup.ask("node/first", "pid") != pid
    sup.stop()


def test_a_daemon_that_shows_signs_of_life_is_left_alone(sup):
    sup.daemon("first", WatchdogSec="2s")
    sup.start()
    pid = sup.ask("node/first", "pid")
    end = time.monotonic() + 2.5
    while time.monotonic() < end:  # longer than the period, which itself is long: it may have to wait for a CPU
        assert sup.ask("node/first", "pid") == pid
        time.sleep(0.05)
    sup.stop()


def test_stored_connections_survive_kill_9(sup):
    sup.daemon("first")
    sup.start()
    with sup.connect("node/first") as s:
        pid, stored = sup.say(s, "pid", "store client-7")
        assert stored == "stored"
        os.kill(int(pid), signal.SIGKILL)
        assert sup.say(s, "pid") != pid  # the same connection, the next process
    assert sup.starts("first")[1].split()[1] == "service:client-7"
    sup.stop()


def test_a_daemon_that_ends_well_and_leaves_descriptors_is_started_again_at_once(sup):
    sup.daemon("first", RestartSec="1h")
    sup.start()
    with sup.connect("node/first") as s:
        pid, stored = sup.say(s, "pid", "store client-7")
        assert stored == "stored"
        s.send(b"exit 0")
        assert sup.say(s, "pid") != pid
    sup.stop()


def test_a_stored_connection_ends_when_its_daemon_ends_for_good(sup):
    sup.daemon("first", Restart="no")
    sup.start()
    with sup.connect("node/first") as s:
        assert sup.say(s, "store client-7") == "stored"
        s.send(b"exit 0")
        assert s.recv(1) == b""  # nobody else holds it
    sup.stop()


def test_a_daemon_that_is_just_being_started_is_stopped_at_once(sup):
    """A signal that falls between fork and exec must not be lost: it cost the whole TimeoutStopSec=."""
    for name in ("first", *(f"other{i}" for i in range(8))):
        sup.daemon(name, TimeoutStopSec="1h")
    touch = "import socket,sys\nfor i in range(8):\n s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET);" \
            "s.connect(f'{sys.argv[1]}/node/other{i}')"
    for _ in range(10):
        assert sup.run("/usr/bin/python3", "-c", touch, str(sup.rundir)).returncode == 0


def test_a_daemon_that_fails_at_start_ends_the_attempt_with_a_reason(sup):
    sup.daemon("first", args="--fail")
    r = sup.run("true")
    assert r.returncode == 1
    assert "flux-first did not start" in r.stderr and "status 3" in r.stderr
    assert not sup.rundir.exists()


def test_a_daemon_that_is_not_there_is_named(sup):
    sup.daemon("first")
    f = sup.units / "flux-first.service"
    f.write_text(f.read_text().replace(sup.toy, "/no/such/flux-first"))
    r = sup.run("true")
    assert r.returncode == 1 and "/no/such/flux-first" in r.stderr


def test_a_daemon_that_does_not_get_ready_in_time_is_killed(sup):
    sup.daemon("first", TimeoutStartSec="200ms")
    f = sup.units / "flux-first.service"
    f.write_text(f.read_text().replace(sup.toy, "/bin/sleep 1000"))
    r = sup.run("true")
    assert r.returncode == 1 and "TimeoutStartSec" in r.stderr


def test_a_daemon_that_says_that_its_start_goes_on_is_waited_for(sup):
    sup.daemon("first", args="--slow", TimeoutStartSec="1s")
    assert sup.run("true").returncode == 0
    assert len(sup.starts("first")) == 1


def test_uninstalled_daemons_are_found_by_name(sup, build):
    sup.daemon("first")
    f = sup.units / "flux-first.service"
    f.write_text(f.read_text().replace(sup.toy, "/usr/libexec/flux/toy-daemon"))
    assert sup.run("true", opts=[f"--exec-path=/nonexistent:{build / 'supervise'}"]).returncode == 0


def test_a_typing_error_in_a_unit_is_shown_with_its_line(sup):
    sup.daemon("first")
    (sup.units / "flux-first.socket").write_text("[Socket]\nListenSequentialPacket\n")
    r = sup.run("true")
    assert r.returncode == 1 and "flux-first.socket: line 2" in r.stderr


def test_daemons_die_when_supervise_is_killed(sup):
    sup.daemon("first")
    sup.start()
    pid = sup.ask("node/first", "pid")
    sup.proc.kill()
    sup.proc.wait()
    wait_until("end of the daemon", lambda: not alive(pid))


def test_sigterm_ends_the_program_and_then_the_instance(sup):
    sup.daemon("first")
    sup.start()
    pid = sup.ask("node/first", "pid")
    sup.proc.terminate()
    assert sup.proc.wait(timeout=60) == 143
    assert not alive(pid) and not sup.rundir.exists()


def test_a_daemon_that_ignores_sigterm_is_killed_in_bounded_time(sup):
    sup.daemon("first", TimeoutStopSec="300ms", Type="simple")
    f = sup.units / "flux-first.service"
    f.write_text(f.read_text().replace(f"{sup.toy} ", "/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'"))
    begin = time.monotonic()
    assert sup.run("true").returncode == 0
    assert time.monotonic() - begin < 30


def test_start_and_stop_are_quick(sup):
    """Not a measurement: only that no timer is waited for on the ordinary path. On a busy machine one of many tells."""
    sup.daemon("first")

    def once():
        begin = time.monotonic()
        assert sup.run("true").returncode == 0
        return time.monotonic() - begin < 0.5

    wait_until("a quick one", once)
