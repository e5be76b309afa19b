# SPDX-License-Identifier: LGPL-3.0-or-later
"""The manual pages of the C API keep their word: the example of each is the file man/examples/NAME.c, compiles without a
warning against the library as pkg-config describes it, and prints in an instance what it says it prints; the prototypes are
those of the headers; each function has a page. `python3 tests/test_man3.py` copies changed examples into the pages."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

import pytest

from embedded import Instance

TOP = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = sorted((TOP / "man/examples").glob("*.c"))
PAGES = sorted(p for p in (TOP / "man/man3").glob("*.3") if p.stem != "libflux-core")
BLOCK = re.compile(r"(^\.Sh EXAMPLES\n(?:(?!\.Bd)[^\n]*\n)*\.Bd -literal -offset indent\n)(.*?)(?=^\.Ed\n)", re.M | re.S)

GUEST = 54321
MACRO = re.compile(r"^[ \t]*#define[^\n]*(?:\\\n[^\n]*)*", re.M)


def to_roff(code):
    return "".join((r"\&" if line[:1] in (".", "'") else "") + line.replace("\\", r"\e") + "\n" for line in code.splitlines())


def from_roff(text):
    return re.sub(r"^\\&", "", text, flags=re.M).replace(r"\e", "\\")


def shown(example):
    """An example as it stands on the page: without the licence."""
    return example.read_text().split("\n", 1)[1]


def synopsis(page):
    return from_roff(re.search(r"^\.Sh SYNOPSIS\n.*?^\.Bd -literal\n(.*?)^\.Ed\n", page.read_text(), re.M | re.S).group(1))


def names(page):
    return re.findall(r"^\.Nm (\S+)", re.search(r"^\.Sh NAME\n(.*?)^\.Sh ", page.read_text(), re.M | re.S).group(1), re.M)


@pytest.fixture(scope="module")
def cc(build, tmp_path_factory):
    work = tmp_path_factory.mktemp("man3")
    # What pkg-config says of the installed library, before it is installed.
    flags = ["-I", TOP / "libflux/include", "-I", build / "libflux/include", "-L", build / "libflux", f"-Wl,-rpath,{build}/libflux",
             "-lflux-core", "-ljansson"]

    def compile(source, compiler="cc", std="gnu17", libs=(), flags=flags):
        exe = work / source.stem
        r = subprocess.run([compiler, f"-std={std}", "-Wall", "-Werror", "-Wno-unused-function", "-o", exe, source, *flags, *libs],
                           capture_output=True, text=True)
        assert r.returncode == 0, r.stderr
        return exe

    compile.work = work
    return compile


def test_each_page_has_an_example_and_each_example_a_page():
    assert len(PAGES) > 10
    assert [p.stem for p in PAGES] == [e.stem for e in EXAMPLES]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_example_on_the_page_is_the_file(page):
    block = BLOCK.search(page.read_text())
    assert from_roff(block.group(2)) == shown(TOP / "man/examples" / f"{page.stem}.c"), "run python3 tests/test_man3.py"


def expected(example):
    """The last comment, as a pattern: `...` stands for anything within a line."""
    text = re.search(r"^/\* Output:\n(.*?) \*/\n\Z", example.read_text(), re.M | re.S).group(1)
    lines = [re.fullmatch(r" \*(?: (.*))?", line).group(1) or "" for line in text.splitlines()]
    assert lines
    return "".join(re.escape(line).replace(r"\.\.\.", ".*") + "\n" for line in lines)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_the_example_compiles_and_prints_what_it_says(cc, instance, example):
    exe = cc(example)
    r = subprocess.run([exe], env=instance.environ(), cwd=cc.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=60)
    assert r.returncode == 0 and re.fullmatch(expected(example), r.stdout), f"exit {r.returncode}\n{r.stdout}"


@pytest.mark.parametrize("example,library", [(e, e.stem.split("_")[0]) for e in EXAMPLES if not e.stem.startswith("flux_")],
                         ids=lambda x: getattr(x, "stem", x))
def test_sets_and_lists_can_be_linked_by_a_name_of_their_own(cc, build, example, library):
    cc(example, flags=["-I", TOP / "libflux/include", "-L", build / "libflux", f"-lflux-{library}"])


def test_the_library_keeps_what_the_pages_promise_against_the_services(cc, instance):
    exe = cc(TOP / "tests/conformance.c", libs=["-lcmocka"])
    r = subprocess.run([exe], env=instance.environ(), cwd=cc.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=120)
    assert r.returncode == 0, re.sub(r"^\[ (RUN|      OK).*\n", "", r.stdout, flags=re.M)
    assert re.search(r"PASSED  \] [1-9]\d* test", r.stdout)
    assert "conformance: 1" in instance.flux("dmesg")


def passes(exe, **kw):
    r = subprocess.run([exe], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, **kw)
    assert r.returncode == 0, re.sub(r"^\[ (RUN|      OK).*\n", "", r.stdout, flags=re.M)
    assert re.search(r"PASSED  \] [1-9]\d* test", r.stdout)


def configured(tmp_path, text):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "test.toml").write_text(text)
    return [f"--config-path={tmp_path / 'conf'}"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_the_library_keeps_what_the_pages_promise_to_guests(cc, build, tmp_path):
    exe = cc(TOP / "tests/conformance-guest.c", libs=["-lcmocka"])
    copy = pathlib.Path(tempfile.mkdtemp(prefix="flux-guest-"))  # where a guest can read it
    with Instance(build, tmp_path, configured(tmp_path, "[access]\nallow-guest-user = true\n")) as live:
        try:
            copy.chmod(0o755)
            for f in (exe, build / "libflux/libflux-core.so.2"):
                shutil.copy(f, copy / f.name)
            os.chmod(live.rundir, 0o711)
            live.run("kvs", "namespace", "create", f"--owner={GUEST}", "guests")
            live.run("kvs", "namespace", "create", "owners")
            job = live.flux("submit", "--urgency=hold", "true")
            stop = threading.Event()

            def publish():
                while not stop.is_set():
                    live.run("event", "pub", "--private", "conf.secret")
                    live.run("event", "pub", "conf.open")

            publisher = threading.Thread(target=publish)
            publisher.start()
            try:
                passes(copy / exe.name, user=GUEST, group=GUEST, extra_groups=[], cwd="/",
                       env=live.environ(OWNERS_JOB=job, LD_LIBRARY_PATH=str(copy)))
            finally:
                stop.set()
                publisher.join()
            assert live.flux("jobs", "-n", "-o", "{state}", job) == "SCHED"
            live.run("cancel", job)
        finally:
            shutil.rmtree(copy)


def test_the_library_keeps_what_the_pages_promise_while_a_service_is_down(cc, build, tmp_path):
    exe = cc(TOP / "tests/conformance-down.c", libs=["-lcmocka"])
    with Instance(build, tmp_path, configured(tmp_path, "[content]\nblob-size-limit = 1000\n")) as live:
        live.run("ping", "-c", "1", "kvs")
        passes(exe, cwd=cc.work, env=live.environ(KVS_PID=str(live.all_pids()["kvs"])))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_synopsis_is_that_of_the_header(cc, page):
    """Declaring a function a second time compiles only if both declarations agree."""
    text = synopsis(page)
    declared = re.findall(r"\b(\w+)\(", re.sub(r"\(\*\w+\)\(.*?\);|\bstruct \w+ \{.*?\};", "", MACRO.sub("", text), flags=re.S))
    functions = [n for n in names(page) if n in declared]
    for name in names(page):
        assert re.search(rf"\b{name}\b", text) or name == page.stem == "flux_watcher_now", name
    source = cc.work / f"synopsis-{page.stem}.c"
    text = re.sub(r"^struct \w+ \{.*?^\};", "", MACRO.sub("", text), flags=re.M | re.S)
    source.write_text("#include <flux/core.h>\n" + "".join(f"#undef {n}\n" for n in functions) + text + "int main(void) { return 0; }\n")
    cc(source)


def test_each_function_of_the_headers_is_on_a_page():
    on_pages = {name for page in PAGES for name in names(page)}
    missing = []
    for header in sorted((TOP / "libflux/include/flux").glob("*.h")):
        text = re.sub(r"/\*.*?\*/|^typedef.*?;", "", MACRO.sub("", header.read_text()), flags=re.M | re.S)
        missing += [f"{header.name}: {n}" for n in re.findall(r"\b((?:flux|idset|hostlist)_\w+)\(", text) if n not in on_pages]
    assert missing == []


def test_each_function_of_the_headers_is_called_by_a_test():
    """The unit tests and the conformance programs; an example of a page is one as well, it is run and its output compared."""
    code = "".join(p.read_text() for d in ("libflux", "tests", "man/examples") for p in (TOP / d).rglob("*.c")
                   if p.name.startswith(("test-", "conformance")) or d == "man/examples")
    called = set(re.findall(r"\w+", code))
    for header in sorted((TOP / "libflux/include/flux").glob("*.h")):
        text = re.sub(r"/\*.*?\*/|^typedef.*?;", "", MACRO.sub("", header.read_text()), flags=re.M | re.S)
        assert [n for n in re.findall(r"\b((?:flux|idset|hostlist)_\w+)\(", text) if n not in called] == []


def test_each_other_function_of_a_page_has_an_alias():
    text = (TOP / "man/man3/meson.build").read_text()
    for page in PAGES:
        aliases = re.search(rf"'{page.name}': \[(.*?)\]", text, re.S)
        assert aliases, page.name
        assert re.findall(r"'(\w+)'", aliases.group(1)) == [n for n in names(page) if n != page.stem]


@pytest.mark.parametrize("header", sorted((TOP / "libflux/include/flux").glob("*.h")), ids=lambda p: p.name)
def test_each_header_stands_alone_in_c_and_in_cpp(cc, header):
    for compiler, std, suffix in (("cc", "c11", "c"), ("cc", "gnu17", "c"), ("c++", "c++17", "cpp")):
        source = cc.work / f"header-{header.stem}.{suffix}"
        source.write_text(f"#include <flux/{header.name}>\nint main(void) {{ return 0; }}\n")
        cc(source, compiler=compiler, std=std)


def refresh():
    for page in PAGES:
        text = page.read_text()
        new = BLOCK.sub(lambda m: m.group(1) + to_roff(shown(TOP / "man/examples" / f"{page.stem}.c")), text)
        if new != text:
            page.write_text(new)
            print(page)


if __name__ == "__main__":
    sys.exit(refresh())
