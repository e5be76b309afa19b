# SPDX-License-Identifier: LGPL-3.0-or-later
"""A service manager that keeps descriptors, played by a test: what it stores is handed to the next process."""
import array
import fcntl
import os
import select
import socket
import subprocess

from embedded import wait_until


class Managed:
    """Mix-in for something with exe, env, dir, listener and proc: one daemon behind one socket of that name."""

    socket_name = "local"

    def open_store(self):
        self.notify_path = str(self.dir / f"notify-{self.socket_name}")
        self.env = {**self.env, "NOTIFY_SOCKET": self.notify_path}
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.notify_path)
        self.notify.setblocking(False)
        self.store = {}
        self.ready = False

    def close_store(self):
        for fd in self.store.values():
            os.close(fd)
        self.notify.close()

    def handle_notifications(self):
        while True:
            try:
                data, anc, _, _ = self.notify.recvmsg(4096, socket.CMSG_SPACE(64))
            except BlockingIOError:
                return
            fds = array.array("i")
            for _, _, raw in anc:
                fds.frombytes(raw)
            lines = dict(line.split("=", 1) for line in data.decode().splitlines())
            self.ready |= lines.get("READY") == "1"
            if lines.get("FDSTOREREMOVE"):
                if lines["FDNAME"] in self.store:
                    os.close(self.store.pop(lines["FDNAME"]))
            elif lines.get("FDSTORE"):
                (self.store[lines["FDNAME"]],) = fds
            else:  # BARRIER=1: closing it is the answer
                for fd in fds:
                    os.close(fd)

    def down(self, sig=None):
        self.proc.terminate() if sig is None else self.proc.send_signal(sig)

        def gone():
            self.handle_notifications()
            return self.proc.poll() is not None

        wait_until("the end", gone)
        self.handle_notifications()
        err = self.proc.stderr.read().decode()
        self.proc.stderr.close()
        return self.proc.returncode, err

    def up(self):
        names, fds = [self.socket_name, *self.store], [self.listener.fileno(), *self.store.values()]
        self.ready = False

        def inherit():
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 200) for fd in fds]  # out of the way of 3, 4, ...
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)
            os.closerange(3 + len(fds), 1024)

        env = {**self.env, "LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(names)}
        self.proc = subprocess.Popen(["sh", "-c", 'LISTEN_PID=$$ exec "$0"', self.exe], env=env, close_fds=False,
                                     preexec_fn=inherit, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until("it is ready and has taken them up", lambda: self.handle_notifications() or (self.ready and self.store.keys() <= {"run"}))

    def drop_dead(self):
        """As a manager does: it keeps no connection whose other end is closed."""
        poller = select.poll()
        for fd in self.store.values():
            poller.register(fd, 0)
        dead = {fd for fd, _ in poller.poll(0)}
        for name in [name for name, fd in self.store.items() if fd in dead]:
            os.close(self.store.pop(name))
        return len(dead)

    def restart(self):
        assert self.down() == (0, "")
        self.up()
