"""Processes of a lab, by what the kernel says of them."""

import errno
import fcntl
import os
import signal
import sys

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


def outer_pids(init, wanted):
    """Outer pids by the pid that the lab counts. Identity comes from the kernel: the process sits in
    the lab's pid namespace or below, and NSpid says what it is called there."""
    lab_namespace = os.stat(f"/proc/{init}/ns/pid").st_ino
    depth = len(pid_namespace_chain(init))
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/status") as status:
                nspid = next((l for l in status if l.startswith("NSpid:")), "").split()[1:]
            # A pid namespace's own depth, counted from the sidecar's: index depth - 1 is the lab's.
            if len(nspid) < depth or int(nspid[depth - 1]) not in wanted:
                continue
            if lab_namespace in pid_namespace_chain(name):
                found[int(nspid[depth - 1])] = int(name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


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
