# SPDX-License-Identifier: LGPL-3.0-or-later
"""The event heartbeat.pulse: published periodically while somebody subscribes to it, as [heartbeat] says."""
import signal

from embedded import wait_until
from rawclient import EVENT, Broker
from test_hostile import build  # noqa: F401  (a fixture)


def published(c):
    return c.rpc("broker.stats-get").json["router"]["events"]


def beat(c):
    m = c.recv()
    assert m.type == EVENT and m.topic == "heartbeat.pulse"
    return m.aux1


def test_who_subscribes_gets_beats_in_sequence_and_nobody_else_causes_any(build):
    with Broker(build, config="[heartbeat]\nperiod = \"0.1s\"\n") as b:
        c, other = b.client(), b.client()
        assert other.rpc("event.subscribe", {"topic": "something.else"}).errnum == 0
        assert c.rpc("event.subscribe", {"topic": "heartbeat.pulse"}).errnum == 0
        assert [beat(c) for _ in range(3)] == [1, 2, 3]
        c.close()
        wait_until("the subscriber to be gone", lambda: other.rpc("broker.stats-get").json["router"]["clients"] == 1)
        before = published(other)
        late = b.client()
        assert late.rpc("event.subscribe", {"topic": "heart"}).errnum == 0
        assert beat(late) == before + 1
        assert b.stop() == (0, "")


def test_a_reload_changes_the_period_and_a_bad_one_is_refused(build):
    with Broker(build, config="[heartbeat]\nperiod = 1000\n") as b:
        c = b.client()
        assert c.rpc("event.subscribe", {"topic": "heartbeat.pulse"}).errnum == 0
        (b.conf / "test.toml").write_text("[heartbeat]\nperiod = \"soon\"\n")
        m = c.rpc("config.reload")
        assert m.errnum == 22 and "heartbeat.period" in m.text
        (b.conf / "test.toml").write_text("[heartbeat]\nperiod = 0.1\n")
        b.proc.send_signal(signal.SIGHUP)
        assert beat(c) == 1
        assert b.stop() == (0, "")
