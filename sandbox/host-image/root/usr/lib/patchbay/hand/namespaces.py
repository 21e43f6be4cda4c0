"""Network namespaces of a lab: which there are, and which one a request means."""

import ctypes
import fcntl
import os
import re
import socket
import stat
import struct

from kernel import LIBC, Refused, open_in_root
from processes import outer_pids

NSFS_MAGIC = 0x6E736673
NS_GET_NSTYPE = 0xB703  # ioctl_ns(2)
NAMED = "/run/netns"
MAX_NAMED = 256
RTM_NEWNSID, RTM_GETNSID, NLM_F_REQUEST = 88, 90, 1  # rtnetlink(7)
NETNSA_NSID, NETNSA_FD = 1, 3


def is_net_namespace(descriptor):
    class Statfs(ctypes.Structure):
        _fields_ = [("f_type", ctypes.c_long), ("rest", ctypes.c_long * 32)]

    found = Statfs()
    if LIBC.fstatfs(descriptor, ctypes.byref(found)) != 0 or found.f_type != NSFS_MAGIC:
        return False
    return fcntl.ioctl(descriptor, NS_GET_NSTYPE) == os.CLONE_NEWNET


def open_named(init, root, name):
    """A namespace that `ip netns` knows by a name: a bind mount, or a link to one or to a process's own.
    `None` where the name leads to something else."""
    path = f"{NAMED}/{name}"
    for _ in range(4):
        link = open_in_root(root, path, os.O_PATH | os.O_NOFOLLOW)
        if not stat.S_ISLNK(os.fstat(link).st_mode):
            os.close(link)
            break
        target = os.readlink("", dir_fd=link)
        os.close(link)
        process = re.fullmatch(r"/proc/(\d+)/(?:task/\d+/)?ns/net", target)
        if process:
            outer = outer_pids(init, {int(process[1])}).get(int(process[1]))
            return None if outer is None else os.open(f"/proc/{outer}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        path = os.path.normpath(os.path.join(os.path.dirname(path), target))
    # No device and no FIFO is opened: what a path is, is looked at first.
    held = open_in_root(root, path, os.O_PATH)
    try:
        if not stat.S_ISREG(os.fstat(held).st_mode):
            return None
        descriptor = os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(held)
    if is_net_namespace(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def root_of(pid):
    return os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def names_of(init):
    """Names under which `ip netns list` shows something, in order."""
    try:
        folder = open_in_root(root_of(init), NAMED, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    return sorted(os.listdir(folder))[:MAX_NAMED]


def named(init):
    """Descriptors of the named namespaces of a lab host; `None` for names that are none."""
    root = root_of(init)
    found = {}
    for name in names_of(init):
        try:
            found[name] = open_named(init, root, name)
        except OSError:
            found[name] = None
    return found


def ids_here(descriptors):
    """Which of these namespaces the current one calls by which id (rtnetlink RTM_GETNSID): what `link_netnsid` of a
    link refers to. By id: the inode."""
    known = {}
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    with netlink:
        for descriptor in descriptors:
            # nlmsghdr, rtgenmsg with padding, NETNSA_FD
            body = struct.pack("=B3xHHI", 0, 8, NETNSA_FD, descriptor)
            netlink.send(struct.pack("=IHHII", 16 + len(body), RTM_GETNSID, NLM_F_REQUEST, 1, 0) + body)
            reply = netlink.recv(4096)
            if struct.unpack_from("=H", reply, 4)[0] != RTM_NEWNSID:
                continue
            at = 20
            while at + 8 <= len(reply):
                length, kind = struct.unpack_from("=HH", reply, at)
                if kind == NETNSA_NSID:
                    identifier = struct.unpack_from("=i", reply, at + 4)[0]
                    if identifier >= 0:
                        known[identifier] = os.fstat(descriptor).st_ino
                at += max(4, length + 3 & ~3)
    return known


def resolve(reference, init):
    """A descriptor of the network namespace that a reference means; `init` is of the lab host it is on."""
    match reference["kind"]:
        case "host":
            path = f"/proc/{init}/ns/net"
        case "outside":
            path = f"/run/netns/{reference['key']}"
        case "pid":
            outer = outer_pids(init, {reference["pid"]}).get(reference["pid"])
            if outer is None:
                raise Refused("probe-failed", f"no process {reference['pid']} in this lab")
            path = f"/proc/{outer}/ns/net"
        case "named":
            descriptor = open_named(init, root_of(init), reference["name"])
            if descriptor is None:
                raise Refused("probe-failed", f"{reference['name']} is no network namespace")
            return descriptor
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
