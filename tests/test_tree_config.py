# SPDX-License-Identifier: LGPL-3.0-or-later
"""Bootstrap by configuration: the hosts of [bootstrap], one certificate, and what is refused.

Nodes of this host under other names (--test-hosts), joined by TCP on the loopback interface."""
import socket
import subprocess

import pytest
from embedded import wait_until
from test_hostile import build  # noqa: F401  (a fixture)
from test_tree import Tree


reserved = []


def free_ports(n):
    """Ours to the end: the kernel gives nobody else a port that somebody is bound to, and a router may share it (both say
    SO_REUSEADDR, and we do not listen)."""
    socks = [socket.socket() for _ in range(n)]
    for s in socks:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
    reserved.extend(socks)
    return [s.getsockname()[1] for s in socks]


def configure(build, path, hosts, cert=None, extra=""):  # noqa: F811
    path.mkdir(exist_ok=True)
    cert = cert or path / "curve.cert"
    if not cert.exists():
        subprocess.run([build / "fluxctl" / "fluxctl", "keygen", cert], check=True)
    (path / "bootstrap.toml").write_text(f'[bootstrap]\ncurve_cert = "{cert}"\nhosts = [\n{hosts}\n]\n{extra}')
    return path


def start(build, conf, hosts, *command):  # noqa: F811
    return subprocess.run([build / "fluxctl" / "fluxctl", "start", "--embedded", f"--test-size={len(hosts)}",
                           f"--test-hosts={','.join(hosts)}", "-c", conf, *command],
                          text=True, capture_output=True, timeout=60)


def test_the_hosts_array_gives_ranks_and_a_tree_of_its_own_shape(build, tmp_path):  # noqa: F811
    a, b = free_ports(2)
    conf = configure(build, tmp_path / "conf", f"""
  {{ host = "head", bind = "tcp://127.0.0.1:{a}", connect = "tcp://127.0.0.1:{a}" }},
  {{ host = "mid", bind = "tcp://127.0.0.1:{b}", connect = "tcp://127.0.0.1:{b}" }},
  {{ host = "leaf[1-2]", parent = "mid" }},""")
    with Tree(build, tmp_path, size=4, args=["--test-hosts=head,mid,leaf1,leaf2", "-Stbon.topo=custom", "-c", conf]) as t:
        wait_until("all to join", lambda: t.say(0, "overlay", "status", "-s") == "full")
        lines = t.say(0, "overlay", "status", "--no-pretty").splitlines()
        assert [line.split(":")[0].strip() for line in lines] == ["0 head", "1 mid", "2 leaf1", "3 leaf2"]
        assert t.say(3, "getattr", "hostlist") == "head,mid,leaf[1-2]"
        assert t.say(0, "overlay", "parentof", 3) == "1"
        assert t.say(3, "run", "-N4", "hostname").count("\n") == 3


@pytest.mark.parametrize("size", [1, 2])
def test_a_node_whose_certificate_is_missing_does_not_start_alone(build, tmp_path, size):  # noqa: F811
    (a,) = free_ports(1)
    hosts = [f"a{i}" for i in range(size)]
    conf = configure(build, tmp_path / "conf", f'{{ host = "a[0-1]", bind = "tcp://127.0.0.1:{a}", '
                     f'connect = "tcp://127.0.0.1:{a}" }}')
    (conf / "curve.cert").unlink()
    done = start(build, conf, hosts, "true")
    assert done.returncode != 0 and f"{conf}/curve.cert: No such file or directory" in done.stderr, done


def test_a_host_that_is_not_in_the_array_is_told_so(build, tmp_path):  # noqa: F811
    (a,) = free_ports(1)
    conf = configure(build, tmp_path / "conf", f'{{ host = "a[0-1]", bind = "tcp://127.0.0.1:{a}", '
                     f'connect = "tcp://127.0.0.1:{a}" }}')
    done = start(build, conf, ["stranger"], "true")
    assert done.returncode != 0
    assert "this host, stranger, is not in bootstrap.hosts, which has 2 hosts from a0 on" in done.stderr


def test_hosts_without_a_certificate_are_refused(build, tmp_path):  # noqa: F811
    (a,) = free_ports(1)
    conf = configure(build, tmp_path / "conf", f'{{ host = "a[0-1]", bind = "tcp://127.0.0.1:{a}", '
                     f'connect = "tcp://127.0.0.1:{a}" }}')
    toml = conf / "bootstrap.toml"
    toml.write_text("\n".join(x for x in toml.read_text().splitlines() if "curve_cert" not in x))
    done = start(build, conf, ["a0"], "true")
    assert done.returncode != 0 and "bootstrap.curve_cert: needed to connect hosts" in done.stderr
    (conf / "curve.cert").chmod(0o644)
    toml.write_text(f'[bootstrap]\ncurve_cert = "{conf}/curve.cert"\nhosts = [{{ host = "a0" }}]\n')
    done = start(build, conf, ["a0"], "true")
    assert done.returncode != 0 and "0400" in done.stderr


def test_a_node_with_another_certificate_does_not_get_in(build, tmp_path):  # noqa: F811
    (a,) = free_ports(1)
    hosts = f'{{ host = "a[0-1]", bind = "tcp://127.0.0.1:{a}", connect = "tcp://127.0.0.1:{a}" }}'
    good = configure(build, tmp_path / "good", hosts)
    bad = configure(build, tmp_path / "bad", hosts, extra="[tbon]\nconnect_timeout = 1\n")
    with Tree(build, tmp_path, size=1, args=["--test-hosts=a0", "-c", good]) as t:
        (tmp_path / "second").mkdir()
        with Tree(build, tmp_path / "second", size=1, args=["--test-hosts=a1", "-c", bad]) as other:
            wait_until("both sides to say so", lambda: "tried to connect" in t.say(0, "dmesg") and
                       "does not accept our key" in open(f"{other.node(0)}/log/broker.log").read())
            assert "offline" in t.say(0, "overlay", "status")
            refused = other.at(0, "kvs", "get", "x")
            assert refused.returncode != 0


def test_with_a_key_of_each_host_one_of_them_can_be_shut_out(build, tmp_path):  # noqa: F811
    (a,) = free_ports(1)
    hosts = f'{{ host = "a[0-2]", bind = "tcp://127.0.0.1:{a}", connect = "tcp://127.0.0.1:{a}" }}'
    conf, keys = tmp_path / "conf", tmp_path / "keys"
    conf.mkdir()
    keys.mkdir()
    for h in ("a0", "a1", "a2"):
        subprocess.run([build / "fluxctl" / "fluxctl", "keygen", f"--public={keys}/{h}.pub", tmp_path / f"{h}.cert"], check=True)
    (conf / "b.toml").write_text(f'[bootstrap]\ncurve_cert = "{tmp_path}/%h.cert"\nkeydir = "{keys}"\nhosts = [{hosts}]\n'
                                 "[tbon]\nfanout = 0\n")
    args = ["--test-hosts=a[0-2]", "-Stbon.topo=kary:0", "-c", conf]
    with Tree(build, tmp_path, size=3, args=args) as t:
        wait_until("all to join", lambda: t.say(0, "overlay", "status", "-s") == "full")
    (keys / "a2.pub").unlink()
    with Tree(build, tmp_path, size=3, args=args) as t:
        wait_until("one to join and one to be refused", lambda: "1 a1: full" in t.say(0, "overlay", "status") and
                   "tried to connect" in t.say(0, "dmesg"))
        assert "2 a2: offline" in t.say(0, "overlay", "status")
    (keys / "a2.pub").write_bytes((keys / "a1.pub").read_bytes())  # a1 in the name of a2
    (tmp_path / "a2.cert").chmod(0o600)
    (tmp_path / "a2.cert").write_bytes((tmp_path / "a1.cert").read_bytes())
    with Tree(build, tmp_path, size=3, args=args) as t:
        wait_until("the second to be refused", lambda: "does not belong to rank" in t.say(0, "dmesg"))


def test_parents_and_another_shape_are_a_contradiction(build, tmp_path):  # noqa: F811
    conf = configure(build, tmp_path / "conf", '{ host = "a[0-1]" }, { host = "a2", parent = "a1" }',
                     extra='[tbon]\ntopo = "kary:2"\n')
    done = start(build, conf, ["a0"], "true")
    assert done.returncode != 0
    assert "parent= has no effect with the tree shape of tbon.topo ('kary:2')" in done.stderr


def test_without_a_shape_all_are_below_rank_0_whatever_their_number(build, tmp_path):  # noqa: F811
    (a,) = free_ports(1)
    conf = configure(build, tmp_path / "conf", '{ host = "a[0-39]" }',
                     extra=f'default_bind = "tcp://127.0.0.1:{a}"\ndefault_connect = "tcp://127.0.0.1:{a}"\n')
    with Tree(build, tmp_path, size=1, args=["--test-hosts=a0", "-c", conf], topo=None) as t:
        assert (t.say(0, "getattr", "tbon.maxlevel"), t.say(0, "getattr", "tbon.fanout")) == ("1", "0")
        assert t.say(0, "getattr", "config.hostlist") == "a[0-39]"


def test_the_table_counts_without_hosts_too_and_the_command_line_wins(build, tmp_path):  # noqa: F811
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "t.toml").write_text('[tbon]\nfanout = 1\ntorpid_max = "7s"\nconnect_timeout = 9\n')
    with Tree(build, tmp_path, size=3, args=["-c", conf, "-Stbon.torpid_max=8s"], topo=None) as t:
        names = ("tbon.topo", "tbon.maxlevel", "tbon.torpid_max", "tbon.connect_timeout", "tbon.tcp_user_timeout", "tbon.zmqdebug")
        assert [t.say(2, "getattr", n) for n in names] == ["kary:1", "2", "8s", "9s", "20s", "0"]
    with Tree(build, tmp_path, size=3, args=["-c", conf, "-Stbon.topo=kary:2", "-Stbon.zmqdebug=1"], topo=None) as t:
        assert (t.say(2, "getattr", "tbon.topo"), t.say(2, "getattr", "tbon.maxlevel")) == ("kary:2", "1")
        wait_until("the connections to be logged", lambda: "zmq: " in t.say(0, "dmesg") and "accepted" in t.say(0, "dmesg"))


@pytest.mark.parametrize("option,sentence", [
    ("-Stbon.fanuot=2", "--setattr=tbon.fanuot=2: no such attribute of the tree"),
    ("-Stbon.level=2", "attribute tbon.level cannot be set"),
    ("-Stbon.torpid_max=soon", "tbon.torpid_max: expected a duration"),
])
def test_a_misspelt_attribute_of_the_tree_is_refused_with_a_sentence(build, tmp_path, option, sentence):  # noqa: F811
    done = subprocess.run([build / "fluxctl" / "fluxctl", "start", "--embedded", option, "true"], text=True,
                          capture_output=True, timeout=60)
    assert done.returncode != 0 and sentence in done.stderr, done.stderr


def test_a_uri_that_is_none_and_a_name_that_is_too_long_are_refused(build, tmp_path):  # noqa: F811
    conf = configure(build, tmp_path / "conf", '{ host = "a0" }, { host = "a1", connect = "tcp://a1:80500" }')
    done = start(build, conf, ["a0"], "true")
    assert done.returncode != 0 and "connect of a1: 'tcp://a1:80500' has no port from 1 to 65535" in done.stderr
    name = "a" * 100
    configure(build, conf, f'{{ host = "{name}" }}')
    done = start(build, conf, [name], build / "fluxctl" / "fluxctl", "getattr", "hostname")
    assert done.stdout == name + "\n", done.stderr
    done = start(build, conf, ["a" * 254], "true")
    assert done.returncode != 0 and "which is no name of a host" in done.stderr


def test_a_node_whose_key_is_removed_is_cut_off_when_the_configuration_is_reloaded(build, tmp_path):  # noqa: F811
    a, b = free_ports(2)
    conf, keys = tmp_path / "conf", tmp_path / "keys"
    conf.mkdir()
    keys.mkdir()
    for h in ("a0", "a1", "a2"):
        subprocess.run([build / "fluxctl" / "fluxctl", "keygen", f"--public={keys}/{h}.pub", tmp_path / f"{h}.cert"], check=True)
    (conf / "b.toml").write_text(f'''[bootstrap]
curve_cert = "{tmp_path}/%h.cert"
keydir = "{keys}"
hosts = [{{ host = "a0", bind = "tcp://127.0.0.1:{a}", connect = "tcp://127.0.0.1:{a}" }},
         {{ host = "a1", bind = "tcp://127.0.0.1:{b}", connect = "tcp://127.0.0.1:{b}" }}, {{ host = "a2", parent = "a1" }}]
''')
    with Tree(build, tmp_path, size=3, args=["--test-hosts=a[0-2]", "-c", conf], topo=None) as t:
        wait_until("all to join", lambda: t.say(0, "overlay", "status", "-s") == "full")
        public = (keys / "a2.pub").read_bytes()
        (keys / "a2.pub").unlink()
        t.say(1, "config", "reload")
        wait_until("it to be shut out", lambda: "does not accept our key" in open(f"{t.node(2)}/log/broker.log").read())
        log = open(f"{t.node(1)}/log/broker.log").read()
        assert "a2 (rank 2) and what is below it are lost: its key is not good any more" in log
        assert t.at(0, "ping", "-c1", "-r", 2, "broker").returncode != 0
        assert "1!broker.ping" in t.say(0, "ping", "-c1", "-r", 1, "broker")  # nobody else
        (keys / "a2.pub").write_bytes(public)
        t.say(1, "config", "reload")
        wait_until("it to join again", lambda: t.say(0, "overlay", "status", "-s") == "full")
        # from below: the node above is not trusted any more
        public = (keys / "a0.pub").read_bytes()
        (keys / "a0.pub").unlink()
        t.say(1, "config", "reload")
        wait_until("the node above to be left", lambda: "there is no good key of it" in
                   t.at(1, "ping", "-c1", "-r", 0, "broker").stderr)
        (keys / "a0.pub").write_bytes(public)
        t.say(1, "config", "reload")
        wait_until("all to be back", lambda: t.say(0, "overlay", "status", "-s") == "full")
