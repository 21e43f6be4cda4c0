"""Queues in a Redis of a lab: what it says, over a connection of the hand's own, and who is connected to it, as the
kernel has it."""

import os
import re
import socket
import ssl
import struct
import time

from kernel import Refused
from namespaces import resolve
from processes import open_of, process_table

MAX_REPLY = 4 << 20
MAX_PROCESSES = 4096
MAX_DESCRIPTORS = 1024
ESTABLISHED = "01"  # net/tcp_states.h
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
FREEZER = "/sys/fs/cgroup"


class Conversation:
    """RESP 2 with a server that may be anybody's program: bounded in time and size.
    https://redis.io/docs/latest/develop/reference/protocol-spec/"""

    def __init__(self, address, port, tls, deadline):
        self.deadline = deadline
        self.unread = bytearray()
        self.received = 0
        self.connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._limit()
        self.connection.connect((address, port))
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.connection = context.wrap_socket(self.connection)

    def _limit(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.connection.settimeout(left)

    def ask(self, *words):
        parts = [str(word).encode() for word in words]
        message = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._limit()
        self.connection.sendall(message)
        return self._reply(0)

    def _fill(self):
        self._limit()
        data = self.connection.recv(1 << 16)
        self.received += len(data)
        if not data or self.received > MAX_REPLY:
            raise Refused("probe-failed", "the server broke off, or says more than any queue holds")
        self.unread += data

    def _line(self):
        while (end := self.unread.find(b"\r\n")) < 0:
            self._fill()
        line = bytes(self.unread[:end])
        del self.unread[:end + 2]
        return line.decode("utf-8", "replace")

    def _reply(self, depth):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == "+":
            return rest
        if kind == "-":
            return {"error": rest}
        if kind not in (":", "$", "*") or not re.fullmatch(r"-?\d{1,10}", rest) or depth > 4:
            raise Refused("probe-failed", "what answers there is no Redis")
        number = int(rest)
        if kind == ":":
            return number
        if number < 0:
            return None
        if kind == "*":
            return [self._reply(depth + 1) for _ in range(number)]
        while len(self.unread) < number + 2:
            self._fill()
        text = bytes(self.unread[:number])
        del self.unread[:number + 2]
        return text.decode("utf-8", "replace")


def redis(request):
    """Answers of a Redis to commands, in order; an error of the server is `{"error": …}`."""
    source = resolve(request["from"], request["init"])
    os.setns(source, os.CLONE_NEWNET)
    deadline = time.monotonic() + request["waitMs"] / 1000
    try:
        conversation = Conversation(request["address"], request["port"], request["tls"], deadline)
        return [conversation.ask(*command) for command in request["commands"]]
    except TimeoutError:
        raise Refused("probe-timeout", "the Redis does not answer") from None
    except OSError as error:
        raise Refused("probe-failed", error.strerror or str(error)) from error


def text_of(table, pid, name, limit=1 << 16):
    """A file of a process, or `None` where it has ended. Read to the end: the kernel gives tables a page at a time."""
    descriptor = open_of(table, pid, name)
    if descriptor is None:
        return None
    text = bytearray()
    try:
        while len(text) < limit and (piece := os.read(descriptor, limit - len(text))):
            text += piece
        return text.decode("utf-8", "replace")
    except (ProcessLookupError, PermissionError):
        return None
    finally:
        os.close(descriptor)


def environment(request):
    """What a process was started with, by name."""
    text = text_of(process_table(request["init"]), request["pid"], "environ", 1 << 20)
    if text is None:
        raise Refused("probe-failed", f"no process {request['pid']} in this lab")
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def endpoint(text):
    """`0500A8C0:1F90` of proc(5) as `192.168.0.5:8080`."""
    address, port = text.split(":")
    return f"{socket.inet_ntoa(struct.pack('<I', int(address, 16)))}:{int(port, 16)}"


def connections_to(table, pid, remote):
    """Local ends of the established connections to `remote` in a process's network namespace, by inode."""
    found = {}
    for name, mapped in (("net/tcp", 0), ("net/tcp6", 24)):
        for line in (text_of(table, pid, name, 4 << 20) or "").splitlines()[1:]:
            fields = line.split()
            if len(fields) < 10 or fields[3] != ESTABLISHED:
                continue
            local, other = fields[1][mapped:], fields[2][mapped:]
            if mapped and not fields[2].startswith("0000000000000000FFFF0000"):
                continue
            if endpoint(other) == remote:
                found[fields[9]] = endpoint(local)
    return found


def frozen(table, pid):
    """Whether the process, or a control group around it, is frozen: what `docker pause` does."""
    for line in (text_of(table, pid, "cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "freezer":
            file, sign = f"{FREEZER}/freezer{path}/freezer.state", r"FROZEN|FREEZING"
        elif controllers == "":
            file, sign = f"{FREEZER}{path}/cgroup.events", r"(?m)^frozen 1$"
        else:
            continue
        try:
            with open(file) as state:
                if re.search(sign, state.read()):
                    return True
        except OSError:  # a hierarchy without that controller
            continue
    return False


def holds(table, pid, sockets, prefix):
    """Which of these sockets, and which memfd names with that prefix, a process has open."""
    folder = open_of(table, pid, "fd", os.O_RDONLY | os.O_DIRECTORY)
    ends, marks = [], []
    if folder is None:
        return ends, marks
    try:
        for name in os.listdir(folder)[:MAX_DESCRIPTORS]:
            try:
                target = os.readlink(name, dir_fd=folder)
            except OSError:
                continue
            if target.startswith("socket:[") and target[8:-1] in sockets:
                ends.append(sockets[target[8:-1]])
            mark = re.fullmatch(r"/memfd:(.*) \(deleted\)", target)
            if prefix and mark and mark[1].startswith(prefix):
                marks.append(mark[1])
    except OSError:
        pass
    finally:
        os.close(folder)
    return ends, marks


def processes(request):
    """The processes of a lab host. With `remote` (`172.18.0.2:6379`), each with its own ends of established
    connections to there; with `marks`, with the names of anonymous files that begin so and that it has open."""
    table = process_table(request["init"])
    remote, prefix = request.get("remote"), request.get("marks", "")
    uptime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    by_namespace, found = {}, []
    for name in sorted((each for each in os.listdir(table) if each.isdigit()), key=int)[:MAX_PROCESSES]:
        stat, status = text_of(table, name, "stat"), text_of(table, name, "status")
        if not stat or not status:
            continue
        # The name in parentheses may hold anything.
        state, parent, *rest = stat[stat.rindex(")") + 2:].split()
        try:
            namespace = int(os.readlink(f"{name}/ns/net", dir_fd=table)[5:-1])
        except (OSError, ValueError):  # a zombie has none
            namespace = None
        if remote and namespace is not None and namespace not in by_namespace:
            by_namespace[namespace] = connections_to(table, name, remote)
        sockets = by_namespace.get(namespace, {})
        ends, marks = holds(table, name, sockets, prefix) if sockets or prefix else ([], [])
        container = re.search(r"[0-9a-f]{64}(?=\n|$|/)(?!.*[0-9a-f]{64})", text_of(table, name, "cgroup") or "")
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
        found.append({
            "pid": int(name),
            "parent": int(parent),
            "ownPid": int(numbers[-1]),
            "state": state,
            "frozen": frozen(table, name),
            "command": (text_of(table, name, "cmdline") or "").split("\0")[:-1],
            "processorMs": round((int(rest[9]) + int(rest[10])) / CLOCK_TICKS * 1000),
            "ageMs": max(0, round((uptime_s - int(rest[17]) / CLOCK_TICKS) * 1000)),
            "namespace": namespace,
            "container": container[0] if container else None,
            "connections": sorted(ends),
            "marks": sorted(marks),
        })
    return found
