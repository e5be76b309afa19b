# SPDX-License-Identifier: LGPL-3.0-or-later
"""Every test there is, counted; run by tools/check.

1. Form: C as clang-format leaves it, a licence in the first line.
2. gcc and clang, warnings are errors; unit tests and fuzz corpora with both, the clang build with sanitizers.
3. System tests on the build with sanitizers, where a report of any process is a failure, and on the gcc build,
   there with real systemd nodes.
4. A release build as packagers make it, and the fuzzers."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

TOP = pathlib.Path(__file__).resolve().parent.parent
RESULTS = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}
# These test the installed tree, compile programs against the library, or measure: not with the sanitizers' build.
PLAIN_BUILD_ONLY = ["test_cluster.py", "test_systemd.py", "test_units.py", "test_install.py", "test_man3.py", "test_endurance.py"]
counts = {"passed": 0, "failed": 0, "skipped": 0}


def count(name, result, detail="", tests=1):
    counts[result] += tests
    label = {"passed": "ok", "failed": "FAILED", "skipped": "skip"}[result]
    print(f"{label:<7} {name}" + (f" ({tests} tests)" if tests > 1 else ""), flush=True)
    if detail and result == "failed":
        print("\n".join("        " + line for line in detail.splitlines()[-60:]), flush=True)


def run(args, **kw):
    r = subprocess.run([str(a) for a in args], cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       errors="replace", **kw)
    return r.returncode, r.stdout


def check(name, args, **kw):
    status, output = run(args, **kw)
    count(name, "failed" if status else "passed", output)
    return status == 0


def form():
    _, files = run(["git", "ls-files", "-co", "--exclude-standard", "*.c", "*.h", "*.cpp"])
    check("form: clang-format", ["clang-format", "--dry-run", "-Werror", *files.split()])
    bare = [f for f in files.split() if "SPDX-License-Identifier" not in (TOP / f).read_text().partition("\n")[0]]
    count("form: licence in the first line", "failed" if bare else "passed", "\n".join(bare))


def build(name, directory, cc, cxx, *options):
    cache = "ccache " if shutil.which("ccache") else ""
    if not (TOP / directory / "build.ninja").exists():
        shutil.rmtree(TOP / directory, ignore_errors=True)
        if not check(f"{name}: configured", ["meson", "setup", directory, "--werror", *options],
                     env={**os.environ, "CC": cache + cc, "CXX": cache + cxx}):
            return False
    return check(f"{name}: built without a warning", ["ninja", "-C", directory])


def unit_tests(name, directory):
    """One program has many tests: cmocka's lines say which."""
    log = TOP / directory / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    _, output = run(["meson", "test", "-C", directory, "--no-rebuild", "--suite", "unit", "--suite", "fuzz",
                     "--timeout-multiplier", "4"])
    if not log.exists():
        count(f"{name}: unit tests ran", "failed", output)
        return
    for line in log.read_text().splitlines():
        test = json.loads(line)
        program = f"{name}: {test['name'].split(' / ', 1)[-1]}"
        output = test.get("stdout", "") + test.get("stderr", "")
        bad = len(set(re.findall(r"^\[  FAILED  \] (?!.*listed below)(?:.*: )?(\S+)$", output, re.M)))
        passed = len(re.findall(r"^\[       OK \]", output, re.M))
        skipped = len(re.findall(r"^\[  SKIPPED \] (?!.*listed below)", output, re.M))
        result = RESULTS.get(test["result"], "failed")
        if result == "failed":
            count(program, "failed", output, max(1, bad))
        elif skipped or result == "skipped":
            count(program, "skipped", tests=max(1, skipped))
        if passed or result == "passed":
            count(program, "passed", tests=max(1, passed))


def system_tests(name, directory, *args, env=()):
    """Two files at a time: most tests wait most of the time."""
    print(f"        {name}:", flush=True)
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        status = subprocess.run(
            ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "-rfEs",
             "--numprocesses=2", "--dist=loadfile", f"--junitxml={report.name}", *args, "tests"],
            cwd=TOP, env={**os.environ, "FLUX_BUILD": str(TOP / directory), **dict(env)}).returncode
        try:
            suites = xml.etree.ElementTree.parse(report.name).getroot().iter("testsuite")
        except xml.etree.ElementTree.ParseError:
            suites = []
        total = bad = skipped = 0
        for s in suites:
            total += int(s.get("tests"))
            bad += int(s.get("failures")) + int(s.get("errors"))
            skipped += int(s.get("skipped"))
    counts["passed"] += max(0, total - bad - skipped)
    counts["skipped"] += skipped
    counts["failed"] += bad or (1 if status else 0)


def system_tests_sanitized(name, directory):
    """A daemon that a sanitizer ended would only be started again: its report gives it away."""
    with tempfile.TemporaryDirectory(prefix="flux-sanitizers-") as logs:
        os.chmod(logs, 0o1777)
        system_tests(name, directory, *[f"--ignore=tests/{f}" for f in PLAIN_BUILD_ONLY],
                     env={"ASAN_OPTIONS": f"log_path={logs}/asan",
                          "UBSAN_OPTIONS": f"log_path={logs}/ubsan:print_stacktrace=1"}.items())
        reports = [p.read_text(errors="replace")[:4000] for p in sorted(pathlib.Path(logs).iterdir())]
        reports = [r for r in reports if re.search("ERROR: |runtime error: ", r)]  # not remarks, as of a race with exit
        count(f"{name}: no report of a sanitizer", "failed" if reports else "passed", "\n".join(reports[:3]))


def main():
    start = time.monotonic()
    form()
    for name, directory, *options in [
            ("gcc", "build-check", "gcc", "g++"),
            ("clang, sanitized", "build-check-asan", "clang", "clang++", "-Doptimization=1", "-Db_lundef=false",
             "-Db_sanitize=address,undefined")]:
        if build(name, directory, *options):
            unit_tests(name, directory)
            (system_tests_sanitized if "sanitized" in name else system_tests)(f"system tests, {name}", directory)
    build("gcc, a release without tests", "build-check-release", "gcc", "g++", "--buildtype=release", "-Dtests=false")
    check("fuzzers: built", ["tools/fuzz", "--list"])
    print(f"in {time.monotonic() - start:.0f} s")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 0 if counts["failed"] == 0 and counts["passed"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
