# SPDX-License-Identifier: LGPL-3.0-or-later
"""The content store of an instance: collection, checking, repair, backup, full disks, caches."""
import os
import struct

import pytest

from embedded import Instance
from rawclient import Client

STALE = 116


@pytest.fixture
def stored(build, tmp_path):
    """An instance with a state directory, and a raw client of it."""
    with Instance(build, tmp_path, ["--statedir", tmp_path / "state"]) as instance:
        client = Client(os.path.join(instance.rundir, "local"))
        yield instance, client
        client.close()


def digest(ref):
    return bytes.fromhex(ref.partition("-")[2])


def rpc_raw(client, topic, payload):
    client.tag += 1
    client.send(topic=topic, payload=payload, aux2=client.tag)
    return client.recv()


def store(instance, text):
    return instance.flux("content", "store", input=text)


def test_a_sweep_removes_what_is_not_marked(stored):
    instance, client = stored
    keep, drop = store(instance, "keep"), store(instance, "drop")
    instance.run("content", "flush")
    generation = client.rpc("content.sweep-begin").json["generation"]
    late = store(instance, "late")
    marked = rpc_raw(client, "content.mark", struct.pack(">Q", generation) + digest(keep) + bytes(32))
    assert marked.json == {"unknown": 1, "first": "blake2b-" + "0" * 64}
    step = client.rpc("content.sweep-step", {"generation": generation, "limit": 1000}).json
    assert step["done"] and step["removed"] >= 1
    assert instance.flux("content", "load", keep) == "keep"
    assert instance.flux("content", "load", late) == "late"
    instance.run("content", "dropcache")
    assert "no such blob" in instance.run("content", "load", drop, check=False).stderr
    assert client.rpc("content.sweep-step", {"generation": generation, "limit": 1}).errnum == STALE
