# SPDX-License-Identifier: LGPL-3.0-or-later
"""A cable between two network namespaces of which anything can be wrong: it can be slow, lose packets, or carry them in one
direction only (a half-open connection). Its ends are taps, its inside is a thread here, so no kernel needs to offer netem."""
import ctypes
import fcntl
import heapq
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time

TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x1002
ENDS = ("a", "b")


def unusable():
    """Why there can be no cable here, or None."""
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    for tool in ("ip", "nsenter"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    return None


def open_tap(netns):
    """A new tap0 within the namespace: namespaces of the network belong to threads, so a thread goes there."""
    result = []

    def inside():
        ns = os.open(f"/run/netns/{netns}", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(ns, 0x40000000) < 0:
                raise OSError(ctypes.get_errno(), "setns")
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"tap0", IFF_TAP_NO_PI))
            result.append(fd)
        except OSError as e:
            result.append(e)
        finally:
            os.close(ns)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]


class Cable:
    """delay: seconds each way; loss: share of packets; cut: ends whose packets do not arrive."""

    def __init__(self, seed=1):
        self.names = {end: f"flux-{end}-{os.getpid()}" for end in ENDS}
        self.addresses = {"a": "10.78.0.1", "b": "10.78.0.2"}
        self.delay, self.loss, self.cut = 0.0, 0.0, frozenset()
        self.rng = random.Random(seed)
        self.carried = self.lost = 0
        self.taps = {}

    def __enter__(self):
        try:
            for end in ENDS:
                subprocess.run(["ip", "netns", "add", self.names[end]], check=True)
                self.taps[end] = open_tap(self.names[end])
                for args in (["addr", "add", f"{self.addresses[end]}/24", "dev", "tap0"], ["link", "set", "tap0", "up"],
                             ["link", "set", "lo", "up"]):
                    subprocess.run([*self.command(end), "ip", *args], check=True)
        except BaseException:
            self.remove()
            raise
        self.wake_r, self.wake_w = os.pipe()
        self.thread = threading.Thread(target=self.carry)
        self.thread.start()
        return self

    def __exit__(self, *exc):
        os.close(self.wake_w)
        self.thread.join()
        os.close(self.wake_r)
        self.remove()

    def remove(self):
        for fd in self.taps.values():
            os.close(fd)
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)

    def command(self, end):
        """What to put before a command that is to run at this end."""
        return ["nsenter", f"--net=/run/netns/{self.names[end]}"]

    def heal(self):
        self.delay, self.loss, self.cut = 0.0, 0.0, frozenset()

    def carry(self):
        other = {self.taps["a"]: self.taps["b"], self.taps["b"]: self.taps["a"]}
        end_of = {fd: end for end, fd in self.taps.items()}
        under_way, n = [], 0
        while True:
            wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
            ready, _, _ = select.select([self.wake_r, *other], [], [], wait)
            if self.wake_r in ready:
                return
            for fd in ready:
                packet = os.read(fd, 65536)
                if end_of[fd] in self.cut or self.rng.random() < self.loss:
                    self.lost += 1
                    continue
                n += 1
                heapq.heappush(under_way, (time.monotonic() + self.delay, n, other[fd], packet))
            while under_way and under_way[0][0] <= time.monotonic():
                _, _, fd, packet = heapq.heappop(under_way)
                self.carried += 1
                try:
                    os.write(fd, packet)
                except OSError:  # the queue of that end is full: a switch drops too
                    self.lost += 1
