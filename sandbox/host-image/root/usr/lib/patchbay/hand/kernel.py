"""System calls that Python has no binding for, and the tools that the hand runs."""

import ctypes
import json
import os
import struct
import subprocess

LIBC = ctypes.CDLL(None, use_errno=True)
# Numbers since Linux 5.x are the same on every architecture.
SYS_MOVE_MOUNT, SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT, SYS_OPENAT2 = 429, 430, 431, 432, 437
FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 0, 1, 6
MOVE_MOUNT_F_EMPTY_PATH, MOUNT_ATTR_NODEV, AT_FDCWD = 4, 4, -100
# openat2(2)
RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_IN_ROOT = 0x01, 0x02, 0x04, 0x10


class Refused(Exception):
    """A request that ends in an error answer with a stable code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def call(name, number, *arguments):
    result = LIBC.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def detached_mount(kind, source=None, attributes=0, flags=()):
    """A mount of a new file system that is nowhere yet; `place` puts it somewhere."""
    context = call("fsopen", SYS_FSOPEN, kind, 0)
    if source is not None:
        call("fsconfig", SYS_FSCONFIG, context, FSCONFIG_SET_STRING, b"source", source.encode(), 0)
    for flag in flags:
        call("fsconfig", SYS_FSCONFIG, context, FSCONFIG_SET_FLAG, flag, None, 0)
    call("fsconfig", SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0)
    mount = call("fsmount", SYS_FSMOUNT, context, 0, attributes)
    os.close(context)
    return mount


def place(mount, target):
    call("move_mount", SYS_MOVE_MOUNT, mount, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH)


def open_in_root(root, path, flags, resolve=RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS):
    """Opens a path as a process with that root directory would: a symbolic link that a student made never leads
    out. `flags` must not let it block."""
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, resolve)
    descriptor = LIBC.syscall(SYS_OPENAT2, root, os.fsencode(path.lstrip("/") or "."), how, len(how))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), f"{path}: {os.strerror(ctypes.get_errno())}")
    return descriptor


def tool(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused("probe-failed", f"{' '.join(argv)}: {done.stderr.strip()[:500]}")
    return done.stdout


def ip_json(*arguments):
    return json.loads(tool("ip", "-j", *arguments) or "[]")


def ip_batch(commands, *options):
    done = subprocess.run(
        ["ip", *options, "-batch", "-"], input="\n".join(commands), capture_output=True, text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Refused("probe-failed", f"ip -batch: {done.stderr.strip()[:500]}")
