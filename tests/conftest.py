# SPDX-License-Identifier: LGPL-3.0-or-later
"""Fixtures: `instance`, an embedded single-user instance of the freshly built tree, and `node`, a booted systemd
node with the tree installed. What a fixture starts it stops."""
import os
import pathlib
import signal
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests"))
# Whoever runs the tests in the background may have these ignored: that is not for what the tests start.
for sig, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGQUIT, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    signal.signal(sig, handler)
BUILD = pathlib.Path(os.environ.get("FLUX_BUILD", TOP / "build"))


@pytest.fixture(scope="session")
def build():
    if not (BUILD / "fluxctl" / "fluxctl").exists():
        pytest.fail(f"{BUILD} is not built; run tools/setup")
    return BUILD


@pytest.fixture(scope="module")
def instance(build, tmp_path_factory):
    from embedded import Instance

    with Instance(build, tmp_path_factory.mktemp("instance")) as inst:
        yield inst


@pytest.fixture
def fresh_instance(build, tmp_path):
    from embedded import Instance

    with Instance(build, tmp_path) as inst:
        yield inst


@pytest.fixture(scope="session")
def staged(build, tmp_path_factory):
    from systemd_node import stage, unusable

    reason = unusable()
    if reason:
        pytest.skip(reason)
    return stage(build, tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="module")
def node(staged):
    from systemd_node import Node

    with Node(staged, "node0") as n:
        yield n
