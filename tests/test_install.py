# SPDX-License-Identifier: LGPL-3.0-or-later
"""What a packager gets: every file in its place, a library that exports its API only, headers and flux-core.pc that a
program compiles with, completion that completes."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parent.parent
DAEMONS = ["broker", "content", "exec", "job-ingest", "job-list", "job-manager", "kvs", "resource", "sched"]

PROGRAM = r"""
#include <flux/core.h>
#include <stdio.h>

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_future_t *f;
    const char *value;
    struct idset *ids = idset_decode("0-3");
    struct hostlist *hosts = hostlist_decode("node[0-3]");

    if (!h || !ids || !hosts) {
        perror("flux_open");
        return 1;
    }
    if (!(f = flux_kvs_lookup(h, NULL, 0, "greeting")) || flux_kvs_lookup_get_unpack(f, "s", &value) < 0) {
        perror("flux_kvs_lookup");
        return 1;
    }
    printf("%s size=%s ids=%zu hosts=%d %s\n", value, flux_attr_get(h, "size"), idset_count(ids), hostlist_count(hosts),
           FLUX_CORE_VERSION_STRING);
    flux_future_destroy(f);
    idset_destroy(ids);
    hostlist_destroy(hosts);
    flux_close(h);
    return 0;
}
"""


@pytest.fixture(scope="module")
def root(build, tmp_path_factory):
    dest = tmp_path_factory.mktemp("dest")
    subprocess.run(["meson", "install", "-C", str(build), "--no-rebuild", "--quiet", "--destdir", str(dest)], check=True,
                   stdout=subprocess.DEVNULL)
    return dest


@pytest.fixture(scope="module")
def libdir(root):
    (pc,) = root.glob("usr/lib/**/pkgconfig/flux-core.pc")
    return pc.parent.parent


def test_every_program_is_in_its_place(root):
    assert {p.name for p in (root / "usr/bin").iterdir()} == {"flux", "fluxctl"}
    assert os.readlink(root / "usr/bin/flux") == "fluxctl"
    programs = [f"flux-{d}" for d in [*DAEMONS, "imp", "module-exec", "shell", "supervise"]]
    assert sorted(p.name for p in (root / "usr/libexec/flux").iterdir()) == sorted(programs)
    for p in programs:
        assert os.access(root / "usr/libexec/flux" / p, os.X_OK)
        assert not (root / "usr/libexec/flux" / p).stat().st_mode & 0o6022, p  # not setuid, not writable


def test_every_unit_and_what_systemd_reads_is_in_its_place(root):
    system = {p.name for p in (root / "usr/lib/systemd/system").iterdir()}
    units = {f"flux-{d}.{t}" for d in DAEMONS for t in ("service", "socket")}
    assert system == units | {"flux.target", "flux.slice", "flux-jobs.slice", "flux-imp.socket", "flux-imp@.service", "flux-module@.service"}
    for name in ("usr/lib/systemd/catalog/flux.catalog", "usr/lib/systemd/system-preset/90-flux.preset",
                 "usr/lib/sysusers.d/flux.conf", "usr/lib/tmpfiles.d/flux.conf"):
        assert (root / name).is_file(), name
    for p in (root / "usr/lib/systemd/system").iterdir():
        text = p.read_text()
        assert not re.search(r"@[A-Z]+@", text), p.name
        for program in re.findall(r"^ExecStart=(\S+)", text, re.M):
            assert (root / program.lstrip("/")).exists(), program
        for page, section in re.findall(r"man:([\w-]+)\((\d)\)", text):
            assert (root / f"usr/share/man/man{section}/{page}.{section}").exists(), page


def test_every_page_and_header_is_installed(root):
    for page in (TOP / "man").glob("man?/*.[1-8]"):
        assert (root / "usr/share/man" / page.parent.name / page.name).exists(), page.name
    headers = {p.name for p in (TOP / "libflux/include/flux").glob("*.h")} | {"core_version.h"}
    assert {p.name for p in (root / "usr/include/flux").iterdir()} == headers


def test_nothing_else_is_installed(root):
    known = ("usr/bin/", "usr/libexec/flux/", "usr/include/flux/", "usr/lib/systemd/", "usr/lib/sysusers.d/flux.conf",
             "usr/lib/tmpfiles.d/flux.conf", "usr/share/man/", "usr/share/bash-completion/completions/flux")
    for p in root.rglob("*"):
        name = str(p.relative_to(root))
        if not p.is_dir() and not name.startswith(known):
            assert re.fullmatch(r"usr/lib/([^/]+/)?(libflux-core\.so[.\d]*|libflux-(idset|hostlist)\.so"
                                r"|pkgconfig/flux-(core|idset|hostlist)\.pc)", name), name


def test_no_text_names_the_place_it_was_built_in(root, build):
    for p in root.rglob("*"):
        if p.is_file() and not p.is_symlink() and b"\0" not in (data := p.read_bytes()):
            assert str(TOP).encode() not in data and str(build).encode() not in data, p


def test_the_library_exports_its_api_and_nothing_else(libdir):
    out = subprocess.run(["nm", "-D", "--defined-only", libdir / "libflux-core.so.2"], check=True, capture_output=True, text=True).stdout
    names = [line.split()[-1] for line in out.splitlines()]
    assert len(names) > 300
    assert [n for n in names if not re.match(r"(flux|idset|hostlist)_", n)] == []


def test_everything_that_a_header_declares_is_exported(root, libdir):
    out = subprocess.run(["nm", "-D", "--defined-only", libdir / "libflux-core.so.2"], check=True, capture_output=True, text=True).stdout
    names = {line.split()[-1] for line in out.splitlines()}
    missing, count = [], 0
    for header in (root / "usr/include/flux").iterdir():
        text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
        text = re.sub(r"^[ \t]*(#|typedef\b).*?(?<!\\)\n", "", text, flags=re.M)
        text = re.sub(r"static inline.*?^}", "", text, flags=re.S | re.M)
        declared = re.findall(r"^[a-z][\w \t\n]*?[ \t\n*]+((?:flux|idset|hostlist)_\w+)\s*\(", text, re.M)
        count += len(declared)
        missing += [f"{header.name}: {name}" for name in declared if name not in names]
    assert missing == [] and count > 300


def test_each_header_compiles_alone_in_c_and_cxx(root, tmp_path):
    for header in sorted((root / "usr/include/flux").iterdir()):
        for compiler, suffix in (("gcc", "c"), ("g++", "cc")):
            source = tmp_path / f"one.{suffix}"
            source.write_text(f"#include <flux/{header.name}>\n")
            r = subprocess.run([compiler, "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", f"-I{root}/usr/include", source],
                               capture_output=True, text=True)
            assert r.returncode == 0, r.stderr


def test_a_program_compiles_with_pkg_config_and_runs_in_an_instance(root, libdir, instance, tmp_path):
    if not shutil.which("pkg-config"):
        pytest.skip("pkg-config is not installed")
    env = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": str(root), "PKG_CONFIG_PATH": str(libdir / "pkgconfig")}
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "flux-core"], env=env, check=True, capture_output=True, text=True).stdout.split()
    (tmp_path / "hello.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", tmp_path / "hello", tmp_path / "hello.c", *flags], check=True)
    instance.run("kvs", "put", 'greeting="hello"')
    r = subprocess.run([tmp_path / "hello"], env=instance.environ(LD_LIBRARY_PATH=str(libdir)), capture_output=True, text=True)
    version = subprocess.run(["pkg-config", "--modversion", "flux-core"], env=env, check=True, capture_output=True, text=True).stdout
    assert r.stdout == f"hello size=1 ids=4 hosts=4 {version}", r.stderr


def complete(root, line):
    """What bash offers at the end of a line."""
    script = f"""
        source {root}/usr/share/bash-completion/completions/flux
        PATH={root}/usr/bin:$PATH
        line={line!r}
        COMP_WORDS=($line); case $line in *' ') COMP_WORDS+=('') ;; esac
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE=$line; COMP_POINT=${{#line}}
        _fluxctl 2>/dev/null
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout.split()


def test_bash_completes_commands_subcommands_and_options(root):
    assert "submit" in complete(root, "flux ") and "kvs" in complete(root, "fluxctl ")
    assert complete(root, "flux sub") == ["submit"]
    assert "namespace" in complete(root, "flux kvs ") and complete(root, "flux kvs names") == ["namespace"]
    assert complete(root, "flux run --label") == ["--label-io"]
    assert complete(root, "flux run --ntas") == ["--ntasks="]
    for name in ("flux", "fluxctl"):
        assert f"complete -o default -F _fluxctl {'fluxctl flux'}" in (root / f"usr/share/bash-completion/completions/{name}").read_text()


def test_the_program_on_the_page_of_the_library_compiles_and_runs(root, libdir, instance, tmp_path):
    page = (TOP / "man/man3/libflux-core.3").read_text().replace(r"\e", "\\")
    (tmp_path / "page.c").write_text(re.search(r"^#include.*?^}$", page, re.M | re.S).group(0))
    subprocess.run(["gcc", "-Wall", "-Werror", f"-I{root}/usr/include", "-o", tmp_path / "page", tmp_path / "page.c", f"-L{libdir}", "-lflux-core"],
                   check=True)
    instance.run("kvs", "put", "greeting=good morning")
    r = subprocess.run([tmp_path / "page"], env=instance.environ(LD_LIBRARY_PATH=str(libdir)), capture_output=True, text=True)
    assert r.stdout == "size 1\ngood morning\n" and r.stderr == ""


@pytest.mark.parametrize("name", ["idset", "hostlist"])
def test_sets_and_lists_have_a_pkg_config_name_of_their_own(root, libdir, tmp_path, name):
    if not shutil.which("pkg-config"):
        pytest.skip("pkg-config is not installed")
    env = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": str(root), "PKG_CONFIG_PATH": str(libdir / "pkgconfig")}
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", f"flux-{name}"], env=env, check=True, capture_output=True, text=True).stdout.split()
    assert f"-lflux-{name}" in flags
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", tmp_path / name, TOP / f"man/examples/{name}_create.c", *flags], check=True)
    subprocess.run([tmp_path / name], env={"LD_LIBRARY_PATH": str(libdir)}, check=True, stdout=subprocess.DEVNULL)
