"""The disk of a lab host: a file system of fixed size in a sparse file, so that no lab fills the machine."""

import errno
import fcntl
import glob
import os
import struct
import time

import marks
from kernel import MOUNT_ATTR_NODEV, Refused, detached_mount, tool

FOLDER = "/disks"  # a volume of the sidecar
DEVICES = "/machine-dev"  # the machine's /dev, of which the sidecar may use loop devices only
LOOP_CTL_GET_FREE, LOOP_CONFIGURE, LO_FLAGS_AUTOCLEAR = 0x4C82, 0x4C0A, 4  # loop(4)
ATTACH_TIMEOUT_S = 5


def path_of(key, host):
    return f"{FOLDER}/{key}-{host}.ext4"


def attached(path):
    for backing in glob.glob("/sys/block/loop*/loop/backing_file"):
        try:
            with open(backing) as file:
                if file.read().rstrip("\n").endswith("/" + os.path.basename(path)):
                    return True
        except OSError:  # detached meanwhile
            continue
    return False


def loop_device(path):
    """Attaches a file to a free loop device, which detaches itself with its last mount."""
    with open(path, "r+b") as image, open(f"{DEVICES}/loop-control", "rb") as control:
        for _ in range(100):
            number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
            device = f"{DEVICES}/loop{number}"
            try:
                descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
                name = os.path.basename(path).encode()[:63]
                info = struct.pack("5Q4I64s64s32s2Q", *[0] * 8, LO_FLAGS_AUTOCLEAR, name, b"", b"", 0, 0)
                config = struct.pack("2I", image.fileno(), 4096) + info + bytes(64)
                fcntl.ioctl(descriptor, LOOP_CONFIGURE, config)
                return device, descriptor
            except OSError as error:
                # Taken by another one meanwhile, or its node is not there yet.
                if error.errno not in (errno.EBUSY, errno.ENOENT, errno.ENXIO):
                    raise
                time.sleep(0.01)
    raise Refused("lab-start-failed", "The machine has no free loop device for the lab's disk.")


def open_disk(request, root, group):
    """A detached mount of the host's disk, made where there is none yet; `None` where the sidecar gets no
    loop devices: then the lab's files lie on a volume of the engine, without a limit."""
    if not os.path.exists(f"{DEVICES}/loop-control"):
        return None
    path = path_of(request["key"], request["host"]["name"])
    if not os.path.exists(path):
        making = f"{path}.making"
        with open(making, "wb") as file:
            file.truncate(request["diskBytes"])
        tool(
            "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-J", "size=4", "-O", "^resize_inode",
            "-i", "8192", "-E", f"root_owner={root}:{group},lazy_itable_init=1,lazy_journal_init=1,nodiscard", making,
        )
        os.rename(making, path)
    deadline = time.monotonic() + ATTACH_TIMEOUT_S
    while attached(path):
        # The last mount of a host that has just ended.
        if time.monotonic() > deadline:
            raise Refused("lab-start-failed", f"The disk of {request['host']['name']} is still in use.")
        time.sleep(0.02)
    device, descriptor = loop_device(path)
    # No tables are written before they are needed, and what a student deletes is the machine's again.
    mount = detached_mount(b"ext4", device, MOUNT_ATTR_NODEV, (b"noinit_itable", b"discard"))
    os.close(descriptor)
    return mount


def remove_disks(request):
    """Ends all that is kept of a lab."""
    marks.forget(request["key"])
    for path in glob.glob(f"{FOLDER}/{request['key']}-*"):
        os.unlink(path)
    return {}


def room(_request):
    """What the machine has left, in bytes."""
    with open("/proc/meminfo") as file:
        available = next(line for line in file if line.startswith("MemAvailable:"))
    volume = os.statvfs(FOLDER)
    return {"memoryBytes": int(available.split()[1]) * 1024, "diskBytes": volume.f_bavail * volume.f_frsize}


def orphan_disks(keys, minimum_age_s):
    """Disks of no lab, unless they may be of one that is just being made."""
    for path in glob.glob(f"{FOLDER}/*.ext4*"):
        key = os.path.basename(path).partition("-")[0]
        if key not in keys and time.time() - os.stat(path).st_mtime > minimum_age_s:
            yield path
