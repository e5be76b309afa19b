# SPDX-License-Identifier: LGPL-3.0-or-later
"""A node of the tree that speaks ZMTP 3.0 without security from first principles, as libzmq does over ipc://, and then says
what a test wants. Knows nothing of libzmq."""
import json
import os
import socket
import struct

HELLO, WELCOME, REFUSED, ALIVE, GOODBYE, STATE, PAUSE, PAUSED = 1, 2, 3, 6, 8, 10, 12, 13
CONTROL = 0x7F


def greeting(mechanism=b"NULL"):
    return b"\xff" + b"\0" * 8 + b"\x7f\x03\x00" + mechanism.ljust(20, b"\0") + b"\0" * 32


def frame(data, flags=0):
    if len(data) > 255:
        return bytes([flags | 2]) + struct.pack(">Q", len(data)) + data
    return bytes([flags, len(data)]) + data


def prop(name, value):
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


class Neighbour:
    def __init__(self, path):
        self.id = b"\x01" + os.urandom(15)
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(60)
        self.s.connect(path)
        self.s.sendall(greeting())
        self.read(64)
        self.s.sendall(frame(b"\x05READY" + prop(b"Socket-Type", b"DEALER") + prop(b"Identity", self.id), flags=4))
        assert self.receive().startswith(b"\x05READY")

    def close(self):
        self.s.close()

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.s.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        """The next frame; heartbeats of libzmq are answered."""
        while True:
            (flags,) = self.read(1)
            (size,) = struct.unpack(">Q", self.read(8)) if flags & 2 else self.read(1)
            data = self.read(size)
            if flags & 4 and data.startswith(b"\x04PING"):
                self.s.sendall(frame(b"\x04PONG" + data[7:], flags=4))
                continue
            return data

    def send(self, data):
        self.s.sendall(frame(data))

    def say(self, kind, what):
        self.send(bytes([CONTROL, kind]) + (json.dumps(what).encode() if isinstance(what, dict) else what))

    def message(self):
        """The next frame that is not a control message."""
        data = self.receive()
        while data[0] == CONTROL:
            data = self.receive()
        return data

    def control(self):
        """(type, what) of the next control message that is no sign of life and not about the state of the instance."""
        while True:
            data = self.receive()
            if data[0] == CONTROL and data[1] not in (ALIVE, STATE):
                return data[1], json.loads(data[2:]) if data[2:3] == b"{" else data[2:]


def hello(rank, size, version=(1, 1), host="old", **other):
    return {"version": list(version), "rank": rank, "size": size, "uuid": os.urandom(16).hex(), "epoch": "", "hostname": host,
            "event_seq": 0, **other}
