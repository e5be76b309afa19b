# SPDX-License-Identifier: LGPL-3.0-or-later
"""A router started by hand and clients that speak RFC 3 from first principles, well or badly. Knows nothing of
libflux, so that both ends cannot share a mistake."""
import array
import fcntl
import json
import os
import pathlib
import socket
import struct
import subprocess
import tempfile

REQUEST, RESPONSE, EVENT, CONTROL = 1, 2, 4, 8
TOPIC, PAYLOAD, NORESPONSE, ROUTE, UPSTREAM, PRIVATE, STREAMING = 1, 2, 4, 8, 16, 32, 64
ANY = 0xFFFFFFFF
MAGIC = b"\xff\xee\x00\x12"
F_ADD_SEALS, ALL_SEALS = 1033, 0x1 | 0x2 | 0x4 | 0x8

PATIENCE = 60  # seconds, for what comes at once: on a busy machine that may be long

BAD_PEER = "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e91"
SERVICE_LOST = "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e93"
SLOW_CLIENT = "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e94"
CONFIG_BAD = "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e98"


def part(data):
    return (bytes([len(data)]) if len(data) < 255 else b"\xff" + struct.pack(">I", len(data))) + data


def encode(type=REQUEST, topic="broker.ping", payload=b"{}\0", flags=0, userid=ANY, rolemask=0, aux1=None, aux2=1,
           routes=None, magic=0x8E, version=1):
    """One framed message. routes: list, newest hop first; None: no route part."""
    parts = b""
    if aux1 is None:
        aux1 = ANY if type == REQUEST else 0
    if routes is not None:
        flags |= ROUTE
        parts += b"".join(part(r) for r in routes) + part(b"")
    if topic is not None:
        flags |= TOPIC
        parts += part(topic.encode())
    if payload is not None:
        flags |= PAYLOAD
        parts += part(payload)
    parts += part(struct.pack(">BBBBIIII", magic, version, type, flags, userid, rolemask, aux1, aux2))
    return MAGIC + struct.pack(">I", len(parts)) + parts


class Message:
    def __init__(self, data):
        assert data[:4] == MAGIC and struct.unpack(">I", data[4:8])[0] == len(data) - 8
        parts, i = [], 8
        while i < len(data):
            n = data[i]
            i += 1
            if n == 255:
                n = struct.unpack(">I", data[i:i + 4])[0]
                i += 4
            parts.append(data[i:i + n])
            i += n
        (_, _, self.type, self.flags, self.userid, self.rolemask, self.aux1, self.aux2) = struct.unpack(
            ">BBBBIIII", parts.pop())
        self.routes = []
        if self.flags & ROUTE:
            while parts[0]:
                self.routes.append(parts.pop(0))
            parts.pop(0)
        self.topic = parts.pop(0).decode() if self.flags & TOPIC else None
        self.payload = parts.pop(0) if self.flags & PAYLOAD and parts else b""
        self.fd_payload = None  # what came in a descriptor

    errnum = property(lambda self: self.aux1)
    matchtag = property(lambda self: self.aux2)
    json = property(lambda self: json.loads((self.fd_payload or self.payload).rstrip(b"\0") or b"{}"))
    text = property(lambda self: self.payload.rstrip(b"\0").decode())


def memfd(data, seals=ALL_SEALS):
    fd = os.memfd_create("payload", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    if seals:
        fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


class Client:
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.connect(path)  # blocking: waits for room in the listener's queue
        self.s.settimeout(PATIENCE)
        self.tag = 0

    def close(self):
        self.s.close()

    def send(self, data=None, fds=(), **kw):
        data = encode(**kw) if data is None else data
        anc = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        return self.s.sendmsg([data], anc)

    def _recvmsg(self):
        return self.s.recvmsg(1 << 18, socket.CMSG_SPACE(4))

    def recv(self):
        """The next message, or None at the end of the connection."""
        try:
            data, anc, _, _ = self._recvmsg()
        except ConnectionResetError:
            # Said once, and before what had arrived: the peer closed without reading all that was sent to it.
            try:
                data, anc, _, _ = self._recvmsg()
            except ConnectionResetError:
                return None
        m = Message(data) if data else None
        for level, kind, raw in anc:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                (fd,) = struct.unpack("i", raw[:4])
                m.fd_payload = os.pread(fd, 1 << 30, 0)
                os.close(fd)
        return m

    def rpc(self, topic, payload=None, **kw):
        self.tag += 1
        self.send(topic=topic, payload=json.dumps(payload or {}).encode() + b"\0", aux2=self.tag, **kw)
        m = self.recv()
        assert m is not None, "the router closed the connection"
        assert m.type == RESPONSE and m.matchtag == self.tag
        return m

    def is_dropped(self):
        """Wait for the router to close the connection; what it still sent is passed over."""
        while True:
            try:
                if not self.s.recv(1 << 18):
                    return True
            except ConnectionResetError:
                return True
            except TimeoutError:
                return False


class Broker:
    """flux-broker with its listening socket as descriptor 3, as a service manager would start it."""

    def __init__(self, build, config=None, env=None):
        self.exe = str(build / "services" / "broker" / "flux-broker")
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="flux-hostile-"))
        self.dir.chmod(0o755)
        self.conf = self.dir / "conf.d"
        self.conf.mkdir()
        (self.dir / "node").mkdir(mode=0o700)
        (self.dir / "leader").mkdir(mode=0o700)
        if config:
            (self.conf / "test.toml").write_text(config)
        self.path = str(self.dir / "local")
        self.env = {**os.environ, "FLUX_RUNDIR": str(self.dir), "FLUX_LOG_DIR": str(self.dir / "log"),
                    "FLUX_CONF_DIR": str(self.conf), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "local", **(env or {})}

    def __enter__(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o777)
        self.listener.listen(128)
        fd = self.listener.fileno()

        def inherit():
            if fd == 3:
                os.set_inheritable(3, True)
            else:
                os.dup2(fd, 3)

        self.proc = subprocess.Popen(["sh", "-c", 'LISTEN_PID=$$ exec "$0"', self.exe], env=self.env, close_fds=False,
                                     preexec_fn=inherit, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return self

    def stop(self):
        """SIGTERM. The exit status and what was written to stderr (sanitizers write there)."""
        self.proc.terminate()
        _, err = self.proc.communicate(timeout=PATIENCE)
        return self.proc.returncode, err.decode()

    def __exit__(self, *exc):
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        if not self.proc.stderr.closed:
            self.proc.stderr.close()
        self.listener.close()
        subprocess.run(["rm", "-r", str(self.dir)], check=True)

    def client(self):
        return Client(self.path)

    def log(self):
        f = self.dir / "log" / "broker.log"
        return [json.loads(line) for line in f.read_text().splitlines(True) if line.endswith("\n")] if f.exists() else []

    def logged(self, message_id):
        return [r["MESSAGE"] for r in self.log() if r.get("MESSAGE_ID") == message_id]
