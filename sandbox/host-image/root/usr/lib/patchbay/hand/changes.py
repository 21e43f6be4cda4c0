"""Tells that something of a lab host has changed: the kernel's own notifications, the engine's events, files.

What it says is a reason to look, never a fact: who hears it looks at the lab as a whole. Costs nothing while nothing
changes, but for a look at the listening sockets once a second, which nothing notifies of.
"""

import ctypes
import json
import os
import select
import socket
import struct
import time
from urllib.parse import quote

from engine_api import engine_socket
from facts import Namespaces
from kernel import LIBC, Refused, open_in_root, tool
from namespaces import NAMED, root_of

# rtnetlink(7) and linux/rtnetlink.h: link, neigh, IPv4 and IPv6 address, route and rule, netconf (forwarding), nsid.
ROUTE_GROUPS = sum(1 << group - 1 for group in (1, 3, 5, 7, 8, 9, 11, 19, 24, 25, 28))
NFTABLES_GROUP = 1 << 7 - 1  # linux/netfilter/nfnetlink.h
NETLINK_NETFILTER = 12
NLMSG_HEADER = struct.Struct("=IHHII")
RTM_NEWNEIGH, RTM_DELNEIGH = 28, 29
NUD_LASTING = 0x40 | 0x80  # entries that somebody wrote; the others come and go with traffic

IN_CLOSE_WRITE, IN_MOVED, IN_CREATE, IN_DELETE, IN_ISDIR, IN_ONLYDIR = 0x8, 0xC0, 0x100, 0x200, 0x40000000, 0x01000000
IN_NONBLOCK = os.O_NONBLOCK
FOLDERS = ("/root", NAMED)
MAX_FOLDERS, MAX_DEPTH = 256, 6

# Actions of containers that change nothing of what anybody sees: health checks, terminals.
QUIET = ("exec_", "attach", "resize", "top", "mount", "unmount")
EVENT_TYPES = ["container", "network", "image", "volume", "service", "node", "daemon"]

# The embedded DNS server listens in every container of a user-defined network, with ports that say nothing.
EMBEDDED_DNS = "0B00007F:"
EPHEMERAL = 32768  # ip_local_port_range: where clients' sockets are bound

GATHER_S = 0.05
LOOK_EACH_S = 1.0
LOOK_SHARE = 0.01
RECONNECT_S = 1.0


def netlink(protocol, groups):
    connection = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
    connection.bind((0, groups))
    return connection


def drained(connection):
    """Messages that wait on a netlink socket; `None` where some were lost."""
    messages = []
    while True:
        try:
            data = connection.recv(1 << 16)
        except BlockingIOError:
            return messages
        except OSError:  # ENOBUFS
            return None
        at = 0
        while at + NLMSG_HEADER.size <= len(data):
            length, kind = NLMSG_HEADER.unpack_from(data, at)[:2]
            if length < NLMSG_HEADER.size:
                break
            messages.append((kind, data[at + NLMSG_HEADER.size:at + length]))
            at += length + 3 & ~3


def matters(kind, body):
    """Whether a message of rtnetlink is of more than what the kernel has just learnt."""
    if kind in (RTM_NEWNEIGH, RTM_DELNEIGH) and len(body) >= 12:
        return bool(struct.unpack_from("=H", body, 8)[0] & NUD_LASTING)
    return True


class Namespace:
    """One network namespace of the lab, held open, and what it notifies of."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        os.setns(descriptor, os.CLONE_NEWNET)
        self.route = netlink(socket.NETLINK_ROUTE, ROUTE_GROUPS)
        self.filter = netlink(NETLINK_NETFILTER, NFTABLES_GROUP)

    def close(self):
        self.route.close()
        self.filter.close()
        os.close(self.descriptor)

    def look(self):
        """What nothing notifies of: who listens, and the rules of the old packet filter. Empty where there is nothing of
        the kind, as in a container that a grader started."""
        os.setns(self.descriptor, os.CLONE_NEWNET)
        seen = []
        for table, listening in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
            with open(f"/proc/thread-self/net/{table}") as rows:
                next(rows)
                for row in rows:
                    _, local, _, state, *_ = row.split()
                    server = state == listening and not local.startswith(EMBEDDED_DNS)
                    if server and (table.startswith("tcp") or int(local[-4:], 16) < EPHEMERAL):
                        seen.append(f"{table} {local}")
        if os.path.exists("/proc/thread-self/net/ip_tables_names"):
            with open("/proc/thread-self/net/ip_tables_names") as names:
                if names.read().strip():
                    seen += (line for line in tool("iptables-legacy-save").split("\n") if line.startswith("-"))
        return tuple(sorted(seen))


class Folders:
    """Folders of the lab whose entries are watched, with all that is below them."""

    def __init__(self, init):
        self.init = init
        self.descriptor = LIBC.inotify_init1(IN_NONBLOCK | os.O_CLOEXEC)
        self.watched = set()
        root = root_of(self.init)
        above = open_in_root(root, os.path.dirname(NAMED), os.O_RDONLY | os.O_DIRECTORY)
        os.close(root)
        # The folder of names comes with the first name.
        self.above_names = self.watch(above, IN_CREATE | IN_MOVED)
        os.close(above)
        self.scan()

    def watch(self, folder, mask):
        return LIBC.inotify_add_watch(self.descriptor, f"/proc/self/fd/{folder}".encode(), mask | IN_ONLYDIR)

    def scan(self):
        root = root_of(self.init)
        waiting = [(path, 0) for path in FOLDERS]
        try:
            while waiting and len(self.watched) < MAX_FOLDERS:
                path, depth = waiting.pop(0)
                try:
                    folder = open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                except OSError:
                    continue
                try:
                    watch = self.watch(folder, IN_CLOSE_WRITE | IN_MOVED | IN_CREATE | IN_DELETE)
                    if watch >= 0:
                        self.watched.add(watch)
                    if depth == MAX_DEPTH:
                        continue
                    with os.scandir(folder) as entries:
                        waiting += (
                            (f"{path}/{entry.name}", depth + 1) for entry in entries
                            if entry.is_dir(follow_symlinks=False)
                        )
                finally:
                    os.close(folder)
        finally:
            os.close(root)

    def drain(self):
        """Whether something happened."""
        seen = again = False
        while True:
            try:
                data = os.read(self.descriptor, 1 << 16)
            except BlockingIOError:
                break
            at = 0
            while at + 16 <= len(data):
                watch, mask, _, length = struct.unpack_from("=iIII", data, at)
                name = data[at + 16:at + 16 + length].rstrip(b"\0").decode("utf-8", "replace")
                if watch == self.above_names and name != os.path.basename(NAMED):
                    at += 16 + length
                    continue
                seen = True
                again |= bool(mask & IN_ISDIR)
                if mask & 0x8000:  # IN_IGNORED: the folder is gone
                    self.watched.discard(watch)
                at += 16 + length
        if again:
            self.scan()
        return seen


class Engine:
    """The events of the lab's engine; connects again where it was lost."""

    def __init__(self, init):
        self.init = init
        self.connection = None
        self.unread = b""
        self.next_try = 0.0
        self.connect()

    def connect(self):
        self.next_try = time.monotonic() + RECONNECT_S
        try:
            connection = engine_socket(self.init)
        except (Refused, OSError):
            return
        filters = quote(json.dumps({"type": EVENT_TYPES}))
        # HTTP/1.0: what follows the head is the events, a line each.
        connection.setblocking(False)
        try:
            connection.send(f"GET /v1.41/events?filters={filters} HTTP/1.0\r\nHost: lab\r\n\r\n".encode())
        except OSError:
            connection.close()
            return
        self.connection, self.unread = connection, b""

    def drain(self):
        """Whether something happened that matters."""
        seen = False
        while True:
            try:
                data = self.connection.recv(1 << 16)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.connection.close()
                self.connection = None
                return True
            # An engine that never ends a line is not listened to.
            *lines, self.unread = (self.unread + data)[-(1 << 20):].split(b"\n")
            seen |= any(map(self.matters, lines))
        return seen

    @staticmethod
    def matters(line):
        try:
            event = json.loads(line)
            action, kind = str(event.get("Action", "")), event.get("Type")
            attributes = (event.get("Actor") or {}).get("Attributes") or {}
            ours = kind == "container" and "patchbay.check" in attributes
        except (ValueError, AttributeError, TypeError, RecursionError):
            return False
        return not ours and not action.startswith(QUIET)


class Watch:
    def __init__(self, init):
        self.init = init
        self.life = os.pidfd_open(init)
        self.own = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.mounts = open(f"/proc/{init}/mountinfo", "rb")
        self.folders = Folders(init)
        self.engine = Engine(init)
        self.namespaces = {}
        self.find_namespaces()
        self.looked = self.look()

    def find_namespaces(self):
        """Opens the namespaces that have come and closes those that have gone."""
        seen = Namespaces(self.init)
        seen.of_processes()
        try:
            seen.of_names()
        except Refused:  # more than anybody needs
            pass
        seen.of_mounts()
        os.close(seen.root)
        for inode in self.namespaces.keys() - seen.found.keys():
            self.namespaces.pop(inode).close()
        for inode, each in seen.found.items():
            if inode in self.namespaces:
                os.close(each.descriptor)
            else:
                self.namespaces[inode] = Namespace(each.descriptor)
        os.setns(self.own, os.CLONE_NEWNET)

    def look(self):
        seen = []
        for namespace in self.namespaces.values():
            try:
                seen.append(namespace.look())
            except (OSError, Refused):
                continue
        os.setns(self.own, os.CLONE_NEWNET)
        return sorted(filter(None, seen))

    def descriptors(self):
        """What to wait for, and what it means."""
        yield self.life, "end"
        yield self.mounts.fileno(), "mounts"
        yield self.folders.descriptor, "files"
        if self.engine.connection is not None:
            yield self.engine.connection.fileno(), "engine"
        for namespace in self.namespaces.values():
            yield namespace.route.fileno(), ("network", namespace)
            yield namespace.filter.fileno(), ("filter", namespace)

    def wait(self, timeout_s):
        """Kinds of what has happened; empty where nothing did in that time."""
        meanings = dict(self.descriptors())
        poll = select.poll()
        for descriptor in meanings:
            # A mount table that has changed is an exceptional condition, see proc_pid_mounts(5).
            wanted = select.POLLPRI | select.POLLERR if meanings[descriptor] == "mounts" else select.POLLIN
            poll.register(descriptor, wanted)
        happened = set()
        for descriptor, _ in poll.poll(max(0, timeout_s) * 1000):
            match meanings[descriptor]:
                case "end":
                    raise Refused("lab-broken", "the lab host has ended")
                case "mounts":
                    happened.add("mounts")
                case "files":
                    if self.folders.drain():
                        happened.add("files")
                case "engine":
                    if self.engine.drain():
                        happened.add("engine")
                case ("network", namespace):
                    messages = drained(namespace.route)
                    if messages is None or any(matters(*message) for message in messages):
                        happened.add("network")
                case ("filter", namespace):
                    if drained(namespace.filter) != []:
                        happened.add("filter")
        return happened

    def run(self, tell):
        next_look = time.monotonic() + LOOK_EACH_S
        while True:
            now = time.monotonic()
            happened = self.wait(next_look - now)
            if happened:
                # One command makes many notifications.
                deadline = time.monotonic() + GATHER_S
                while (left := deadline - time.monotonic()) > 0:
                    happened |= self.wait(left)
                if happened & {"engine", "mounts", "files"}:
                    self.find_namespaces()
            if self.engine.connection is None and time.monotonic() >= self.engine.next_try:
                self.engine.connect()
                if self.engine.connection is not None:
                    happened.add("engine")
            if time.monotonic() >= next_look or happened:
                started = time.monotonic()
                looked = self.look()
                if looked != self.looked:
                    self.looked = looked
                    happened.add("sockets")
                took = time.monotonic() - started
                next_look = time.monotonic() + max(LOOK_EACH_S, took / LOOK_SHARE)
            if happened:
                tell({"changed": sorted(happened)})


def changes(request, tell):
    """Tells kinds of changes as they happen: `network`, `filter`, `engine`, `mounts`, `files`, `sockets`. The first
    one, empty, says that it listens. Ends only by an error, or with whoever asked."""
    try:
        watch = Watch(request["init"])
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Refused("lab-broken", "the lab host does not run") from error
    tell({"changed": []})
    watch.run(tell)
