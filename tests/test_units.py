# SPDX-License-Identifier: LGPL-3.0-or-later
"""The unit files as built: correct in the eyes of systemd, exposed no more than the ceilings allow, one sandbox for
all, and every exception explained. Needs no booted system."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parent.parent
DAEMONS = ["broker", "content", "exec", "job-ingest", "job-list", "job-manager", "kvs", "resource", "sched"]
CEILING = {"broker": 1.2, "resource": 0.6}

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


@pytest.fixture(scope="module")
def build():
    return pathlib.Path(os.environ.get("FLUX_BUILD", TOP / "build"))


@pytest.fixture(scope="module")
def units(build, tmp_path_factory):
    """The built units with programs that exist, so that verify need not have them installed."""
    dest = tmp_path_factory.mktemp("units")
    for f in [*(build / "units").glob("flux*.s*"), build / "units" / "flux.target"]:
        if f.suffix in (".service", ".socket", ".slice", ".target"):
            text = re.sub(r"^ExecStart=.*", "ExecStart=/bin/true", f.read_text(), flags=re.M)
            text = re.sub(r"^(Documentation)=.*\n", "", text, flags=re.M)
            (dest / f.name).write_text(text)
    return dest


def test_every_daemon_has_a_socket_and_a_service(units):
    for d in DAEMONS:
        assert (units / f"flux-{d}.service").exists() and (units / f"flux-{d}.socket").exists()


def test_systemd_has_nothing_to_say(units):
    names = [str(p) for p in units.iterdir()]
    r = subprocess.run(["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True)
    ours = [l for l in (r.stdout + r.stderr).splitlines() if "flux" in l]
    assert not ours and r.returncode == 0, r.stdout + r.stderr


@pytest.mark.parametrize("daemon", [*DAEMONS, "module@"])
def test_exposure_is_under_the_ceiling(units, daemon):
    r = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(units / f"flux-{daemon}.service")],
                       capture_output=True, text=True)
    m = re.search(r"Overall exposure level for \S+: ([0-9.]+)", r.stdout)
    assert m, r.stdout + r.stderr
    assert float(m.group(1)) <= CEILING.get(daemon, 0.5), r.stdout


def test_the_sandbox_is_alphabetical_and_the_same_everywhere(build):
    sandbox = (TOP / "units" / "sandbox.conf").read_text()
    keys = [l.split("=")[0] for l in sandbox.splitlines()]
    assert keys == sorted(keys)
    for d in DAEMONS:
        assert sandbox in (build / "units" / f"flux-{d}.service").read_text()


def test_every_exception_is_explained(build):
    for f in (TOP / "units").glob("*.conf"):
        if f.name == "sandbox.conf":
            continue
        assert f.read_text().startswith("#"), f
    for d in DAEMONS:
        assert "PrivateUsers=" not in (build / "units" / f"flux-{d}.service").read_text()  # destroys SO_PEERCRED


def test_every_message_id_has_a_text(build):
    ids = re.findall(r'"([0-9a-f]{32})"', (TOP / "libflux" / "service" / "log.h").read_text())
    catalog = (TOP / "units" / "flux.catalog").read_text()
    assert len(ids) >= 8
    for i in ids:
        assert f"-- {i}\nSubject: " in catalog, i
