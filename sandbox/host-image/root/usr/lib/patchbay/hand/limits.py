"""Limits that control groups don't have. Some hold for the whole machine: those are set while labs run
there, and put back when they end."""

import json
import os

from processes import enter_machine_net, in_child

# By what one lab can take of them: see docs/threat-model.md.
RAISED = {
    "fs/inotify/max_user_instances": 1_048_576,
    "kernel/pty/max": 262_144,
    "net/ipv4/neigh/default/gc_thresh3": 65_536,
}
LOWERED = {"net/netfilter/nf_conntrack_max": 32_768}
BEFORE = "/disks/machine-limits.json"

PER_LAB = {
    "max_net_namespaces": 256,
    "max_user_namespaces": 64,
    "max_mnt_namespaces": 1024,
    "max_pid_namespaces": 1024,
    "max_ipc_namespaces": 1024,
    "max_uts_namespaces": 1024,
    "max_cgroup_namespaces": 1024,
    "max_inotify_instances": 1024,
    "max_fanotify_groups": 64,
}


def read(name):
    with open(f"/proc/sys/{name}") as file:
        return int(file.read())


def write(name, value):
    try:
        with open(f"/proc/sys/{name}", "w") as file:
            file.write(str(value))
    except OSError:  # an engine may keep its machine's settings from everyone
        pass


def limit_machine(_request):
    """Sets the machine's limits. Once for each sidecar."""
    enter_machine_net()
    known = {name for name in RAISED | LOWERED if os.path.exists(f"/proc/sys/{name}")}
    wanted = {name: max(RAISED[name], read(name)) for name in known & RAISED.keys()}
    wanted |= {name: min(LOWERED[name], read(name)) for name in known & LOWERED.keys()}
    if not os.path.exists(BEFORE):
        with open(BEFORE, "w") as file:
            json.dump({name: read(name) for name in wanted}, file)
    for name, value in wanted.items():
        if read(name) != value:
            write(name, value)
    return {}


def restore_machine():
    if not os.path.exists(BEFORE):
        return
    with open(BEFORE) as file:
        before = json.load(file)
    enter_machine_net()
    for name, value in before.items():
        write(name, value)
    os.unlink(BEFORE)


def limit_lab(init):
    """Bounds what a lab's user namespace may have. The lab can't raise it: its root lacks SYS_RESOURCE."""
    if os.stat(f"/proc/{init}/ns/user").st_ino == os.stat("/proc/self/ns/user").st_ino:
        return

    def limit():
        with open(f"/proc/{init}/ns/user") as namespace:
            os.setns(namespace.fileno(), os.CLONE_NEWUSER)
        for name, value in PER_LAB.items():
            if os.path.exists(f"/proc/sys/user/{name}"):
                with open(f"/proc/sys/user/{name}", "w") as file:
                    file.write(str(value))

    in_child(limit)
