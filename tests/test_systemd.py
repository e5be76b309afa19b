# SPDX-License-Identifier: LGPL-3.0-or-later
"""The system instance on a real booted node, as root, as the instance owner and as an ordinary user."""
import json
import pathlib
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from embedded import CORES, wait_until

TOP = pathlib.Path(__file__).resolve().parent.parent
DAEMONS = ["broker", "content", "kvs", "job-ingest", "job-manager", "sched", "exec", "resource", "job-list"]


@pytest.fixture(scope="module")
def started(node):
    node.run("systemd-sysusers")
    node.run("systemd-tmpfiles", "--create")
    node.run("systemctl", "daemon-reload")
    if CORES < 2:  # jobs of two cores and pairs of jobs are run: a machine of one is said to have two
        node.sh("mkdir -p /etc/flux/system/conf.d && printf '[resource]\nnoverify = true\n[[resource.config]]\nhosts = \"node0\"\n"
                "cores = \"0-1\"\n' >/etc/flux/system/conf.d/two-cores.toml")
    node.run("systemctl", "start", "flux.target")
    node.run("useradd", "-m", "ada")
    return node


def flux(node, *args, user="flux", **kw):
    return node.run("fluxctl", *args, user=user, **kw)


def use(node):
    """Every daemon has had something to do."""
    flux(node, "run", "true")
    flux(node, "jobs", "-a")


def test_a_restarted_target_runs_the_router_and_what_it_wakes_and_idle_daemons_are_not_running(started):
    started.run("systemctl", "stop", "flux.target")
    started.run("systemctl", "start", "flux.target")
    assert started.active("flux-broker.service") == "active"
    wait_until("the job manager, woken", lambda: started.active("flux-job-manager.service") == "active")
    for idle in ("flux-job-list", "flux-job-ingest"):
        assert started.active(f"{idle}.socket") == "active"
        assert started.active(f"{idle}.service") == "inactive"


def test_run_as_the_instance_owner(started):
    r = flux(started, "run", "-n2", "hostname")
    assert r.stdout.splitlines() == ["node0", "node0"]


def test_the_owner_calls_services_directly(started):
    assert "kvs-watch node/kvs\n" in started.run("cat", "/run/flux/direct").stdout
    assert started.run("stat", "-c", "%U %a", "/run/flux/direct").stdout == "flux 600\n"

    def forwarded():
        return json.loads(flux(started, "module", "info", "kvs").stdout)["messages"]

    use(started)
    flux(started, "kvs", "put", "direct=1")
    before = forwarded()
    assert flux(started, "kvs", "get", "direct").stdout == "1\n"
    assert forwarded() == before


def test_the_job_ran_as_a_unit_of_its_own_outside_the_daemons(started):
    r = flux(started, "run", "cat", "/proc/self/cgroup")
    assert re.search(r"flux-jobs.slice/flux-job-\S+\.service", r.stdout), r.stdout
    assert "flux-exec.service" not in r.stdout


def test_a_job_that_ends_well_is_one_line_of_the_journal(started):
    flux(started, "run", "true")  # whatever has to be started for it
    job = flux(started, "run", "sh", "-c", "echo $FLUX_JOB_ID").stdout.strip()
    number = flux(started, "jobs", "-n", "-o", "{id.dec}", job).stdout.strip()
    started.run("journalctl", "--sync")
    lines = [l for l in started.run("journalctl", "-b", "-o", "cat", "--no-pager").stdout.splitlines() if number in l]
    assert len(lines) == 1 and lines[0].startswith(f"started job {number} of user {started.uid('flux')}, process "), lines


def test_a_daemon_that_begins_anew_because_another_did_is_not_reported_as_failed(started):
    use(started)
    restarts = int(started.run("systemctl", "show", "-P", "NRestarts", "flux-sched").stdout)
    cursor = started.run("journalctl", "-n0", "--show-cursor", "--no-pager").stdout.split("cursor: ")[1].strip()
    started.run("systemctl", "restart", "flux-resource")
    wait_until("a new scheduler", lambda: int(started.run("systemctl", "show", "-P", "NRestarts", "flux-sched").stdout) > restarts
               and started.active("flux-sched") == "active")
    flux(started, "run", "true")
    started.run("journalctl", "--sync")
    log = started.run("journalctl", "-u", "flux-sched", "--no-pager", "--after-cursor", cursor).stdout
    assert "Started flux-sched.service" in log and "Failed with result" not in log, log


def test_root_may_use_the_instance_only_if_configured(started):
    r = flux(started, "jobs", user=None, check=False)
    assert r.returncode != 0 and "owner" in r.stderr


def test_an_ordinary_user_is_refused_with_a_sentence(started):
    r = flux(started, "jobs", user="ada", check=False)
    assert r.returncode != 0 and r.stderr.strip()
    for args in ([], ["-f"]):
        r = flux(started, "dmesg", *args, user="ada", check=False)
        assert r.returncode == 1 and "journal shows nothing of this instance to user" in r.stderr, r


def test_dmesg_of_the_instance_owner_shows_what_the_daemons_say(started):
    flux(started, "run", "true")
    flux(started, "logger", "-s", "warning", "hello journal")
    started.run("journalctl", "--sync")
    lines = flux(started, "dmesg").stdout.splitlines()
    assert any("job-manager" in l and "scheduler is ready" in l for l in lines), lines
    assert any("hello journal" in l for l in lines), lines
    assert not any("scheduler is ready" in l for l in flux(started, "dmesg", "--level=warning").stdout.splitlines())


def test_dmesg_shows_nothing_that_other_users_slipped_in(started):
    record = "MESSAGE={}\nPRIORITY=2\nFLUX_INSTANCE=flux\nFLUX_RANK=0\nFLUX_SERVICE=kvs\n"
    for user in ("ada", "flux"):
        started.run("logger", "--journald", user=user, input=record.format(f"the disk is on fire, says {user}"))
    lines = wait_until("the owner's", lambda: [l for l in flux(started, "dmesg").stdout.splitlines() if "on fire" in l])
    assert len(lines) == 1 and lines[0].endswith("says flux")


def test_dmesg_follow_shows_records_as_they_are_written(started):
    script = (
        "out=$(mktemp); fluxctl dmesg -f >$out 2>&1 & n=$!; "
        "for i in $(seq 100); do fluxctl logger later-on; grep -q later-on $out && break; sleep 0.1; done; "
        "kill $n; grep -q later-on $out"
    )
    started.run("timeout", "100", "sh", "-c", script, user="flux")


def test_no_daemon_sees_the_journal(started):
    pid = started.main_pid("flux-broker")
    assert started.run("nsenter", "-m", "-t", pid, "ls", "/var/log/journal", check=False).stdout == ""


@pytest.mark.parametrize("daemon", DAEMONS)
def test_journal_records_carry_the_fields(started, daemon):
    use(started)
    started.run("journalctl", "--sync")
    r = started.run("journalctl", "-u", f"flux-{daemon}", "-o", "json", "--no-pager")
    records = [json.loads(l) for l in r.stdout.splitlines()]
    ours = [x for x in records if x.get("FLUX_SERVICE") == daemon]
    assert ours and all(x["FLUX_RANK"] == "0" and x["FLUX_INSTANCE"] == "flux" for x in ours)


def test_status_text_says_what_the_daemon_does(started):
    use(started)
    for d in DAEMONS:
        wait_until(f"status text of {d}", lambda: len(started.run("systemctl", "show", "-P", "StatusText", f"flux-{d}").stdout.split()) >= 2)


def test_units_are_verified_silently(started):
    units = [f"flux-{d}.{t}" for d in DAEMONS for t in ("service", "socket")] + ["flux.target"]
    r = started.run("systemd-analyze", "verify", *units)
    assert r.stdout + r.stderr == ""


@pytest.mark.parametrize("daemon,ceiling", [(d, {"broker": 1.2, "resource": 0.6}.get(d, 0.5)) for d in DAEMONS])
def test_exposure_is_under_the_ceiling(started, daemon, ceiling):
    r = started.run("systemd-analyze", "security", "--no-pager", f"flux-{daemon}.service", check=False)
    exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", r.stdout).group(1))
    assert exposure <= ceiling, r.stdout


def start_jobs(node, tag):
    script = f"while [ ! -e /tmp/go-{tag} ]; do sleep 0.05; done"
    running = flux(node, "submit", "--cc=1-2", "sh", "-c", script).stdout.split()
    wait_until("2 running", lambda: flux(node, "jobs", "-n", "-o", "{state}").stdout.split().count("RUN") >= 1)
    queued = flux(node, "submit", "--cc=3-22", "true").stdout.split()
    assert len(running + queued) == 22
    return running + queued


def check_all_ended_once(node, jobs):
    def rows():
        r = flux(node, "jobs", "-an", "-c", "0", "-o", "{id.f58} {state} {result}", check=False)
        return {l.split()[0]: l.split()[1:] for l in r.stdout.splitlines()} if r.returncode == 0 else {}

    final = wait_until("all jobs inactive", lambda: all((s := rows()).get(j, [""])[0] == "INACTIVE" for j in jobs) and s, timeout=90)
    failed = [j for j in jobs if final[j][1] != "COMPLETED"]
    why = {j: flux(node, "job", "eventlog", j).stdout + flux(node, "job", "eventlog", "-p", "exec", j, check=False).stdout for j in failed}
    assert not failed, why


@pytest.mark.parametrize("daemon", DAEMONS)
def test_kill_9_of_a_daemon_loses_no_job(started, daemon):
    use(started)
    jobs = start_jobs(started, daemon)
    pid = started.main_pid(f"flux-{daemon}")
    assert pid > 0
    started.run("kill", "-9", pid)
    wait_until("another main process", lambda: started.main_pid(f"flux-{daemon}") != pid)
    started.run("touch", f"/tmp/go-{daemon}")
    check_all_ended_once(started, jobs)
    assert started.run("systemctl", "--failed", "--no-legend", "--plain").stdout == ""


def test_an_ordinary_user_starts_an_instance_of_his_own_under_his_user_manager(started):
    started.run("loginctl", "enable-linger", "ada")
    uid = started.uid("ada")
    wait_until("ada's user manager", lambda: started.active(f"user@{uid}.service") == "active")
    r = started.run("fluxctl", "start", "--", "fluxctl", "run", "hostname", user="ada")
    assert r.stdout == "node0\n"
    left = started.run("systemctl", "--user", "list-units", "--plain", "--no-legend", "flux-*", user="ada")
    assert left.stdout == ""


def journal_since(node, cursor):
    node.run("journalctl", "--sync")
    return node.run("journalctl", "--no-pager", "-q", "-o", "cat", f"--after-cursor={cursor}").stdout


def cursor_of(node):
    node.run("journalctl", "--sync")
    return node.run("journalctl", "-n0", "--show-cursor", "-q").stdout.split("cursor: ")[1].strip()


@pytest.mark.parametrize("user", ["flux", "ada"])
def test_the_journal_does_not_call_a_job_whose_tasks_failed_a_failed_unit(started, user):
    cursor = cursor_of(started)
    script = "fluxctl run sh -c 'exit 3'; echo $?; fluxctl run sh -c 'kill -9 $$'; echo $?; fluxctl run true; echo $?"
    own = ["fluxctl", "start", "--"] if user == "ada" else []
    assert started.run(*own, "sh", "-c", script, user=user).stdout.split() == ["3", "137", "0"]
    log = journal_since(started, cursor)
    assert "Failed with result" not in log and "Main process exited" not in log, log
    assert user == "ada" or log.count("started job ") == 3, log


def test_a_shell_that_never_came_to_life_is_started_again(started):
    """What may happen when a control group goes away under the service manager, or while the program is replaced."""
    cursor = cursor_of(started)
    shell = started.run("sh", "-c", "ls /usr/libexec/flux/flux-shell").stdout.strip()
    started.run("mv", shell, f"{shell}.away")
    try:
        id = flux(started, "submit", "echo", "alive").stdout.strip()
        wait_until("a start in vain", lambda: "another one is started" in journal_since(started, cursor))
    finally:
        started.run("mv", f"{shell}.away", shell)
    assert flux(started, "job", "attach", id).stdout == "alive\n"
    names = [l.split()[1] for l in flux(started, "job", "eventlog", id).stdout.splitlines()]
    assert names.count("start") == 1 and "exception" not in names


def test_the_journal_tells_of_a_shell_that_was_killed(started):
    cursor = cursor_of(started)
    id = flux(started, "submit", "sleep", "300").stdout.strip()
    flux(started, "job", "wait-event", id, "start")
    started.run("pkill", "-9", "-x", "flux-shell")
    flux(started, "job", "status", id, check=False)
    wait_until("the journal to say so", lambda: "Failed with result 'signal'" in journal_since(started, cursor))


def test_a_planned_restart_of_the_router_is_not_noticed_by_an_attached_client(started):
    script = ("fluxctl run sh -c 'echo a; touch /tmp/att-up; while [ ! -e /tmp/att-go ]; do sleep 0.05; done; echo b' & run=$!\n"
              "while [ ! -e /tmp/att-up ]; do sleep 0.05; done; touch /tmp/att-ready; wait $run")
    with ThreadPoolExecutor() as pool:
        client = pool.submit(started.sh, script, user="flux", check=False)
        wait_until("the task is up", lambda: started.sh("test -e /tmp/att-ready", check=False).returncode == 0)
        for _ in range(3):
            pid = started.main_pid("flux-broker")
            started.run("systemctl", "restart", "flux-broker")
            assert started.main_pid("flux-broker") not in (0, pid)
        started.run("touch", "/tmp/att-go")
        r = client.result(timeout=60)
    assert (r.returncode, r.stdout, r.stderr) == (0, "a\nb\n", "")


STEADY = """mkfifo /tmp/steady
for mode in commit lookup watch log jobs list; do
    (steady $mode </tmp/steady 2>&1; echo "$mode exit $?") >/tmp/steady.$mode &
done
exec 3>/tmp/steady
touch /tmp/steady-up
while [ ! -e /tmp/steady-end ]; do sleep 0.05; done
exec 3>&-
wait
cat /tmp/steady.*
"""


def test_planned_restarts_of_all_daemons_under_load_are_noticed_by_no_client(started, build):
    shutil.copy(build / "tests" / "steady", started.base / "root" / "usr" / "local" / "bin")
    with ThreadPoolExecutor() as pool:
        client = pool.submit(started.sh, STEADY, user="flux", check=False, timeout=300)
        wait_until("the clients are up", lambda: started.sh("test -e /tmp/steady-up", check=False).returncode == 0)
        for daemon in DAEMONS:
            flux(started, "run", "true")
            pid = started.main_pid(f"flux-{daemon}")
            started.run("systemctl", "restart", f"flux-{daemon}")
            assert started.main_pid(f"flux-{daemon}") not in (0, pid)
        flux(started, "run", "true")
        started.run("touch", "/tmp/steady-end")
        r = client.result(timeout=300)
    lines = r.stdout.splitlines()
    assert len(lines) == 12 and sum(line.endswith(" exit 0") for line in lines) == 6, r.stdout
    assert all(int(line.split()[1]) > 0 for line in lines if " exit " not in line), r.stdout


def test_reload_rereads_the_configuration_and_a_bad_file_changes_nothing(started):
    conf = "/etc/flux/system/conf.d"
    started.run("mkdir", "-p", conf)
    started.sh(f"printf '[access]\nallow-root-owner = true\n' > {conf}/a.toml")
    started.run("systemctl", "restart", "flux-broker")  # the directory may be new
    wait_until("root is admitted", lambda: flux(started, "jobs", user=None, check=False).returncode == 0)
    pid = started.main_pid("flux-broker")
    started.sh(f"printf '[access]\nallow-root-owner = \n' > {conf}/a.toml")
    started.run("systemctl", "reload", "flux-broker")

    def complaint():
        started.run("journalctl", "--sync")
        return f"{conf}/a.toml:2" in started.run("journalctl", "-u", "flux-broker", "-o", "cat", "--no-pager").stdout

    wait_until("the journal names file and line", complaint)
    assert flux(started, "jobs", user=None, check=False).returncode == 0
    started.sh(f"rm {conf}/a.toml")
    started.run("systemctl", "reload", "flux-broker")
    wait_until("root is refused again", lambda: flux(started, "jobs", user=None, check=False).returncode != 0)
    assert started.main_pid("flux-broker") == pid


def test_what_the_router_of_a_user_instance_cannot_take_is_told_by_the_command(started):
    started.run("loginctl", "enable-linger", "ada")
    uid = started.uid("ada")
    wait_until("ada's user manager", lambda: started.active(f"user@{uid}.service") == "active")
    r = started.run("fluxctl", "start", "-Srank=7", "--", "true", user="ada", check=False)
    assert r.returncode == 1 and "attribute rank cannot be set" in r.stderr, r


@pytest.fixture(scope="module")
def hello(started):
    """The module on the page, built as the page says, where modules are installed."""
    page = open(TOP / "man/man1/flux-module.1").read()
    source = re.search(r"^\.Bd -literal -offset indent\n(#include.*?)^\.Ed", page, re.M | re.S).group(1).replace(r"\e", "\\")
    started.run("sh", "-c", "mkdir -p /root/hello && cat >/root/hello/hello.c", input=source)
    started.sh("cd /root/hello && cc -shared -fPIC -o hello.so hello.c $(pkg-config --cflags --libs flux-core) && "
               "d=$(pkg-config --variable=libdir flux-core)/flux/modules && mkdir -p $d && cp hello.so $d/")
    return started.sh("echo $(pkg-config --variable=libdir flux-core)/flux/modules/hello.so").stdout.strip()


def test_root_loads_a_module_into_a_sandboxed_unit_and_the_owner_may_end_it(started, hello):
    r = flux(started, "module", "load", "hello", "x", check=False)
    assert r.returncode == 1 and f"sudo flux module load {hello} x" in r.stderr, r
    assert "sudo" in flux(started, "module", "load", "hello", user="ada", check=False).stderr
    flux(started, "module", "load", "hello", "x", user=None)
    assert started.active("flux-module@hello.service") == "active"
    assert "runs already" in flux(started, "module", "load", "hello", user=None, check=False).stderr
    assert "hello.ping" in flux(started, "ping", "-c1", "hello").stdout
    pid = started.main_pid("flux-module@hello")
    assert json.loads(flux(started, "module", "list", "--json", "hello").stdout)[0]["pid"] == pid
    assert started.run("ls", f"/proc/{pid}/root/var/lib/flux/content.sqlite", check=False).returncode != 0
    assert started.run("stat", "-c", "%U", f"/proc/{pid}").stdout == "flux\n"
    r = started.run("systemd-analyze", "security", "--no-pager", "flux-module@hello.service", check=False)
    assert float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", r.stdout).group(1)) <= 0.5
    started.run("kill", "-9", str(pid))
    wait_until("it is back", lambda: flux(started, "ping", "-c1", "hello", check=False).returncode == 0)
    assert started.main_pid("flux-module@hello") not in (0, pid)
    flux(started, "module", "remove", "hello")
    wait_until("it has ended", lambda: started.active("flux-module@hello.service") == "inactive")
    started.run("rm", "-r", "/run/flux/module")
    flux(started, "module", "load", hello, user=None)
    flux(started, "module", "remove", "hello", user=None)
    assert "sudo" in flux(started, "module", "load", "hello", check=False).stderr
    assert started.active("flux-module@hello.service") == "inactive"


def test_a_module_that_cannot_be_loaded_is_explained_and_its_unit_does_not_stay_failed(started, hello):
    started.sh(f"cp {hello} /home/ada/far.so; cd /root/hello && echo 'int mod_main(void *h, int n, char **v) {{ return -1; }}' >no.c && "
               f"cc -shared -fPIC -o $(dirname {hello})/no.so no.c")
    r = flux(started, "module", "load", "no", user=None, check=False)
    assert r.returncode == 1 and "mod_main of no failed" in r.stderr, r
    assert started.active("flux-module@no.service") == "inactive"
    r = flux(started, "module", "load", "/home/ada/far.so", user=None, check=False)
    assert r.returncode == 1 and "far.so" in r.stderr, r
    assert started.run("systemctl", "--failed", "--no-legend", "--plain").stdout == ""


MODULE_OF_ONES_OWN = r"""
name=$(fluxctl getattr instance-name)
fluxctl module load %s hi && fluxctl ping -c1 hello >/dev/null || exit 1
systemctl --user is-active flux-$name-module@hello.service
pid=$(fluxctl module stats -p pid hello)
[ $pid = $(systemctl --user show -P MainPID flux-$name-module@hello.service) ] || exit 2
fluxctl module reload hello && fluxctl module remove hello || exit 3
fluxctl module load %s
"""


def test_a_module_of_a_user_instance_is_a_unit_of_its_own_and_ends_with_it(started, hello):
    started.run("loginctl", "enable-linger", "ada")
    wait_until("ada's user manager", lambda: started.active(f"user@{started.uid('ada')}.service") == "active")
    r = started.run("fluxctl", "start", "--", "sh", "-c", MODULE_OF_ONES_OWN % (hello, hello), user="ada", check=False)
    assert (r.returncode, r.stdout) == (0, "active\n"), (r, started.journal_tail())
    left = started.run("systemctl", "--user", "list-units", "--all", "--plain", "--no-legend", "flux-*", user="ada")
    assert left.stdout == ""
    assert started.sh("ls /run/user/$(id -u ada)/systemd/user/ | grep flux", check=False).stdout == ""


IN_UNITS_OF_THEIR_OWN = r"""
cd /tmp
cgroup=$(fluxctl run cat /proc/self/cgroup)
name=$(fluxctl getattr instance-name)
echo "$cgroup" | grep -q "/flux-$name.slice/flux-$name-jobs.slice/flux-$name-job-[0-9]*.service$" || { echo "$cgroup"; exit 1; }
fluxctl run sh -c 'echo a; touch /tmp/up; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo b' > /tmp/out & run=$!
while [ ! -e /tmp/up ]; do sleep 0.05; done
before=$(systemctl --user show -P MainPID flux-$name-exec)
systemctl --user restart flux-$name-exec
[ $before != $(systemctl --user show -P MainPID flux-$name-exec) ] || exit 1
touch /tmp/go
wait $run || exit 2
echo $(cat /tmp/out)
fluxctl submit sh -c 'trap "" TERM; sleep 1000' >/dev/null
"""


def test_jobs_of_a_user_instance_are_units_of_their_own_and_end_with_it(started):
    uid = started.uid("ada")
    started.run("loginctl", "enable-linger", "ada")
    wait_until("ada's user manager", lambda: started.active(f"user@{uid}.service") == "active")
    r = started.run("fluxctl", "start", "--", "sh", "-c", IN_UNITS_OF_THEIR_OWN, user="ada", check=False)
    assert (r.returncode, r.stdout) == (0, "a b\n"), (r, started.journal_tail())
    left = started.run("systemctl", "--user", "list-units", "--all", "--plain", "--no-legend", "flux-*", user="ada")
    assert left.stdout == ""


def test_reboot_keeps_the_queue(started):
    running = flux(started, "submit", "--cc=1-2", "sleep", "1000").stdout.split()
    for job in running:
        flux(started, "job", "wait-event", job, "start")
    queued = flux(started, "submit", "--cc=1-5", "true").stdout.split()
    started.reboot()
    started.run("systemctl", "start", "flux.target")
    check_all_ended_once(started, queued)
    for job in running:
        r = flux(started, "job", "eventlog", job)
        assert re.search(r" finish status=(15|36608)$", r.stdout, re.M), r.stdout  # ended by SIGTERM, and it is known


def test_cut_power_keeps_the_queue_and_says_what_became_of_what_ran(started):
    running = flux(started, "submit", "--cc=1-2", "sleep", "1000").stdout.split()
    for job in running:
        flux(started, "job", "wait-event", job, "start")
    queued = flux(started, "submit", "--cc=1-5", "true").stdout.split()
    started.cut_power()
    started.run("systemctl", "start", "flux.target")
    wait_until("safe mode", lambda: flux(started, "uptime").stdout.endswith("  submit disabled,  scheduler stopped\n"))
    refused = flux(started, "submit", "true", check=False)
    assert refused.returncode == 1 and "not shut down properly" in refused.stderr
    assert flux(started, "startlog", "--check", "--quiet", check=False).returncode == 1
    flux(started, "queue", "enable")
    flux(started, "queue", "start")
    check_all_ended_once(started, queued)
    for job in running:
        r = flux(started, "job", "attach", job, check=False)
        assert r.returncode != 0 and "vanished" in r.stderr, r.stderr
