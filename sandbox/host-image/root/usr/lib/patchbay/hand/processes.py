"""Processes of a lab, by what the kernel says of them."""

import errno
import fcntl
import os
import signal
import socket
import sys

from kernel import Refused, detached_mount

NS_GET_PARENT = 0xB702  # ioctl_ns(2)


def pid_namespace_chain(pid):
    """Inodes of the pid namespace of `pid` and its ancestors, innermost first."""
    chain = []
    descriptor = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        while True:
            chain.append(os.fstat(descriptor).st_ino)
            try:
                parent = fcntl.ioctl(descriptor, NS_GET_PARENT)
            except OSError as error:
                if error.errno == errno.EPERM:  # the sidecar's own namespace is the last one it may see
                    return chain
                raise
            os.close(descriptor)
            descriptor = parent
    finally:
        os.close(descriptor)


def confirm(init, container):
    """Throws unless `init` is a process of that container of the outer engine: the kernel gives the number of a process
    that has ended to another one."""
    try:
        with open(f"/proc/{init}/cgroup") as groups:
            alive = container in groups.read()
    except OSError:
        alive = False
    if not alive:
        raise Refused("lab-broken", "the lab host does not run")


TABLES = {}  # by the lab's init: inode of its pid namespace, descriptor


def process_table(init):
    """A descriptor of /proc as the lab counts its processes: a procfs of the lab's pid namespace, mounted nowhere. Unlike
    the /proc that lies in the lab, no student has mounted anything over it; and it shows nobody else's processes.
    Made once for each lab, by a process that is in the lab's pid namespace for a moment."""
    try:
        inode = os.stat(f"/proc/{init}/ns/pid").st_ino
    except OSError as error:
        raise Refused("lab-broken", "the lab host does not run") from error
    if TABLES.get(init, (0, 0))[0] == inode:
        return TABLES[init][1]
    forget_ended()
    receiving, sending = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with receiving, sending:

        def mount():
            with open(f"/proc/{init}/ns/pid") as namespace:
                os.setns(namespace.fileno(), os.CLONE_NEWPID)
            # Only children are in it.
            in_child(lambda: socket.send_fds(sending, [b"."], [detached_mount(b"proc")]))

        in_child(mount)
        mounted = socket.recv_fds(receiving, 1, 1)[1][0]
    # What mounts give is a place only (O_PATH).
    TABLES[init] = inode, os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mounted)
    os.close(mounted)
    return TABLES[init][1]


def forget_ended():
    """Lets go of the process tables of labs that have ended."""
    for init, (inode, descriptor) in list(TABLES.items()):
        try:
            ended = os.stat(f"/proc/{init}/ns/pid").st_ino != inode
        except OSError:
            ended = True
        if ended:
            os.close(descriptor)
            del TABLES[init]


def open_of(table, pid, name, flags=os.O_RDONLY):
    """Opens a file of a process by the number that the lab gives it; `None` where the lab has no such process."""
    try:
        return os.open(f"{int(pid)}/{name}", flags | os.O_CLOEXEC, dir_fd=table)
    except (FileNotFoundError, ProcessLookupError):
        return None


def open_of_host(init, name, flags=os.O_RDONLY):
    """Opens a file of a lab host's first process."""
    try:
        return os.open(f"/proc/{init}/{name}", flags | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError, PermissionError) as error:
        raise Refused("lab-broken", "the lab host does not run") from error


def enter_net_of(path):
    with open(path) as namespace:
        os.setns(namespace.fileno(), os.CLONE_NEWNET)


def enter_net(pid):
    enter_net_of(f"/proc/{pid}/ns/net")


def enter_machine_net():
    """The machine's own network namespace: of the kernel's own threads, else of init."""
    for pid in (2, 1):
        try:
            return enter_net(pid)
        except OSError:
            continue


def in_child(work):
    """Runs a function that changes namespaces in a forked child; throws where it failed."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:  # told by the exit code, and in the sidecar's log
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        raise OSError(f"{work.__name__} failed: see the log of the sidecar")


def kill(request):
    """Kills the session of a process (an outer pid) if it is one of the lab's."""
    lab = os.stat(f"/proc/{request['init']}/ns/pid").st_ino
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(name)) == request["session"] and lab in pid_namespace_chain(name):
                os.kill(int(name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return {}


def thaw(containers):
    """Lets frozen processes of lab hosts go on, so that they can be ended: what `docker pause` froze in
    a lab takes no signal on cgroup v1, not even SIGKILL. `containers` are ids of the outer engine."""
    for directory, _, _ in os.walk("/sys/fs/cgroup/freezer"):
        state = f"{directory}/freezer.state"
        if any(container in directory for container in containers) and os.path.exists(state):
            with open(state, "w") as switch:
                switch.write("THAWED")
    return {}
