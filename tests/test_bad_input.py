# SPDX-License-Identifier: LGPL-3.0-or-later
"""Bad input on every socket of a live instance: what is no message ends one connection, what is no payload is answered
with a reason, and the same daemons go on running jobs. Topics and shapes are read from the method tables in the source,
so that a new method is tried without a line here. Seeds are fixed."""
import contextlib
import errno
import fcntl
import json
import os
import pathlib
import random
import re
import signal
import socket

import pytest
from embedded import EVERYWHERE, NCORES, Instance, wait_until
from rawclient import ALL_SEALS, ANY, BAD_PEER, CONTROL, EVENT, NORESPONSE, REQUEST, RESPONSE, STREAMING, Client, encode, memfd

TOP = pathlib.Path(__file__).resolve().parent.parent
GUEST = 54321
BUILTIN = ["ping", "stats-get", "rusage", "config-reload", "disconnect"]
# Whoever may say these takes a part in the instance from somebody: tried apart, below.
ROLES = ["job-manager.sched-hello", "job-manager.sched-ready", "job-manager.exec-hello"]
# What an administrator does with them lasts, as it should.
ADMIN = ["job-ingest.admission", "job-manager.queue-enable", "job-manager.queue-start", "resource.drain"]
ENDS_IT = re.compile(r"\.shutdown$|^broker\.refuse$")
SECRET = "s3cr3t-of-the-owner"


def method_tables():
    """{topic: shape or None} as the dispatch tables of all daemons have them."""
    methods = {}
    for f in sorted((TOP / "services").glob("*/*.c")):
        if f.name.startswith(("test-", "fuzz-", "bench-")):
            continue
        for entry in re.findall(r"\{\s*\.topic = ([^}]*?)\}", f.read_text()):
            topic = re.match(r'"([^"]+)"', entry)
            shape = re.search(r'\.in = "([^"]*)"', entry)
            methods[topic[1]] = shape[1] if shape else None
    return methods


METHODS = method_tables()
SERVICES = sorted({t.split(".")[0] for t in METHODS})


def test_the_tables_were_read():
    assert len(METHODS) > 55 and {"kvs.commit", "job-ingest.submit", "rexec.exec", "sched.alloc"} <= set(METHODS)
    assert METHODS["job-manager.kill"] == "id:I signum:i"


@pytest.fixture(scope="module")
def live(build, tmp_path_factory):
    with Instance(build, tmp_path_factory.mktemp("live")) as inst:
        inst.flux("jobs")
        inst.run("submit", "--wait", "true")
        yield inst


@contextlib.contextmanager
def same_daemons(instance):
    for s in SERVICES:
        assert instance.run("ping", "-c", "1", s, check=False).returncode == 0
    for rank in range(1, instance.size):
        for s in EVERYWHERE:
            assert instance.run("ping", "-c", "1", "-r", rank, {"exec": "rexec"}.get(s, s), check=False).returncode == 0
    before = instance.all_pids()
    yield
    assert instance.all_pids() == before


@contextlib.contextmanager
def unharmed(instance):
    """The same processes go on, and run a job on all cores."""
    with same_daemons(instance):
        yield
        cores = NCORES * instance.size
        assert instance.flux("run", "-n", cores, "echo", "alive", timeout=60).split() == ["alive"] * cores
    wait_until("all cores to be free", lambda: instance.free_cores() == cores)


def sockets(instance):
    return [os.path.join(instance.rundir, d, f) for d in ("node", "leader")
            for f in sorted(os.listdir(os.path.join(instance.rundir, d)))] + [os.path.join(instance.rundir, "local")]


# --- no messages


def bad_records():
    good = encode(topic="x.ping", aux2=1)
    yield b""
    for n in (1, 7, 8, 9, len(good) - 1):
        yield good[:n]
    yield good + b"\0"
    yield bytes(20)
    yield b"\xff" * 4096
    yield encode(topic="x" * 256 + ".ping")
    yield encode(topic="x." + "y" * 150_000)
    yield encode(topic="x.\x7f")
    yield encode(type=RESPONSE, topic="x.ping", aux2=1)
    yield encode(type=EVENT, topic="x.ping")
    yield encode(type=CONTROL, topic=None, payload=None)
    yield encode(type=REQUEST, topic=None)
    for k in ("magic", "version", "type"):
        yield encode(topic="x.ping", **{k: 0x77})
    yield encode(topic="x.ping", flags=0x80)
    yield encode(topic="x.ping", routes=[b"a"] * 17)
    yield encode(topic="x.ping", routes=[b"a" * 65])
    yield encode(topic="x.ping", routes=[b"a\0b"])
    rng = random.Random(3)
    for _ in range(40):  # one byte changed, some bytes changed, cut
        data = bytearray(good)
        for _ in range(rng.choice([1, 1, 4])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        yield bytes(data[:rng.choice([len(data), rng.randrange(1, len(data))])])
    yield b"z" * 212_000


@pytest.mark.parametrize("where", ["services", "router"])
def test_what_is_no_message_harms_nobody(live, where):
    with unharmed(live):
        for path in sockets(live):
            if path.endswith("/local") != (where == "router"):
                continue
            for record in bad_records():
                c = Client(path)
                with contextlib.suppress(OSError):
                    c.send(record)
                c.close()
            c = Client(path)  # one that stays must be dropped
            c.send(b"garbage")
            assert c.is_dropped(), path


def service_sockets(instance):
    return [p for p in sockets(instance) if not p.endswith("/local")]


def daemon_of(instance, path):
    """The daemon behind a socket: who was started for it is known by the units' names."""
    names = {"job-exec": "exec", "rexec": "exec", "job-info": "job-list", "kvs-watch": "kvs", "feasibility": "sched"}
    name = os.path.basename(path)
    return names.get(name, name)


def drops(instance, daemon):
    return [r["MESSAGE"] for r in instance.log_records(daemon) if r.get("MESSAGE_ID") == BAD_PEER and "dropped" in r["MESSAGE"]]


def test_who_is_dropped_is_logged_with_a_reason_and_a_flood_of_them_is_counted(build, tmp_path):
    """Twenty in ten seconds are logged, the rest is a number behind the next one."""
    with Instance(build, tmp_path) as live:
        with unharmed(live):
            for path in sockets(live):
                daemon = "broker" if path.endswith("/local") else daemon_of(live, path)
                before = len(drops(live, daemon))
                c = Client(path)
                c.send(b"garbage")
                assert c.is_dropped(), path
                wait_until("the record", lambda: len(drops(live, daemon)) == before + 1)
                assert f"process {os.getpid()} " in drops(live, daemon)[-1] or f"pid {os.getpid()} " in drops(live, daemon)[-1]
            for path in (sockets(live)[-1], service_sockets(live)[0]):
                daemon = "broker" if path.endswith("/local") else daemon_of(live, path)
                for _ in range(200):
                    c = Client(path)
                    c.send(b"garbage")
                    assert c.is_dropped(), path
                assert len(drops(live, daemon)) < 100, path


def test_a_closed_socket_a_response_and_an_event_are_no_requests_of_a_service(live):
    with same_daemons(live):
        for path in service_sockets(live):
            name = os.path.basename(path)
            for kind in (RESPONSE, EVENT, CONTROL):
                c = Client(path)
                c.send(type=kind, topic=None if kind == CONTROL else f"{name}.ping", payload=None, routes=[])
                assert c.is_dropped(), (path, kind)


def test_a_reused_matchtag_harms_the_one_who_does_it_only(live):
    """A service answers what it is asked; who asks twice with one matchtag gets two answers with it."""
    with same_daemons(live):
        for path in service_sockets(live):
            name = os.path.basename(path)
            c, other = Client(path), Client(path)
            for _ in range(3):
                c.send(topic=f"{name}.ping", aux2=5)
            assert [c.recv().matchtag for _ in range(3)] == [5, 5, 5]
            assert other.rpc(f"{name}.ping", {"x": 1}).json["x"] == 1


def test_the_socket_itself_as_a_descriptor_is_closed(live):
    """A socket that carries itself is kept alive by nobody but the kernel's collector."""
    with same_daemons(live):
        for path in sockets(live):
            c = Client(path)
            with contextlib.suppress(OSError):
                c.send(encode(topic="x.ping", payload=b""), fds=[c.s.fileno()])
                c.send(encode(topic="x.ping"), fds=[c.s.fileno()])
            assert c.is_dropped(), path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_another_user_is_not_let_in_by_a_service(live):
    """Even one who could connect, which the mode of the socket forbids."""
    os.chmod(live.rundir, 0o711)
    paths = service_sockets(live)
    modes = {p: os.stat(p).st_mode & 0o777 for p in paths}
    assert [p for p, mode in modes.items() if mode & 0o077] == []
    with same_daemons(live):
        try:
            for p in modes:
                os.chmod(p, 0o777)
            for path in paths:
                os.seteuid(GUEST)
                try:
                    c = Client(path)
                finally:
                    os.seteuid(0)
                with contextlib.suppress(OSError):
                    c.send(topic=f"{os.path.basename(path)}.ping")
                assert c.is_dropped(), path
        finally:
            for p, mode in modes.items():
                os.chmod(p, mode)


def test_a_flood_of_memfds_towards_a_service_that_stands_still_is_bounded(build, tmp_path):
    """The router neither runs out of descriptors nor spins, others are served, and it recovers."""
    with Instance(build, tmp_path) as live:
        live.run("run", "true")  # so that all daemons are connected
        live.run("kvs", "put", "a=1")
        router = live.all_pids()["broker"]
        before = len(os.listdir(f"/proc/{router}/fd"))
        pid = live.kill_daemon("kvs", signal.SIGSTOP)
        try:
            c = Client(os.path.join(live.rundir, "local"))
            c.s.settimeout(0.5)
            payload = memfd(json.dumps({"key": "x" * 100_000}).encode() + b"\0")
            with contextlib.suppress(OSError):  # it may be told to wait, or be dropped
                for tag in range(1, 6000):
                    c.send(encode(topic="kvs.lookup", payload=b"", aux2=tag), fds=[payload])
            os.close(payload)
            other = Client(os.path.join(live.rundir, "local"))
            assert other.rpc("broker.ping").errnum == 0
            assert len(os.listdir(f"/proc/{router}/fd")) < before + 6000
            c.close()
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until("the descriptors to be closed", lambda: len(os.listdir(f"/proc/{router}/fd")) <= before + 4)
        assert live.all_pids()["broker"] == router
        assert live.flux("kvs", "get", "a") == "1"


def test_descriptors_that_do_not_belong_are_closed(live):
    with unharmed(live):
        pids = live.all_pids()
        before = {name: len(os.listdir(f"/proc/{pid}/fd")) for name, pid in pids.items()}
        r, w = os.pipe()
        unsealed, sealed = memfd(b"x" * 100_000, 0), memfd(b"{}\0")
        sparse = os.memfd_create("sparse", os.MFD_ALLOW_SEALING)
        os.ftruncate(sparse, (1 << 30) + 1)
        fcntl.fcntl(sparse, 1033, ALL_SEALS)
        directory, unopened = os.open("/", os.O_RDONLY | os.O_DIRECTORY), os.open("/etc/passwd", os.O_PATH)
        for path in sockets(live):
            for fds in ([r], [directory], [unopened], [unsealed], [sparse], [sealed, sealed], [r] * 253):
                c = Client(path)
                with contextlib.suppress(OSError):
                    c.send(encode(topic="broker.ping", payload=b""), fds=fds)
                    c.send(encode(topic="broker.ping"), fds=fds)
                assert c.is_dropped(), path
                c.close()
        for fd in (r, w, directory, unopened, unsealed, sealed, sparse):
            os.close(fd)
        wait_until("descriptors to be closed", lambda: all(
            len(os.listdir(f"/proc/{pid}/fd")) <= before[name] + 1 for name, pid in pids.items()))


# --- no payloads

NOT_JSON = [
    b"", b"\0", b"{", b"[]\0", b"1\0", b"null\0", b"{}", b"{}\0\0", b"{}x\0", b'{"id":1,"id":2}\0', b'{"id":NaN}\0',
    b'{"id":1e999}\0', b'{"id":Infinity}\0', b'{"id":99999999999999999999999}\0', b'{"key":"\xff\xfe"}\0',
    b'{"key":"\\ud800"}\0', b'{"key":"\\u0000"}\0', b'{"key":\0"x"}\0', b"{" * 10_000,
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b'{"a":' + b"[" * 70 + b"]" * 70 + b"}\0", b"\x00" * 1000, b"{}" * 1000,
    b'{"' + b"k" * 65_000 + b'":1}\0',
]
EXTREMES = {
    "s": ["", ".", "..", "a" * 5000, "\u0001\u007f", "../../etc/passwd", "%s%n", "primary", "\U0001F600", "job.0.J", "-1",
          "{}"],
    "i": [0, 1, -1, 2**31 - 1, -2**31, 65534],
    "I": [0, 1, -1, 2**63 - 1, -2**63, 2**32, 2**31],
    "u": [0, 1, 2**32 - 1, 65534],
    "b": [True, False],
    "n": [0, -1, 1e308, -1e308, 5e-324, 0.5],
    "o": [{}, {"a": {}}, {"ver": 1, "type": "dir", "data": {}}, {"": ""}, {"stream": "stdin", "rank": "all", "data": "x"}],
    "a": [[], [None], [[]], [{}], [0, -1], ["x"] * 500, [{"key": ".", "flags": 0}], [[[[]]]]],
    "*": [None, 0, "x", [], {}, 1.5],
}
WRONG = {"s": 1, "i": "1", "I": "1", "u": -1, "b": 0, "n": "0", "o": [], "a": {}}


def words(shape):
    return [re.match(r"(\w+)(\??):(.)", w).groups() for w in (shape or "").split()]


def pack(o):
    return json.dumps(o).encode() + b"\0"


def payloads(shape, rng, count):
    """No JSON; then wrong in kind, missing, extreme; then random of the right kind."""
    yield from NOT_JSON
    keys = words(shape)
    valid = {k: EXTREMES[t][1] for k, _, t in keys}
    for k, _, t in keys:
        if t in WRONG:
            yield pack({**valid, k: WRONG[t]})
        yield pack({**valid, k: None})
        yield pack({x: v for x, v in valid.items() if x != k})
        for v in EXTREMES[t]:
            yield pack({**valid, k: v})
    for _ in range(count):
        o = {k: rng.choice(EXTREMES[t]) for k, optional, t in keys if not optional or rng.random() < 0.7}
        o.update({rng.choice(["id", "flags", "namespace", "zz", ""]): rng.choice(EXTREMES[rng.choice("siIno")])
                  for _ in range(rng.randrange(2))})
        yield pack(o)


def is_tried(topic):
    return not (ENDS_IT.search(topic) or topic in ROLES or topic in ADMIN)


def topics():
    return sorted(t for t in set(METHODS) | {f"{s}.{b}" for s in SERVICES for b in BUILTIN} if is_tried(t))


class Asker:
    """Sends requests and takes answers as they come, a few dozen behind."""

    def __init__(self, path, nodeid=ANY):
        self.c = Client(path)
        self.nodeid = nodeid
        self.tag = 0
        self.waiting = {}
        self.errnums = set()
        self.mute = set()
        self.patience = 2

    def ask(self, topic, payload, flags=0):
        self.tag += 1
        if len(payload) > 60_000:
            fd = memfd(payload)
            self.c.send(encode(topic=topic, payload=b"", aux1=self.nodeid, aux2=self.tag, flags=flags), fds=[fd])
            os.close(fd)
        else:
            self.c.send(encode(topic=topic, payload=payload, aux1=self.nodeid, aux2=self.tag, flags=flags))
        if not flags & NORESPONSE:
            self.waiting[self.tag] = topic
        self.take(64)

    def take(self, leave):
        self.c.s.settimeout(self.patience)
        while len(self.waiting) > leave:
            try:
                m = self.c.recv()
            except TimeoutError:
                self.patience = 0.001  # streams, and what waits for something to happen: it goes on waiting
                return
            assert m is not None, "the connection was closed"
            if m.type != EVENT:
                topic = self.waiting.pop(m.matchtag, m.topic)
                self.errnums.add(m.errnum)
                if m.errnum and not m.text.strip():
                    self.mute.add((topic, os.strerror(m.errnum)))

    def close(self):
        self.c.close()


def fuzz(path_of, seed, count, nodeid=ANY):
    """Topics that somebody knows (their answers are not all ENOSYS)."""
    rng = random.Random(seed)
    known, mute = set(), set()
    for topic in topics():
        path = path_of(topic)
        if path is None:
            continue
        asker = Asker(path, nodeid)
        for payload in payloads(METHODS.get(topic), rng, count):
            asker.ask(topic, payload, STREAMING if rng.random() < 0.5 else 0)
        asker.take(40)
        asker.close()
        mute |= asker.mute
        if asker.errnums != {38}:
            known.add(topic)
    mute = {(t, what) for t, what in mute if what != os.strerror(errno.ENODATA)}  # the good end of a stream
    mute -= {(t, os.strerror(errno.ENOENT)) for t in ("kvs.lookup", "kvs-watch.lookup")}  # there is no more to say
    assert not mute, f"errors without a sentence: {sorted(mute)}"
    return known


def test_bad_payloads_through_the_router_harm_nobody(live):
    with unharmed(live):
        known = fuzz(lambda topic: os.path.join(live.rundir, "local"), 1, 200)
    assert {t for t in METHODS if is_tried(t)} <= known, "a method that does not exist was tried"


def test_bad_payloads_at_the_sockets_of_the_services_harm_nobody(live):
    def path_of(topic):
        for d in ("node", "leader"):
            path = os.path.join(live.rundir, d, topic.split(".")[0])
            if os.path.exists(path):
                return path
        return None

    with unharmed(live):
        assert len(fuzz(path_of, 2, 100)) > 40


def test_a_client_that_poses_as_scheduler_or_executor_does_not_stop_the_jobs(live):
    """The owner may register as either; the real ones come back, and what he was asked is asked again."""
    for topic, payload in [("job-manager.sched-hello", {}), ("job-manager.sched-ready", {"mode": "unlimited"}),
                           ("job-manager.exec-hello", {"service": "nosuch"}), ("job-manager.exec-hello", {"service": "kvs"})]:
        asker = Asker(os.path.join(live.rundir, "local"))
        asker.ask(topic, pack(payload), STREAMING)
        asker.ask("sched.alloc", pack({"id": 1, "priority": 16, "userid": 0, "t_submit": 1.0, "jobspec": {}}))
        asker.ask("job-exec.start", pack({"id": 1, "userid": os.geteuid(), "R": {}}))
        assert live.flux("run", "-n", NCORES, "echo", "alive", timeout=60).split() == ["alive"] * NCORES
        asker.close()
        assert live.flux("run", "-n", NCORES, "echo", "alive", timeout=60).split() == ["alive"] * NCORES
    wait_until("all cores to be free", lambda: live.run("resource", "list", check=False).returncode == 0
               and live.free_cores() == NCORES)


def test_a_deep_jobspec_is_refused_and_stops_nobody_elses_job(live):
    """48 levels fit into the messages that carry a jobspec on; 62 did not, and all scheduling stopped."""
    spec = live.flux("submit", "--dry-run", "true")
    for depth, taken in [(44, True), (60, False), (5000, False)]:
        deep = "[" * depth + "]" * depth
        text, n = re.subn(r'"attributes": *\{', '"attributes": {"user": {"x": ' + deep + "}, ", spec, count=1)
        assert n == 1
        r = live.run("job", "submit", "-", input=text, check=False)
        assert (r.returncode == 0) == taken, r.stderr
        assert taken or re.search("deep|depth", r.stderr)
    with unharmed(live):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_a_guest_gets_nothing_of_the_owners_by_any_method(build, tmp_path):
    """Every method, with payloads of the right shape, by a user without a job who forges who he is: no daemon ends, no
    answer carries what is the owner's, and the owner's job, key and queue stay as they are."""
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "a.toml").write_text("[access]\nallow-guest-user = true\n")
    with Instance(build, tmp_path, [f"--config-path={conf}"]) as live:
        live.run("kvs", "put", f"mine={SECRET}")
        job = live.flux("submit", f"--env=SECRET={SECRET}", "sleep", "1000")
        (dec,) = live.flux("job", "id", "--to=dec", job).split()
        wait_until("the job", lambda: live.flux("jobs", "-n", "-o", "{state}", job) == "RUN")
        os.chmod(live.rundir, 0o711)
        os.chmod(os.path.join(live.rundir, "local"), 0o666)
        with same_daemons(live):
            for topic in sorted({*METHODS, *(f"{s}.{b}" for s in SERVICES for b in [*BUILTIN, "shutdown"]),
                                 f"0-shell-{dec}.kill", f"0-shell-{dec}.stdin"}):
                ask_as_guest(live, topic, int(dec))
        assert live.flux("jobs", "-n", "-o", "{state}", job) == "RUN"
        assert live.flux("kvs", "get", "mine") == SECRET
        live.run("cancel", job)
        assert live.flux("run", "-n", NCORES, "echo", "alive", timeout=60).split() == ["alive"] * NCORES


def ask_as_guest(live, topic, id, rank=0, nodeid=ANY):
    rng = random.Random(topic)
    os.seteuid(GUEST)
    try:
        c = Client(os.path.join(live.node(rank), "local"))
    finally:
        os.seteuid(0)
    for n in range(24):
        o = {k: rng.choice(EXTREMES[t]) for k, _, t in words(METHODS.get(topic, "id:I signum:i"))}
        wanted = {"id": id, "key": "mine", "keys": ["J", "jobspec", "eventlog"], "targets": "0"}
        o.update({k: v for k, v in wanted.items() if k in o and n % 2})
        c.send(encode(topic=topic, payload=pack(o), aux1=nodeid, aux2=n + 1, flags=rng.choice([0, STREAMING]),
                      userid=rng.choice([0, ANY, GUEST]), rolemask=rng.choice([1, 2, ANY])))
    c.send(encode(topic="broker.ping", aux2=999))
    while True:
        m = c.recv()
        assert m is not None, topic
        assert SECRET.encode() not in m.payload, topic
        if m.matchtag == 999:
            break
    c.close()


# --- from another node


@pytest.mark.parametrize("nodeid", [ANY, 0, 1, 2])
def test_bad_payloads_from_the_lowest_node_harm_nobody(tree, nodeid):
    """ANY: whoever offers the service first on the way up."""
    with unharmed(tree):
        known = fuzz(lambda topic: os.path.join(tree.node(2), "local"), 4 + nodeid % 7, 10, nodeid)
    assert len(known) > 40


@pytest.fixture(scope="module")
def tree(build, tmp_path_factory):
    """Three nodes in a row."""
    with Instance(build, tmp_path_factory.mktemp("tree"), ["-Stbon.topo=kary:1"], size=3) as inst:
        yield inst


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_a_guest_of_another_node_gets_nothing_of_the_owners_by_any_method(build, tmp_path):
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "a.toml").write_text("[access]\nallow-guest-user = true\n")
    with Instance(build, tmp_path, [f"--config-path={conf}", "-Stbon.topo=kary:1"], size=3) as live:
        live.run("kvs", "put", f"mine={SECRET}")
        job = live.flux("submit", "-N3", f"--env=SECRET={SECRET}", "sleep", "1000")
        (dec,) = live.flux("job", "id", "--to=dec", job).split()
        wait_until("the job", lambda: live.flux("jobs", "-n", "-o", "{state}", job) == "RUN")
        os.chmod(os.path.dirname(live.rundir), 0o711)
        os.chmod(live.node(2), 0o711)
        os.chmod(os.path.join(live.node(2), "local"), 0o666)
        with same_daemons(live):
            for topic in sorted({*METHODS, *(f"{s}.{b}" for s in SERVICES for b in [*BUILTIN, "shutdown"]),
                                 f"0-shell-{dec}.kill", f"0-shell-{dec}.hello", f"0-shell-{dec}.report"}):
                for nodeid in (ANY, 0, 1):
                    ask_as_guest(live, topic, int(dec), 2, nodeid)
        assert live.flux("jobs", "-n", "-o", "{state}", job) == "RUN"
        assert live.flux("kvs", "get", "mine") == SECRET
        assert live.flux("overlay", "status").count("full") == 3
        live.run("cancel", job)
        cores = NCORES * 3
        assert live.flux("run", "-n", cores, "echo", "alive", timeout=60).split() == ["alive"] * cores
