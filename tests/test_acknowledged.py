# SPDX-License-Identifier: LGPL-3.0-or-later
"""Clients that note each answer while the daemons that keep their data are killed: what was answered is there afterwards, and
versions never go back (hardening.md, I5). With FLUX_LONG_TESTS set 1,000 of them die, else 50."""
import base64
import json
import os
import random
import threading

from embedded import Instance, wait_until
from rawclient import Client

VICTIMS = ["content", "kvs", "broker"]
KILLS = 1000 if "FLUX_LONG_TESTS" in os.environ else 50
WRITERS = 3
KEYS = 20  # of each writer, written again and again


class Writer(threading.Thread):
    """Commits numbers to its keys, and stores blobs."""

    def __init__(self, path, name):
        super().__init__()
        self.path, self.name, self.client = path, name, None
        self.tried, self.kept, self.blobs = {}, {}, {}
        self.version = self.answers = self.errors = 0
        self.problems, self.stop = [], False

    def call(self, topic, payload):
        """The answer; None if there was none, or an error."""
        try:
            if self.client is None:
                self.client = Client(self.path)
            self.client.tag += 1
            self.client.send(topic=topic, payload=payload, aux2=self.client.tag)
            m = self.client.recv()
        except OSError:
            m = None
        if m is None:
            if self.client is not None:
                self.client.close()
            self.client = None
        if m is None or m.errnum:
            self.errors += 1
            return None
        return m

    def call_json(self, topic, payload):
        m = self.call(topic, json.dumps(payload).encode() + b"\0")
        return m.json if m else None

    def saw(self, version, what):
        if version < self.version:
            self.problems.append(f"{self.name}: {what} is of version {version} after {self.version}")
        self.version = max(version, self.version)

    def commit(self, n):
        key = f"{self.name}.k{n % KEYS}"
        value = {"ver": 1, "type": "val", "data": base64.b64encode(str(n).encode()).decode()}
        self.tried[key] = n
        o = self.call_json("kvs.commit", {"namespace": "primary", "flags": 0, "ops": [{"key": key, "flags": 0, "dirent": value}]})
        if o:
            self.kept[key] = n
            self.answers += 1
            self.saw(o["rootseq"], f"commit {n}")

    def read(self, key):
        """The number that a key has; 0: none."""
        o = self.call_json("kvs.lookup", {"key": key, "flags": 0})
        return int(base64.b64decode(o["val"]["data"])) if o else 0

    def run(self):
        n = 0
        while not self.stop:
            n += 1
            self.commit(n)
            if n % 5 == 0:
                blob = f"{self.name} {n}".encode() * 50
                m = self.call("content.store", blob)
                if m:
                    self.blobs[m.payload] = blob
            if n % 7 == 0:
                o = self.call_json("kvs.getroot", {"namespace": "primary", "flags": 0})
                if o:
                    self.saw(o["rootseq"], "the root")

    def check(self):
        """After everything has come back."""
        wait_until("the store to answer", lambda: self.call_json("kvs.getroot", {"namespace": "primary", "flags": 0}))
        for key, kept in self.kept.items():
            value = self.read(key)
            if not kept <= value <= self.tried[key]:
                self.problems.append(f"{key} is {value}; {kept} was acknowledged, {self.tried[key]} the last that was tried")
        for digest, blob in self.blobs.items():
            m = self.call("content.load", digest)
            if not m or (m.fd_payload or m.payload) != blob:
                self.problems.append(f"{self.name}: a blob is gone that was acknowledged")


def test_what_was_acknowledged_is_there_although_daemons_are_killed(build, tmp_path):
    dice = random.Random(KILLS)
    with Instance(build, tmp_path, ["--statedir", tmp_path / "state"]) as instance:
        writers = [Writer(os.path.join(instance.rundir, "local"), f"w{i}") for i in range(WRITERS)]
        for w in writers:
            w.start()
        try:
            for _ in range(KILLS):
                enough = sum(w.answers for w in writers) + dice.randrange(1, 30)
                wait_until("answers", lambda: sum(w.answers for w in writers) >= enough)
                victim = dice.choice(VICTIMS)
                wait_until("a daemon to kill", lambda: instance.daemon_pids(victim))
                instance.kill_daemon(victim)
        finally:
            for w in writers:
                w.stop = True
            for w in writers:
                w.join()
        for w in writers:
            w.check()
        problems = [p for w in writers for p in w.problems]
        assert not problems, problems
        assert sum(w.errors for w in writers) > KILLS // 2  # they did notice
        assert instance.run("content", "check").returncode == 0
