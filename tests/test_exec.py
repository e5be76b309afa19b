# SPDX-License-Identifier: LGPL-3.0-or-later
"""flux-exec through a live instance: the requests of RFC 42, spoken from first principles (rawclient) and by `flux exec`,
and what it does about jobs that ended, or were to end, while it was away."""
import base64
import json
import os
import signal
import subprocess

import pytest
from embedded import Instance, wait_until
from rawclient import NORESPONSE, STREAMING, Client

STDOUT, STDERR, CREDIT, WAITABLE = 1, 2, 8, 16
ENODATA, ENOENT, EAGAIN, EBUSY, EINVAL, EPROTO = 61, 2, 11, 16, 22, 71


@pytest.fixture
def client(instance):
    c = Client(os.path.join(instance.rundir, "local"))
    yield c
    c.close()


def command(*argv, **extra):
    return {"cmdline": list(argv), "env": {"PATH": os.environ["PATH"]}, "cwd": "/", "opts": {}, "channels": [], **extra}


def start(client, *argv, flags=STDOUT | STDERR, streaming=True, window=None, **extra):
    """Send an exec; returns its matchtag."""
    client.tag += 1
    limit = {} if window is None else {"window": window}
    payload = json.dumps({"cmd": command(*argv, **extra), "flags": flags, **limit}).encode() + b"\0"
    client.send(topic="rexec.exec", payload=payload, aux2=client.tag, flags=STREAMING if streaming else 0)
    return client.tag


def write(client, matchtag, data=b"", eof=False):
    io = {"stream": "stdin", "rank": "0", "encoding": "base64", "data": base64.b64encode(data).decode()}
    if eof:
        io["eof"] = True
    client.send(topic="rexec.write", payload=json.dumps({"matchtag": matchtag, "io": io}).encode() + b"\0", aux2=0, flags=NORESPONSE)


def data_of(io):
    data = io.get("data", "")
    return base64.b64decode(data) if io.get("encoding") == "base64" else data.encode()


def responses(client):
    """Responses up to the error that ends the stream: list of objects, and errnum."""
    out = []
    while True:
        m = client.recv()
        if m.errnum:
            return out, m.errnum
        out.append(m.json)


def output(messages, stream="stdout"):
    return b"".join(data_of(m["io"]) for m in messages if m["type"] == "output" and m["io"]["stream"] == stream)


def started_pid(client):
    m = client.recv()
    assert m.errnum == 0 and m.json["type"] == "started"
    return m.json["pid"]


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# --- exec


def test_exec_says_started_output_and_finished_in_that_order(client):
    start(client, "sh", "-c", "echo out; echo err >&2; exit 3")
    messages, errnum = responses(client)
    assert errnum == ENODATA
    assert [m["type"] for m in messages][0] == "started" and messages[0]["pid"] > 1
    assert output(messages) == b"out\n" and output(messages, "stderr") == b"err\n"
    assert [m["status"] for m in messages if m["type"] == "finished"] == [3 << 8]
    assert {m["io"]["stream"] for m in messages if m["type"] == "output" and m["io"].get("eof")} == {"stdout", "stderr"}


def test_exec_sends_only_the_streams_that_were_asked_for(client):
    start(client, "sh", "-c", "echo out; echo err >&2", flags=STDERR)
    messages, _ = responses(client)
    assert output(messages) == b"" and output(messages, "stderr") == b"err\n"


def test_exec_gives_environment_and_directory(client, tmp_path):
    start(client, "sh", "-c", "pwd; echo $COLOUR", cwd=str(tmp_path), env={"PATH": os.environ["PATH"], "COLOUR": "blue"})
    messages, _ = responses(client)
    assert output(messages).decode().split() == [str(tmp_path), "blue"]


@pytest.mark.parametrize("cmd, errnum", [
    ({"cmdline": [], "env": {}}, EPROTO),
    ({"cmdline": ["true", 3], "env": {}}, EPROTO),
    ({"cmdline": ["true"], "env": {"A": 1}}, EPROTO),
    ({"cmdline": ["true"], "env": {"A=B": "1"}}, EPROTO),
    ({"cmdline": ["/no/such/program"], "env": {}}, ENOENT),
    ({"cmdline": ["true"], "env": {}, "label": ""}, EINVAL),
    ({"cmdline": ["true"]}, EPROTO),
])
def test_exec_refuses_what_is_no_command(client, cmd, errnum):
    m = client.rpc("rexec.exec", {"cmd": cmd, "flags": 0}, flags=STREAMING)
    assert m.errnum == errnum and m.text


def test_the_process_ends_with_its_client(instance):
    c = Client(os.path.join(instance.rundir, "local"))
    start(c, "sleep", "300")
    pid = started_pid(c)
    assert is_alive(pid)
    c.close()
    wait_until("the process to be gone", lambda: not is_alive(pid))


# --- write


def test_write_reaches_stdin_and_eof_ends_it(client):
    tag = start(client, "cat")
    pid = started_pid(client)
    write(client, tag, b"hello \xff\n")
    write(client, tag, b"world\n", eof=True)
    messages, errnum = responses(client)
    assert errnum == ENODATA and output(messages) == b"hello \xff\nworld\n"
    assert not is_alive(pid)


def test_write_credit_is_given_at_the_start_and_again_as_input_is_read(client):
    tag = start(client, "cat", flags=STDOUT | CREDIT)
    started_pid(client)
    credit = client.recv().json
    assert credit["type"] == "add-credit" and credit["channels"]["stdin"] > 0
    write(client, tag, b"x" * 1000)
    seen = []
    while "add-credit" not in [m["type"] for m in seen]:
        seen.append(client.recv().json)
    assert [m["channels"]["stdin"] for m in seen if m["type"] == "add-credit"][0] > 0
    write(client, tag, eof=True)
    messages, errnum = responses(client)
    assert errnum == ENODATA and len(output(seen + messages)) == 1000


def test_a_write_of_another_client_does_not_arrive(instance, client):
    other = Client(os.path.join(instance.rundir, "local"))
    tag = start(client, "cat")
    started_pid(client)
    write(other, tag, b"not mine\n", eof=True)
    other.rpc("rexec.ping")  # it has been taken
    other.close()
    write(client, tag, b"mine\n", eof=True)
    messages, _ = responses(client)
    assert output(messages) == b"mine\n"


# --- kill, wait, list


def test_kill_sends_the_signal_and_finished_has_it(instance, client):
    start(client, "sleep", "300")
    pid = started_pid(client)
    other = Client(os.path.join(instance.rundir, "local"))
    assert other.rpc("rexec.kill", {"pid": pid, "signum": signal.SIGTERM}).errnum == 0
    messages, errnum = responses(client)
    assert errnum == ENODATA and [m["status"] for m in messages if m["type"] == "finished"] == [signal.SIGTERM]
    assert other.rpc("rexec.kill", {"pid": pid, "signum": signal.SIGTERM}).errnum == ENOENT
    other.close()


def test_kill_refuses_processes_that_were_not_started_here(client):
    m = client.rpc("rexec.kill", {"pid": os.getpid(), "signum": 0})
    assert m.errnum == ENOENT and "started here" in m.text


def test_a_waitable_background_process_can_be_waited_for_by_its_label(instance, client):
    start(client, "sh", "-c", "exit 5", flags=WAITABLE, streaming=False, label="five")
    started_pid(client)
    m = client.rpc("rexec.wait", {"pid": -1, "label": "five"})
    assert m.errnum == 0 and m.json["status"] == 5 << 8
    assert client.rpc("rexec.wait", {"pid": -1, "label": "five"}).errnum == ENOENT


def test_a_waiter_that_leaves_makes_room_for_another(instance, client):
    start(client, "sleep", "300", flags=WAITABLE, streaming=False, label="awaited")
    pid = started_pid(client)
    first, other = (Client(os.path.join(instance.rundir, "local")) for _ in range(2))

    def waits(c):
        """Has its request been taken? Else somebody else waits."""
        c.tag += 2
        c.send(topic="rexec.wait", payload=b'{"pid":-1,"label":"awaited"}\0', aux2=c.tag - 1)
        c.send(topic="rexec.ping", payload=b"{}\0", aux2=c.tag)
        m = c.recv()
        if m.matchtag == c.tag:
            return True
        assert m.errnum == EBUSY and c.recv().matchtag == c.tag
        return False

    assert waits(first) and not waits(client)
    first.close()
    wait_until("room for another waiter", lambda: waits(client))
    assert other.rpc("rexec.kill", {"pid": pid, "signum": signal.SIGTERM}).errnum == 0
    assert client.recv().json["status"] == signal.SIGTERM
    other.close()


def test_wait_refuses_a_process_that_is_not_waitable(client):
    start(client, "sleep", "300", streaming=False, label="not-waitable")
    pid = started_pid(client)
    assert client.rpc("rexec.wait", {"pid": pid}).errnum == EINVAL
    assert client.rpc("rexec.kill", {"pid": -1, "signum": 9, "label": "not-waitable"}).errnum == 0
    wait_until("the process to be gone", lambda: not is_alive(pid))


def test_a_label_names_one_process(client):
    start(client, "sleep", "300", streaming=False, label="only")
    pid = started_pid(client)
    m = client.rpc("rexec.exec", {"cmd": command("true", label="only"), "flags": 0})
    assert m.errnum == 17 and "only" in m.text
    listed = [p for p in client.rpc("rexec.list").json["procs"] if p["label"] == "only"]
    assert [(p["pid"], p["cmd"], p["state"]) for p in listed] == [(pid, "sleep", "R")]
    client.rpc("rexec.kill", {"pid": pid, "signum": 9})
    wait_until("an empty list", lambda: not [p for p in client.rpc("rexec.list").json["procs"] if p["label"] == "only"])


def test_no_more_output_is_sent_than_was_asked_for_until_it_was_taken(client):
    tag = start(client, "sh", "-c", "echo one; read x; echo two", window=1)
    started_pid(client)
    assert data_of(client.recv().json["io"]) == b"one\n"
    write(client, tag, b"\n")
    m = client.recv().json
    assert m["type"] == "finished", m
    client.send(topic="rexec.read", payload=json.dumps({"matchtag": tag, "bytes": 10**6}).encode() + b"\0", aux2=0, flags=NORESPONSE)
    messages, errnum = responses(client)
    assert errnum == ENODATA and output(messages) == b"two\n"
    start(client, "true", window=-1)
    assert client.recv().errnum == EINVAL


# --- flux exec


def test_flux_exec_prints_the_output_and_exits_with_the_status(instance):
    r = instance.run("exec", "sh", "-c", "echo hello; exit 4", check=False)
    assert (r.stdout, r.returncode) == ("hello\n", 4)
    assert instance.flux("exec", "-l", "echo", "x") == "0: x"
    assert instance.run("exec", "/no/such/program", check=False).returncode == 127


def test_flux_exec_ends_when_its_output_cannot_be_written(instance):
    with open("/dev/full", "w") as full:
        r = subprocess.run([instance.fluxctl, "exec", "yes"], env=instance.environ(), stdout=full, stderr=subprocess.PIPE,
                           text=True, timeout=60)
    assert r.returncode == 1 and r.stderr == "flux-exec: cannot write to standard output\n", r


def test_ctrl_c_of_flux_exec_ends_the_process(instance, tmp_path):
    p = instance.popen("exec", "sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 300")
    pid = wait_until("the process", lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    p.send_signal(signal.SIGINT)
    assert p.wait(timeout=60) == 128 + signal.SIGINT
    wait_until("the process to be gone", lambda: not is_alive(int(pid)))


# --- jobs, while flux-exec is away


def shells(instance):
    return [int(p) for p in filter(str.isdigit, os.listdir("/proc"))
            if _exe(p) == "flux-shell" and f"FLUX_URI={instance.uri}".encode() in _environ(p)]


def _exe(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


def _environ(pid):
    try:
        return open(f"/proc/{pid}/environ", "rb").read().split(b"\0")
    except OSError:
        return []


def test_a_job_canceled_while_flux_exec_was_away_is_cleaned_up_and_not_started_again(fresh_instance, tmp_path):
    """The next flux-exec is told to clean up (job-exec.start with cleanup): it kills what it finds."""
    instance = fresh_instance
    jobid = instance.flux("submit", "sh", "-c", f"echo start >> {tmp_path}/starts; exec sleep 300")
    wait_until("the task", (tmp_path / "starts").exists)
    (pid,) = instance.daemon_pids("exec")
    os.kill(pid, signal.SIGSTOP)  # it does not hear of the cancel
    instance.run("cancel", jobid)
    wait_until("the exception", lambda: "exception" in [e["name"] for e in instance.eventlog(jobid)])
    (shell,) = shells(instance)
    os.kill(pid, signal.SIGKILL)
    wait_until("the end of the job", lambda: instance.eventlog(jobid)[-1]["name"] == "clean")
    assert not is_alive(shell)
    assert (tmp_path / "starts").read_text() == "start\n"
    assert [e["name"] for e in instance.eventlog(jobid)].count("start") == 1


def test_a_shell_of_no_job_is_ended(build, tmp_path):
    """Reconciliation: a shell on record whose job the job manager does not know."""
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "exec.toml").write_text('[exec]\nreconcile-delay = "0.2s"\n')
    with Instance(build, tmp_path, env={"FLUX_CONF_DIR": str(conf)}) as instance:
        stray = subprocess.Popen(["sleep", "300"])
        try:
            stat = open(f"/proc/{stray.pid}/stat").read().rpartition(")")[2].split()
            boot = open("/proc/sys/kernel/random/boot_id").read().strip()
            jobs = os.path.join(instance.rundir, "jobs")
            jobid = instance.flux("submit", "sh", "-c", f"echo up >{tmp_path}/up; exec sleep 300")
            # A task looks like a shell until it is executed.
            wait_until("the task", lambda: (tmp_path / "up").exists())
            (name,) = os.listdir(jobs)
            record = open(os.path.join(jobs, name)).read()
            (own,) = shells(instance)
            own_stat = open(f"/proc/{own}/stat").read().rpartition(")")[2].split()
            forged = record.replace(str(own), str(stray.pid), 1).replace(own_stat[19], stat[19], 1)
            assert forged != record and boot in forged
            with open(os.path.join(jobs, "4711"), "w") as f:
                f.write(forged)
            instance.kill_daemon("exec")  # the next one reconciles
            wait_until("the stray to be ended", lambda: stray.poll() is not None)
            assert stray.returncode == -signal.SIGKILL
            wait_until("its record to be gone", lambda: "4711" not in os.listdir(jobs))
            assert is_alive(own) and name in os.listdir(jobs)
            instance.run("cancel", jobid)
        finally:
            stray.kill()
            stray.wait()


def test_a_shell_that_is_not_known_is_told_to_ask_again_until_all_jobs_were_named(build, tmp_path):
    """One of before a restart may run although there is no record of it: it was asked for, and not noted down."""
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "exec.toml").write_text('[exec]\nreconcile-delay = "0s"\n')
    answers = {}
    for name, env in ("later", {}), ("at once", {"FLUX_CONF_DIR": str(conf)}):
        with Instance(build, tmp_path, env=env) as instance:
            c = Client(os.path.join(instance.rundir, "local"))
            ask = lambda: c.rpc("rexec.shell-info", {"id": 1, "pid": os.getpid()}).errnum
            answers[name] = wait_until("the other answer", lambda: (e := ask()) != EAGAIN and e) if env else ask()
            c.close()
    assert answers == {"later": EAGAIN, "at once": ENOENT}
