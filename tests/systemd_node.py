# SPDX-License-Identifier: LGPL-3.0-or-later
"""A real systemd node in a container: this machine's file system below, a copy of the installed tree and the node's own
changes above, booted by systemd-nspawn in a network of its own. Rebooting keeps the node's disk."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from embedded import wait_until

MASKED = [
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
    "postgresql.service", "munge.service", "console-getty.service", "man-db.timer", "logrotate.timer",
    "systemd-resolved.service", "networking.service", "e2scrub_reap.service",
]


def unusable():
    """Why nodes cannot be booted here, or None."""
    if os.geteuid() != 0:
        return "booting nodes needs root"
    for tool in ("systemd-nspawn", "nsenter", "mount"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    return None


def stage(build, dest):
    """Install the tree once; every node gets a copy (a layer of its own would overlap the file system below it)."""
    subprocess.run(["meson", "install", "-C", str(build), "--no-rebuild", "--quiet", "--destdir", str(dest)],
                   check=True, stdout=subprocess.DEVNULL)
    return dest


def cgroup_folders(name):
    """Control groups for a node of its own, below ours, in each hierarchy that its service manager uses: nodes that share one
    remove and kill what belongs to units of the same names on the others."""
    folders = []
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        for top in {"name=systemd": ["systemd"], "": ["unified", ""]}.get(controllers, []):
            base = pathlib.Path("/sys/fs/cgroup") / top
            if (base / "cgroup.procs").exists():
                folders.append(base / path.lstrip("/") / name)
                break
    return folders


class Network:
    """A bridge in a network namespace of its own, for the nodes of a cluster; nobody else is on it."""

    def __init__(self):
        self.name = f"flux-test-{os.getpid()}"
        self.count = 0

    def __enter__(self):
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        for args in (["link", "add", "br0", "type", "bridge"], ["link", "set", "br0", "up"]):
            subprocess.run([*self.command(), "ip", *args], check=True)
        return self

    def __exit__(self, *exc):
        subprocess.run(["ip", "netns", "del", self.name], check=False)

    def command(self):
        return ["nsenter", f"--net=/run/netns/{self.name}"]

    def address(self, i):
        return f"10.77.0.{i + 1}"


class Node:
    network = None  # a Network: with others on it, at address()
    index = 0

    def __init__(self, staged, name):
        self.staged = staged
        self.name = name
        self.proc = None
        self.leader = None
        self.cgroups = cgroup_folders(f"flux-{name}-{os.getpid()}")

    def __enter__(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix=f"flux-{self.name}-", dir="/var/tmp"))
        self.base.chmod(0o755)
        for d in ("upper", "work", "root"):
            (self.base / d).mkdir()
        subprocess.run(["cp", "-a", f"{self.staged}/.", str(self.base / "upper")], check=True)
        (self.base / "upper").chmod(0o755)  # it becomes the root directory
        etc = self.base / "upper" / "etc"
        (etc / "systemd" / "system").mkdir(parents=True, exist_ok=True)
        (etc / "machine-id").write_text("")
        (etc / "hostname").write_text(self.name + "\n")
        (etc / "hosts").write_text(f"127.0.0.1 localhost {self.name}\n")
        for unit in MASKED:
            (etc / "systemd" / "system" / unit).symlink_to("/dev/null")
        (self.base / "upper" / "var" / "log" / "journal").mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "overlay", f"flux-{self.name}", "-o",
                        f"lowerdir=/,upperdir={self.base}/upper,workdir={self.base}/work",
                        str(self.base / "root")], check=True)
        try:
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        self.power_off()
        subprocess.run(["umount", str(self.base / "root")], check=False)
        shutil.rmtree(self.base, ignore_errors=True)
        for folder in self.cgroups:
            for below, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(below)

    def boot(self):
        self.console = open(self.base / "console", "a")
        for folder in self.cgroups:
            folder.mkdir(exist_ok=True)
        inside = self.network.command() if self.network else []
        net = "--network-bridge=br0" if self.network else "--private-network"
        self.proc = subprocess.Popen(
            [*inside, "systemd-nspawn", "--quiet", "--keep-unit", "--register=no", net, "--resolv-conf=off",
             "--kill-signal=SIGRTMIN+4", "-M", f"{self.name}-{os.getpid()}", "-D", str(self.base / "root"), "-b"],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console, preexec_fn=self._enter_cgroups)
        self.leader = wait_until("start of the node's init", self._find_leader)
        if self.network:
            self.configure_network()
        state = wait_until("boot of the node", self._booted, timeout=90)
        if state not in ("running", "degraded"):
            raise RuntimeError(f"node is {state}: {self.sh('systemctl --failed', check=False).stdout}")

    def _enter_cgroups(self):
        for folder in self.cgroups:
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def configure_network(self):
        for args in (["addr", "add", f"{self.network.address(self.index)}/24", "dev", "host0"], ["link", "set", "host0", "up"]):
            subprocess.run(["nsenter", "-t", self.leader, "-n", "ip", *args], check=True)

    def link(self, state):
        """Pull the cable, or plug it in again: "down", "up"."""
        subprocess.run(["nsenter", "-t", self.leader, "-n", "ip", "link", "set", "host0", state], check=True)

    def _find_leader(self):
        if self.proc.poll() is not None:
            raise RuntimeError("systemd-nspawn ended: " + (self.base / "console").read_text()[-500:])
        out = subprocess.run(["ps", "--ppid", str(self.proc.pid), "-o", "pid=,comm="], capture_output=True, text=True).stdout
        for line in out.splitlines():
            pid, comm = line.split(None, 1)
            if comm == "systemd":
                return pid
        return None

    def _booted(self):
        r = self.run("systemctl", "is-system-running", check=False, timeout=60)
        state = r.stdout.strip()
        return state if state in ("running", "degraded") else None

    def power_off(self):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        self.leader = None

    def reboot(self):
        self.power_off()
        self.boot()

    def cut_power(self):
        """No orderly shutdown: every process of the node dies at once."""
        os.kill(int(self.leader), signal.SIGKILL)
        self.proc.wait(timeout=60)
        self.boot()

    def run(self, *args, user=None, check=True, timeout=120, input=None, env=None):
        cmd = ["nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
               "HOME": "/root", **(env or {})}
        if user:
            uid = self.uid(user)
            env.update(HOME=f"/home/{user}", USER=user, LOGNAME=user, XDG_RUNTIME_DIR=f"/run/user/{uid}")
            cmd += ["runuser", "-u", user, "--"]
        r = subprocess.run([*cmd, "env", "-i", "-C", "/", *[f"{k}={v}" for k, v in env.items()], *map(str, args)],
                           input=input, stdin=subprocess.DEVNULL if input is None else None,
                           capture_output=True, text=True, timeout=timeout)
        if check and r.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, args))}: exit {r.returncode}\n{r.stdout}{r.stderr}{self.journal_tail()}")
        return r

    def sh(self, script, **kw):
        return self.run("sh", "-c", script, **kw)

    def uid(self, user):
        return int(self.run("id", "-u", user).stdout)

    def journal_tail(self):
        r = self.run("journalctl", "-n", "60", "--no-pager", "-o", "short-monotonic", check=False)
        return "\n--- journal of the node\n" + r.stdout

    def main_pid(self, unit):
        return int(self.run("systemctl", "show", "-P", "MainPID", unit).stdout)

    def active(self, unit):
        return self.run("systemctl", "is-active", unit, check=False).stdout.strip()
