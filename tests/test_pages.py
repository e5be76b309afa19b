# SPDX-License-Identifier: LGPL-3.0-or-later
"""Manual pages keep their word: every example of every page runs, every command has a page and help, names and sections
agree, and what pages refer to exists."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from embedded import CORES, Instance

TOP = pathlib.Path(__file__).resolve().parent.parent
PAGES = sorted((TOP / "man").glob("man[0-9]/*.[0-9]"))
ELSEWHERE = re.compile(  # of the system, not ours
    r"^(srun|systemd|journalctl|loginctl|sd[-_]|syslog|man\b|ls\b|glob|poll|signal|execve?|unix|memfd_create|sqlite3|hwloc|jansson|"
    r"kill|getrlimit|hostname|pkg-config|prctl|capabilities|cgroups|credentials|environ|strftime|printf|stat|libev|ev\b|fcntl|socket|"
    r"pidfd_open|tar\b|date|wait|rename|fsync|sched_setaffinity|lstopo|taskset|bash|runuser|su|sudo|logger|xargs|toml|fnmatch|free\b|exit\b|inotify|strerror|waitpid)")

# Examples that cannot run in one embedded instance: what they need instead.
NOT_HERE = {
    "srun": "Slurm", "slurm:": "Slurm",
    "systemctl": "systemd", "journalctl": "systemd", "/usr/libexec": "an installed tree", "node3": "a node of this name",
    "node[3-4]": "nodes of these names", "-N2": "two nodes", "flux dmesg -f": "an end", "flux event sub": "a second terminal", "fluxctl start\n": "a terminal",
}


def text_of(page):
    """The page without the roff that stands inside words."""
    text = page.read_text()
    for roff, plain in ((r"\-", "-"), (r"\e", "\\"), (r"\&", ""), (r"\(aq", "'"), (r"\fR", ""), (r"\fB", ""), (r"\fI", "")):
        text = text.replace(roff, plain)
    return text


def examples(page):
    section = re.search(r"^\.S[Hh] EXAMPLES\n(.*?)(?=^\.S[Hh] |\Z)", text_of(page), re.M | re.S)
    return re.findall(r"^\$ (.*)$", section.group(1), re.M) if section else []


@pytest.fixture(scope="module")
def shell(build, tmp_path_factory):
    """Run a script in an instance of four cores, with the programs and files that examples speak of."""
    work = tmp_path_factory.mktemp("pages")
    (work / "bin").mkdir()
    (work / "conf").mkdir()
    for name in ("flux", "fluxctl"):
        (work / "bin" / name).symlink_to(build / "fluxctl" / "fluxctl")
    for name in ("app", "postprocess"):
        (work / name).write_text("#!/bin/sh\nexit 0\n")
        (work / name).chmod(0o755)
    for name in ("input.dat", "words", "a.in", "file"):
        (work / name).write_text("b\na\n")
    (work / "conf" / "cores.toml").write_text(f'[resource]\nnoverify = true\n[[resource.config]]\nhosts = "{os.uname().nodename}"\ncores = "0-7"\n')
    with Instance(build, work, args=["-c", str(work / "conf")],
                  env={"PATH": f"{work}/bin:{os.environ['PATH']}", "MANPATH": f"{TOP}/man:"}) as inst:
        def run(script):
            return subprocess.run(["bash", "-c", script], env=inst.environ(), cwd=work, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=90)
        yield run


@pytest.mark.parametrize("page", [p for p in PAGES if examples(p)], ids=lambda p: p.name)
def test_examples_run(shell, page):
    lines = [l for l in examples(page) if not any(what in l + "\n" for what in NOT_HERE)]
    if CORES < 2:  # an instance that is started there counts for itself
        lines = [l for l in lines if not re.search(r"start .*-n[2-9]", l)]
    if not lines:
        pytest.skip("needs what an embedded instance has not")
    r = shell("set -o pipefail\n" + "\n".join(f"{line}\nstatus=$?; [ $status -eq 0 ] || echo \"line {n}: exit $status\""
                                              for n, line in enumerate(lines, 1)))
    assert not re.search("^line [0-9]+: exit", r.stdout, re.M), "\n".join(lines) + "\n---\n" + r.stdout


def test_the_tour_of_the_readme_does_what_it_says(shell):
    tour = re.search(r"## Three minutes\n\n(.*?)^    exit ", (TOP / "README.md").read_text(), re.M | re.S).group(1)
    lines = [l.strip() for l in tour.splitlines() if "tools/flux" not in l]
    r = shell("\n".join(lines))
    assert len(lines) > 8 and "command not found" not in r.stdout and "fluxctl " not in r.stdout, r.stdout
    host = os.uname().nodename
    for expected in (f"0: {host}", f"1: {host}", "out", "3", "42", " finish status=768"):
        assert re.search(rf"^.*{re.escape(expected)}.*$", r.stdout, re.M), expected + r.stdout


def commands(build):
    out = subprocess.run([build / "fluxctl" / "fluxctl", "--help"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  ([a-z]+(?: [a-z-]+){0,2}?)  +[A-Z]", out, re.M)


def test_every_command_has_help_and_a_page_that_tells_of_it(build):
    names = commands(build)
    assert len(names) > 40 and "kvs namespace create" in names
    for name in names:
        r = subprocess.run([build / "fluxctl" / "fluxctl", *name.split(), "--help"], capture_output=True, text=True)
        assert r.returncode == 0 and r.stdout.startswith(f"Usage: flux {name}"), name
        page = TOP / "man" / "man1" / f"flux-{name.split()[0]}.1"
        assert page.exists(), name
        text = text_of(page)
        if text.startswith(".so "):
            text = text_of(TOP / "man" / text.split()[1])
        for word in name.split():
            assert re.search(rf"\b{word}\b", text), (name, word)


def test_help_fits_100_columns(build):
    wide = [l for name in ["", *commands(build)]
            for l in subprocess.run([build / "fluxctl" / "fluxctl", *name.split(), "--help"], capture_output=True, text=True).stdout.splitlines() if len(l) > 100]
    assert wide == []


def test_every_option_is_on_the_page(build):
    missing = []
    for name in commands(build):
        help = subprocess.run([build / "fluxctl" / "fluxctl", *name.split(), "--help"], capture_output=True, text=True).stdout
        text = text_of(TOP / "man" / "man1" / f"flux-{name.split()[0]}.1")
        text = text_of(TOP / "man" / text.split()[1]) if text.startswith(".so ") else text
        for other in ("flux-batch", "flux-run", "flux-submit"):  # pages of commands that submit jobs refer to these
            if f"{other} 1" in text and re.search("submit|batch|alloc", name):
                text += text_of(TOP / "man" / "man1" / f"{other}.1")
        for short, long in re.findall(r"^  (?:-(.), |    )--([a-z0-9-]+)", help, re.M):
            if long != "help" and not re.search(rf"-{long}\b|Fl {short}\b|Fl \w*{short}\w* ", text):
                missing.append(f"{name} --{long}")
    assert missing == []


OF_OTHERS = {"alloc": {"--wrap", "--quiet"}}  # pages that speak of options of another command


def test_no_page_of_a_command_has_an_option_that_there_is_not(build):
    there = {}  # page: its options
    for name in commands(build):
        page = TOP / "man" / "man1" / f"flux-{name.split()[0]}.1"
        if (text := text_of(page)).startswith(".so "):
            page = TOP / "man" / text.split()[1]
        help = subprocess.run([build / "fluxctl" / "fluxctl", *name.split(), "--help"], capture_output=True, text=True).stdout
        options = there.setdefault(page, set())
        for short, long in re.findall(r"^  (?:-(.)(?:,| ) +|    )(?:--([a-z0-9-]+))?", help, re.M):
            options |= {f"-{short}", f"--{long}"}
    wrong = []
    for page, options in there.items():
        for line in text_of(page).splitlines():
            for arg in re.findall(r"\bFl (\S+(?: [,|] (?!(?:Fl|No) )\S+)*)", line):
                for word in re.split(" [,|] ", arg):
                    named = ["-" + word.split("=")[0].rstrip(".,;:")] if word[0] == "-" else [f"-{c}" for c in word if c.isalnum()]
                    wrong += [(page.name, o) for o in named if o not in options | OF_OTHERS.get(page.stem[5:], set())]
    assert wrong == []


def test_every_command_and_option_is_completed(build):
    fluxctl = build / "fluxctl" / "fluxctl"

    def complete(*words):
        return subprocess.run([fluxctl, "--list-completions", *words], capture_output=True, text=True, check=True).stdout.split()

    for name in commands(build):
        words = name.split()
        for i, word in enumerate(words):
            assert word in complete(*words[:i], "") and word in complete(*words[:i], word[:2]), name
        help = subprocess.run([fluxctl, *words, "--help"], capture_output=True, text=True).stdout
        offered = [option.rstrip("=") for option in complete(*words, "--")]
        for option in re.findall(r"^  (?:-., |    )(--[a-z0-9-]+)", help, re.M):
            assert option in offered, (name, option)


def test_the_jobspec_on_its_page_is_accepted(shell):
    example = re.search(r"^\{\n.*?^\}\n", text_of(TOP / "man/man5/flux-jobspec.5"), re.M | re.S).group(0)
    r = shell(f"flux job attach $(flux job submit - <<'END'\n{example}END\n)")
    assert r.stdout == f"{os.uname().nodename}\n" * 2


def test_help_finds_the_page_of_a_command(build):
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    for command, title in (("run", "FLUX-RUN"), ("kvs get", "FLUX-KVS"), ("cancel", "flux-job|FLUX-JOB")):
        r = subprocess.run([TOP / "tools" / "flux", "help", *command.split()], capture_output=True, text=True,
                           env={**os.environ, "MANPAGER": "cat", "FLUX_BUILD": str(build)})
        assert r.returncode == 0 and re.search(title, r.stdout), command + r.stdout[:500] + r.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_page_is_well_formed_and_refers_to_pages_that_exist(page):
    text = text_of(page)
    if text.startswith(".so "):
        assert (TOP / "man" / text.split()[1]).exists()
        return
    assert page.parent.name[-1] == page.name[-1]
    assert f"'{page.name}'" in "".join(f.read_text() for f in (TOP / "man").rglob("meson.build")).replace(f"man{page.name[-1]}/", "")
    assert re.search(rf"^\.(TH|Dt) \"?{re.escape(page.stem.upper())}\"? {page.suffix[1]}\b", text, re.M | re.I)
    known = {p.name for p in PAGES}
    found = re.findall(r"^\.Xr (\S+) ([1-8])", text, re.M)
    found += re.findall(r"([A-Za-z][\w.-]+)\"? ?\(([1-8])\)", text)
    for name, section in found:
        if not ELSEWHERE.match(name) and not re.match(r"(flux|idset|hostlist)_", name):
            assert f"{name}.{section}" in known, f"{name}({section})"
