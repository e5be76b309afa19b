# SPDX-License-Identifier: LGPL-3.0-or-later
"""Whoever is new finds the right file: HACKING.md names the folders, the opening comment of a daemon's main.c its files, and each
file and each tool says what it is for."""
import pathlib
import re
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parent.parent
DAEMONS = sorted(p.parent for p in TOP.glob("services/*/main.c") if p.parent.name != "module")
NO_PART = ("test-", "fuzz-", "bench-", "fake-", "faulty-")


def tracked():
    r = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, text=True)
    return [TOP / f for f in r.stdout.split("\0")] if r.returncode == 0 and r.stdout else list(TOP.rglob("*"))


def opening(path):
    """The comment behind the licence."""
    m = re.match(r"/\* SPDX-License-Identifier: .* \*/\n(/\*.*?\*/)", path.read_text(), re.S)
    return m.group(1) if m else ""


@pytest.mark.parametrize("folder", DAEMONS, ids=lambda p: p.name)
def test_the_opening_comment_of_a_daemon_names_its_files(folder):
    named = set(re.findall(r"[\w-]+", opening(folder / "main.c")))
    files = {f.stem for f in folder.glob("*.c") if not f.name.startswith(NO_PART)} - {"main"}
    assert files - named == set()


def test_hacking_names_every_folder_with_sources():
    words = set(re.findall(r"[\w/.-]+", (TOP / "HACKING.md").read_text().split("## Every day")[0])) | {"services/NAME"}
    folders = {f.relative_to(TOP).parts[0] for f in tracked() if f.suffix in (".c", ".py", ".in") and len(f.relative_to(TOP).parts) > 1}
    below = {f"libflux/{f.relative_to(TOP).parts[1]}" for f in tracked() if f.suffix == ".c" and f.relative_to(TOP).parts[0] == "libflux"}
    known = {w.split("/")[0] for w in words}
    assert len(folders) > 8 and {f for f in folders if not f.startswith("build")} - known == set() and below - words == set()


def test_every_source_says_what_it_is_for():
    sources = [f for f in tracked() if f.suffix == ".c" and f.is_file() and not f.name.startswith(NO_PART) and "examples" not in f.parts]
    assert len(sources) > 300 and [str(f) for f in sources if not f.relative_to(TOP).parts[0].startswith("build") and not opening(f)] == []


@pytest.mark.parametrize("tool", sorted(p.name for p in (TOP / "tools").iterdir() if p.name != "flux"))
def test_a_tool_that_is_asked_says_what_it_does_and_does_nothing(tool):
    r = subprocess.run([TOP / "tools" / tool, "--help"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert r.returncode == 0 and len(r.stdout.split()) > 10 and r.stdout[0].isalpha(), r
