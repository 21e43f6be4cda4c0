"""What a fresh lab host needs and only a hand outside can give."""

import os
import time

import marks
from disks import FOLDER, open_disk, orphan_disks
from kernel import detached_mount, place
from limits import limit_lab
from processes import in_child
from wires import answer_names, close_ways, held, lay, open_world, plug, runs, unlink

CLAIMS = f"{FOLDER}/claims"


def mapped_root(init):
    """Uid and gid that the lab's root has on the machine."""
    with open(f"/proc/{init}/uid_map") as uid_map, open(f"/proc/{init}/gid_map") as gid_map:
        return int(uid_map.readline().split()[1]), int(gid_map.readline().split()[1])


def delegate_cgroups(init, root, group):
    """Gives the lab its own control groups: only the directories and the files that delegate, limits stay
    the engine's."""
    with open(f"/proc/{init}/cgroup") as lines:
        for line in lines:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            mount = "/sys/fs/cgroup/" + (controllers.removeprefix("name=") or "unified")
            if not controllers and not os.path.isdir(mount):
                mount = "/sys/fs/cgroup"
            directory = mount + path
            if path == "/" or not os.path.isdir(directory):
                continue
            os.chown(directory, root, group)
            for name in ("cgroup.procs", "tasks", "cgroup.threads", "cgroup.subtree_control"):
                if os.path.exists(f"{directory}/{name}"):
                    os.chown(f"{directory}/{name}", root, group)
            # The kernel refuses tasks in a cpuset without cpus, and lets children clone it.
            clone = f"{directory}/cgroup.clone_children"
            if controllers == "cpuset" and os.path.exists(clone):
                with open(clone, "w") as switch:
                    switch.write("1")


SYSFS = "/run/patchbay/sys"


def make_sysfs_folder(root, group):
    """The folder in the lab that the sysfs is mounted on. The lab's first process makes it as well, and on a busy
    machine comes too late: both may, in either order."""
    # Only who is somebody in the lab's user namespace can own a file of it (EOVERFLOW).
    os.setegid(group)
    os.seteuid(root)
    os.makedirs(SYSFS, exist_ok=True)
    os.seteuid(0)
    os.setegid(0)


def is_prepared(init):
    with open(f"/proc/{init}/mounts") as mounts:
        return any(line.split()[1] == SYSFS for line in mounts)


def wire(request):
    """Gives one machine of a lab its wires. Idempotent. Ends in the machine's network namespace."""
    key, networks, egress = request["key"], request["networks"], request["egress"]
    lay(key, networks, egress)
    if egress == "nat":
        open_world(key)

    def names():
        answer_names(key, networks, request["machines"], egress)

    in_child(names)
    plug(key, request["host"], request["init"])
    return {}


def prepare(request):
    """Prepares a lab host: wires, control groups, limits, its disk, and a writable sysfs that `ip netns exec`
    may copy. Idempotent."""
    init = request["init"]
    root, group = mapped_root(init)
    prepared = is_prepared(init)
    mounts = os.open(f"/proc/{init}/ns/mnt", os.O_RDONLY)
    disk = None
    if not prepared:
        if root != 0:
            delegate_cgroups(init, root, group)
        limit_lab(init)
        disk = open_disk(request, root, group)
    wire(request)
    if prepared:
        return {}
    # Made in the sidecar's own mount namespace and moved: inside a user namespace the kernel refuses
    # a sysfs that shows more than those already visible there (mount_too_revealing).
    # Of an empty network namespace: one superblock serves each namespace, and the engine has mounted
    # the lab's own read-only, which would count as a limit to keep.
    os.unshare(os.CLONE_NEWNET)
    sysfs = detached_mount(b"sysfs")
    os.setns(mounts, os.CLONE_NEWNS)
    if disk is not None:
        place(disk, "/disk")
    make_sysfs_folder(root, group)
    # The last mount is also the sign that lab-init waits for.
    place(sysfs, SYSFS)
    return {}


def claim(request):
    """Takes a warm lab for one asker: true for the first one, whatever process asks."""
    try:
        os.close(os.open(f"{CLAIMS}/{request['key']}", os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False


def unclaim(request):
    try:
        os.unlink(f"{CLAIMS}/{request['key']}")
    except FileNotFoundError:
        pass
    return {}


def claims(request):
    """Keys of labs that were claimed so long ago."""
    latest = time.time() - request["minimumAgeMs"] / 1000
    return [key for key in os.listdir(CLAIMS) if os.stat(f"{CLAIMS}/{key}").st_mtime <= latest]


def sweep(request):
    """Removes wires and disks of labs that are gone; resolves with what it removed."""
    # The machine may have other addresses by now.
    for key in held():
        if runs(key, "uplink"):
            in_child(lambda key=key: close_ways(key))
    removed = []
    age = request["minimumAgeMs"] / 1000
    for key in held() - set(request["keys"]):
        if time.time() - os.stat(f"/run/netns/{key}").st_ctime > age:
            unlink({"key": key})
            removed.append(f"wires of {key}")
    for key in set(os.listdir(CLAIMS)) - set(request["keys"]):
        os.unlink(f"{CLAIMS}/{key}")
    for key in marks.marked() - set(request["keys"]):
        if time.time() - os.stat(marks.folder_of(key)).st_mtime > age:
            marks.forget(key)
    for path in orphan_disks(request["keys"], age):
        os.unlink(path)
        removed.append(f"disk {os.path.basename(path)}")
    return removed
