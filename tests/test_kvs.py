# SPDX-License-Identifier: LGPL-3.0-or-later
"""The key value store through its client API, against router, content and kvs as flux-supervise starts them."""
import os
import subprocess

import pytest


def supervise(build, tmp_path, *command, statedir=None):
    services = ":".join(str(p) for p in (build / "services").iterdir() if p.is_dir())
    args = [build / "supervise/flux-supervise", f"--units={build / 'units'}", f"--exec-path={services}"]
    if statedir:
        args.append(f"--statedir={statedir}")
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLUX_")}
    return subprocess.run([*args, "--", *command], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)


@pytest.fixture
def client(build):
    return build / "services/kvs/test-kvs-client"


def test_client_api_against_the_daemons(build, tmp_path, client):
    r = supervise(build, tmp_path, client)
    assert r.returncode == 0, r.stdout + r.stderr


def test_state_survives_a_restart_of_the_instance(build, tmp_path, client):
    state = tmp_path / "state"
    state.mkdir()
    first = supervise(build, tmp_path, client, "put", "a.b", "kept", statedir=state)
    assert first.returncode == 0, first.stdout + first.stderr
    second = supervise(build, tmp_path, client, "get", "a.b", statedir=state)
    assert (second.returncode, second.stdout) == (0, "kept\n"), second.stderr


def test_acknowledged_commits_survive_kill_9_of_the_kvs(build, tmp_path, client):
    state = tmp_path / "state"
    state.mkdir()
    script = f"""
        i=0
        while [ $i -lt 40 ]; do
            i=$((i+1))
            if {client} put k.$i $i; then echo $i >>acknowledged; fi
            case $i in
            10|25) kill -9 $(pgrep -x flux-kvs -P $(ps -o ppid= -p $$));;
            esac
        done
        for i in $(cat acknowledged); do
            [ "$({client} get k.$i)" = $i ] || exit 1
        done
    """
    r = supervise(build, tmp_path, "sh", "-c", script, statedir=state)
    assert r.returncode == 0, r.stdout + r.stderr
    assert len((tmp_path / "acknowledged").read_text().split()) >= 35
