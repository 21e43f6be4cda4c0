"""Network namespaces of a lab: which there are, and which one a request means."""

import ctypes
import fcntl
import os
import re
import stat

from kernel import LIBC, Refused, open_in_root
from processes import open_of, open_of_host, process_table

NSFS_MAGIC = 0x6E736673
NS_GET_NSTYPE = 0xB703  # ioctl_ns(2)
NAMED = "/run/netns"


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
        process = re.fullmatch(r"/proc/(\d{1,9})/(?:task/\d+/)?ns/net", target)
        if process:
            return open_of(process_table(init), process[1], "ns/net")
        path = os.path.normpath(os.path.join(os.path.dirname(path), target))
    return open_path(root, path)


def open_path(root, path):
    """The network namespace that a path of the lab leads to, else `None`. No device and no FIFO is opened: what a path
    is, is looked at first."""
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


def root_of(init):
    return open_of_host(init, "root", os.O_PATH | os.O_DIRECTORY)


def resolve(reference, init):
    """A descriptor of the network namespace that a reference means; `init` is of the lab host it is on."""
    match reference["kind"]:
        case "host":
            return open_of_host(init, "ns/net")
        case "outside":
            return os.open(f"/run/netns/{reference['key']}", os.O_RDONLY | os.O_CLOEXEC)
        case "pid":
            descriptor = open_of(process_table(init), reference["pid"], "ns/net")
            if descriptor is None:
                raise Refused("probe-failed", f"no process {reference['pid']} in this lab")
            return descriptor
        case "named":
            try:
                descriptor = open_named(init, root_of(init), reference["name"])
            except OSError:
                descriptor = None
            if descriptor is None:
                raise Refused("probe-failed", f"{reference['name']} is no network namespace")
            return descriptor
