#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""A parallel program without MPI: each rank puts a key, all meet, each reads its neighbour's."""
import os
import socket
import sys

sock = socket.socket(fileno=os.dup(int(os.environ["PMI_FD"])))
lines = sock.makefile("rw", newline="\n")


def ask(line):
    lines.write(line + "\n")
    lines.flush()
    return dict(f.split("=", 1) for f in lines.readline().split())


rank, size = int(os.environ["PMI_RANK"]), int(os.environ["PMI_SIZE"])
assert ask("cmd=init pmi_version=1 pmi_subversion=1")["rc"] == "0"
name = ask("cmd=get_my_kvsname")["kvsname"]
if "abort" in sys.argv and rank == 1:
    lines.write("cmd=abort exitcode=7\n")
    lines.flush()
if "garbage" in sys.argv and rank == 1:
    lines.write("what=ever\n")
    lines.flush()
for turn in range(3):
    assert ask(f"cmd=put kvsname={name} key=t{turn}-r{rank} value={rank * 10 + turn}")["rc"] == "0"
    assert ask("cmd=barrier_in")["cmd"] == "barrier_out"
    other = (rank + 1) % size
    value = ask(f"cmd=get kvsname={name} key=t{turn}-r{other}")["value"]
    assert value == str(other * 10 + turn), value
mapping = ask(f"cmd=get kvsname={name} key=PMI_process_mapping").get("value")
assert ask("cmd=finalize")["cmd"] == "finalize_ack"
print(f"rank {rank} of {size}, mapping {mapping}")
