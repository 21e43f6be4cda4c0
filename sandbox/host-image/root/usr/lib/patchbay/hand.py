"""The trusted hand: observes and probes lab hosts from outside their mount namespaces.

Runs in a sidecar container of Patchbay's own image, in the engine's pid and user namespaces. Reads
one JSON request per line from stdin, writes one JSON answer per line to stdout:

    {"id": 1, "op": "snapshot", "init": 4711, "pids": [120, 150], "timeoutMs": 3000}
    {"id": 1, "ok": {...}}  or  {"id": 1, "error": {"code": "probe-failed", "message": "..."}}

Every request is served by a forked child of its own: namespaces entered by one never reach another,
and a child that hangs (a stopped engine, a blocked socket) is killed when its time is over.
No binary of a lab is ever run.
"""

import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
NS_GET_PARENT = 0xB702  # ioctl_ns(2)
PACKET_OUTGOING = 4  # packet(7)
ETH_P_ALL = 3
SYS_MOVE_MOUNT, SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT, SYS_OPENAT2 = 429, 430, 431, 432, 437
FSCONFIG_CMD_CREATE, MOVE_MOUNT_F_EMPTY_PATH, AT_FDCWD = 6, 4, -100
RESOLVE_NO_MAGICLINKS, RESOLVE_IN_ROOT = 0x02, 0x10  # openat2(2)
IMAGES = "/usr/share/patchbay/images"


def call(name, number, *arguments):
    """A system call that the C library of Debian 13 has no Python binding for."""
    result = LIBC.syscall(number, *arguments)
    if result < 0:
        raise Refused("probe-failed", f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


class Refused(Exception):
    """A request that ends in an error answer with a stable code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


# Processes of a lab -------------------------------------------------------------------------------


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


def enter_net(pid):
    with open(f"/proc/{pid}/ns/net") as namespace:
        os.setns(namespace.fileno(), os.CLONE_NEWNET)


def net_inode(pid):
    return os.stat(f"/proc/{pid}/ns/net").st_ino


# Observation --------------------------------------------------------------------------------------


def tool(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused("probe-failed", f"{' '.join(argv)}: {done.stderr.strip()[:500]}")
    return done.stdout


def ip_json(*arguments):
    return json.loads(tool("ip", "-j", *arguments) or "[]")


def snmp():
    counters = {}
    with open("/proc/thread-self/net/snmp") as table:
        rows = [line.split() for line in table]
    for names, values in zip(rows[::2], rows[1::2]):
        counters[names[0].rstrip(":")] = dict(zip(names[1:], map(int, values[1:])))
    return counters


def namespace_here():
    with open("/proc/sys/net/ipv4/ip_forward") as switch:
        forward = switch.read().strip() == "1"
    return {
        "inode": os.stat("/proc/thread-self/ns/net").st_ino,
        "links": ip_json("-d", "link"),
        "addresses": ip_json("addr"),
        "routes": ip_json("route", "show", "table", "all"),
        "rules": ip_json("rule"),
        "snmp": snmp(),
        "ipForward": forward,
    }


def snapshot(request):
    init = request["init"]
    wanted = set(request["pids"])
    outer = outer_pids(init, wanted) if wanted else {}
    enter_net(init)
    host = namespace_here()
    host["iptablesSave"] = tool("iptables-nft-save")
    with open("/proc/thread-self/net/ip_tables_names") if os.path.exists(
        "/proc/thread-self/net/ip_tables_names"
    ) else open(os.devnull) as legacy:
        host["iptablesLegacySave"] = tool("iptables-legacy-save") if legacy.read().strip() else ""
    by_pid = {}
    for pid in wanted:
        by_pid[str(pid)] = None
        if pid in outer:
            enter_net(outer[pid])
            by_pid[str(pid)] = namespace_here()
    return {"host": host, "byPid": by_pid}


# Ping ---------------------------------------------------------------------------------------------


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo_request(identifier, sequence, nonce):
    body = nonce + struct.pack("!H", sequence) + bytes(38)
    head = struct.pack("!BBHHH", 8, 0, 0, identifier, sequence)
    return struct.pack("!BBHHH", 8, 0, checksum(head + body), identifier, sequence) + body


def read_icmp(packet, nonce):
    """(type, code, source, destination, sequence) of an ICMP packet that carries the nonce."""
    if len(packet) < 20 or packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_ICMP:
        return None
    at = packet.find(nonce)
    header = (packet[0] & 15) * 4
    if len(packet) < header + 8:
        return None
    kind, code = packet[header], packet[header + 1]
    source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    if at < 0 or len(packet) < at + len(nonce) + 2:
        return (kind, code, source, destination, None)
    return (kind, code, source, destination, struct.unpack_from("!H", packet, at + len(nonce))[0])


UNREACHABLE = {
    0: "Destination Net Unreachable",
    1: "Destination Host Unreachable",
    9: "Destination Net Prohibited",
    10: "Destination Host Prohibited",
    13: "Packet filtered",
}


def where(reference, init, outer):
    if reference["kind"] == "host":
        return init
    pid = outer.get(reference["pid"])
    if pid is None:
        raise Refused("probe-failed", f"no process {reference['pid']} in this lab")
    return pid


def ping(request):
    init = request["init"]
    references = [request["from"], request["target"]]
    outer = outer_pids(init, {r["pid"] for r in references if r["kind"] == "pid"})
    source_pid, target_pid = (where(reference, init, outer) for reference in references)
    address, count = request["address"], request["count"]
    interval, last_wait = request["intervalMs"] / 1000, request["lastReplyWaitMs"] / 1000

    enter_net(target_pid)
    watch = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    enter_net(source_pid)
    sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)

    nonce, identifier = os.urandom(16), int.from_bytes(os.urandom(2), "big")
    sent_at, arrived, answered, round_trips, errors = {}, set(), set(), {}, []
    send_error = None
    next_send = time.monotonic()
    deadline = None
    while True:
        now = time.monotonic()
        if len(sent_at) < count and send_error is None and now >= next_send:
            sequence = len(sent_at) + 1
            try:
                sender.sendto(echo_request(identifier, sequence, nonce), (address, 0))
                sent_at[sequence] = now
            except OSError as error:
                # EPERM is a filter on the way out that drops; like ping(8), go on.
                if error.errno == errno.EPERM:
                    sent_at[sequence] = now
                    errors.append("Operation not permitted")
                else:
                    send_error = errno.errorcode.get(error.errno, str(error.errno))
            next_send += interval
        if deadline is None and (len(sent_at) == count or send_error):
            deadline = time.monotonic() + (0 if send_error else last_wait)
        everything = len(round_trips) == count and len(answered) == count and len(arrived) == count
        if everything or (deadline is not None and now >= deadline):
            break
        until = next_send if deadline is None else deadline
        ready, _, _ = select.select([watch, sender], [], [], max(0, until - time.monotonic()))
        if watch in ready:
            packet, origin = watch.recvfrom(2048)
            seen = read_icmp(packet, nonce)
            if seen and seen[4] is not None:
                kind, _, source, destination, sequence = seen
                if kind == 8 and origin[2] != PACKET_OUTGOING and destination == address:
                    arrived.add(sequence)
                if kind == 0 and origin[2] == PACKET_OUTGOING and source == address:
                    answered.add(sequence)
        if sender in ready:
            packet = sender.recv(2048)
            seen = read_icmp(packet, nonce)
            if seen:
                kind, code, source, _, sequence = seen
                quoted = packet.find(struct.pack("!HH", identifier, 1)[:2], 20) >= 0
                if kind == 0 and sequence in sent_at and source == address:
                    round_trips.setdefault(sequence, (time.monotonic() - sent_at[sequence]) * 1000)
                elif kind == 3 and quoted:
                    errors.append(UNREACHABLE.get(code, f"Destination Unreachable, code {code}"))
                elif kind == 11 and quoted:
                    errors.append("Time to live exceeded")
    answer = {
        "sent": len(sent_at),
        "arrived": len(arrived),
        "answeredByTarget": len(answered),
        "received": len(round_trips),
        "icmpErrors": sorted(set(errors)),
        "roundTripsMs": [round(round_trips[s], 3) for s in sorted(round_trips)],
    }
    return answer | ({"sendError": send_error} if send_error else {})


# The inner engine's API ---------------------------------------------------------------------------


def inside(init, path):
    """An O_PATH descriptor of a path in the lab, resolved as the lab's root resolves it: a symbolic
    link that the student made never leads out of the lab."""
    try:
        root = os.open(f"/proc/{init}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError) as error:
        raise Refused("inner-engine-unreachable", "the lab host does not run") from error
    how = struct.pack("QQQ", os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    descriptor = LIBC.syscall(SYS_OPENAT2, root, path.lstrip("/").encode(), how, len(how))
    os.close(root)
    if descriptor < 0:
        raise Refused("inner-engine-unreachable", f"{path}: {os.strerror(ctypes.get_errno())}")
    return descriptor


def engine_socket(init):
    descriptor = inside(init, "/run/docker.sock")
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        raise Refused("inner-engine-unreachable", "/run/docker.sock is no socket")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(f"/proc/self/fd/{descriptor}")
    except OSError as error:
        raise Refused("inner-engine-unreachable", f"docker.sock: {error.strerror}") from error
    return connection


def http(request):
    import http.client

    connection = http.client.HTTPConnection("localhost")
    connection.sock = engine_socket(request["init"])
    body, headers = None, {}
    if request.get("image"):  # an image of the course, from the hand's own disk
        name = os.path.basename(request["image"])
        body = open(f"{IMAGES}/{name}.tar", "rb")
        headers = {"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"}
    elif "body" in request:
        body = json.dumps(request["body"])
        headers = {"Content-Type": "application/json"}
    try:
        connection.request(
            request["method"], f"/v1.41{request['path']}", body, headers,
            encode_chunked="Transfer-Encoding" in headers,
        )
        response = connection.getresponse()
        text = response.read(16 << 20).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise Refused("inner-engine-unreachable", f"docker.sock: {error}") from error
    try:
        return {"status": response.status, "body": json.loads(text) if text else None}
    except json.JSONDecodeError:
        return {"status": response.status, "body": text}


def dial(init):
    """Pumps stdin and stdout to the inner engine's socket; the whole process is one connection."""
    connection = engine_socket(init)
    open_ends = {0, connection.fileno()}
    while connection.fileno() in open_ends:
        for end in select.select(list(open_ends), [], [])[0]:
            data = os.read(end, 65536)
            if not data:
                open_ends.discard(end)
                if end == 0:
                    connection.shutdown(socket.SHUT_WR)
            elif end == 0:
                connection.sendall(data)
            else:
                view = memoryview(data)
                while view:
                    view = view[os.write(1, view):]


# The wire of a lab ---------------------------------------------------------------------------------

GATEWAY = "10.77.0.1"
ANSWERED_ADDRESSES = ("8.8.8.8", "1.1.1.1")  # what lessons ping; the world outside a lab is only this


def ip_batch(commands, *options):
    done = subprocess.run(
        ["ip", *options, "-batch", "-"], input="\n".join(commands), capture_output=True, text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Refused("probe-failed", f"ip -batch: {done.stderr.strip()[:500]}")


def link(lab, host, number, init):
    """Gives a lab host its eth0, 10.77.0.<10 + number>/24. The other end is a bridge in a network
    namespace that the sidecar holds for this lab alone: no lab shares a link with another one, nor
    with the machine. Nothing is forwarded there; the gateway itself answers. Ends in the lab's netns."""
    existing = {entry["name"] for entry in ip_json("netns", "list")}
    if lab not in existing:
        tool("ip", "netns", "add", lab)
        ip_batch(
            [
                "link set lo up",
                "link add lan type bridge",
                "link set lan up",
                f"addr add {GATEWAY}/24 dev lan",
                *(f"addr add {address}/32 dev lo" for address in ANSWERED_ADDRESSES),
            ],
            "-n", lab,
        )
    gateway = os.open(f"/run/netns/{lab}", os.O_RDONLY | os.O_CLOEXEC)
    enter_net(init)
    if any(entry["ifname"] == "eth0" for entry in ip_json("link")):
        return
    os.setns(gateway, os.CLONE_NEWNET)
    ip_batch([
        f"link add {host} type veth peer name eth0 netns {init}",
        f"link set {host} master lan up",
    ])
    enter_net(init)
    ip_batch([
        "link set lo up",
        f"addr add 10.77.0.{10 + number}/24 dev eth0",
        "link set eth0 up",
        f"route add default via {GATEWAY}",
    ])


def unlink(request):
    if any(entry["name"] == request["lab"] for entry in ip_json("netns", "list")):
        tool("ip", "netns", "delete", request["lab"])
    return {}


# Ending what a lost client started -----------------------------------------------------------------


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


# Preparation of a fresh host ----------------------------------------------------------------------


def prepare(request):
    """What a lab host needs and only a hand outside can give: its wire, cgroup directories of its own,
    a writable sysfs that `ip netns exec` may copy, a bounded conntrack table. Idempotent."""
    init = request["init"]
    with open(f"/proc/{init}/uid_map") as uid_map:
        root = int(uid_map.readline().split()[1])
    with open(f"/proc/{init}/gid_map") as gid_map:
        group = int(gid_map.readline().split()[1])
    if root != 0:
        with open(f"/proc/{init}/cgroup") as lines:
            for line in lines:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                mount = "/sys/fs/cgroup/" + (controllers.removeprefix("name=") or "unified")
                if not controllers and not os.path.isdir(mount):
                    mount = "/sys/fs/cgroup"
                directory = mount + path
                # Only the directory and the files that delegate: limits stay the engine's.
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
    mounts = os.open(f"/proc/{init}/ns/mnt", os.O_RDONLY)
    link(request["lab"], request["host"], request["number"], init)
    limit = "/proc/sys/net/netfilter/nf_conntrack_max"
    conntrack_bounded = False
    if os.path.exists(limit):
        try:
            with open(limit, "w") as switch:
                switch.write(str(request["conntrackEntries"]))
            conntrack_bounded = True
        except OSError as error:
            # Some kernels let only the first network namespace write it: said, not fatal.
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise
    # Made in the sidecar's own mount namespace and moved: inside a user namespace the kernel refuses
    # a sysfs that shows more than those already visible there (mount_too_revealing).
    # Of an empty network namespace: one superblock serves each namespace, and the engine has mounted
    # the lab's own read-only, which would count as a limit to keep.
    os.unshare(os.CLONE_NEWNET)
    context = call("fsopen", SYS_FSOPEN, b"sysfs", 0)
    call("fsconfig", SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0)
    sysfs = call("fsmount", SYS_FSMOUNT, context, 0, 0)
    os.setns(mounts, os.CLONE_NEWNS)
    # The mount is also the sign that lab-init waits for. A file it can't be: ids that the lab's user
    # namespace doesn't map own nothing on its file systems (EOVERFLOW).
    if not os.path.ismount("/run/patchbay/sys"):
        target = b"/run/patchbay/sys"
        call("move_mount", SYS_MOVE_MOUNT, sysfs, b"", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH)
    return {"conntrackBounded": conntrack_bounded}


def images(_request):
    with open("/usr/share/patchbay/store-images.json") as file:
        return json.load(file)


OPERATIONS = {
    "snapshot": snapshot, "ping": ping, "http": http, "prepare": prepare, "images": images,
    "unlink": unlink, "kill": kill, "thaw": lambda request: thaw(request["containers"]),
}


# The session --------------------------------------------------------------------------------------


def answer_of(request):
    try:
        return {"ok": OPERATIONS[request["op"]](request)}
    except Refused as refusal:
        return {"error": {"code": refusal.code, "message": str(refusal)}}
    except Exception as error:  # told to the caller, who logs it
        return {"error": {"code": "probe-failed", "message": f"{type(error).__name__}: {error}"}}


class Job:
    """One request in a forked child; `received` is what its pipe has brought so far."""

    def __init__(self, request):
        self.id, self.op, self.timeout_ms = request["id"], request["op"], request["timeoutMs"]
        self.deadline = time.monotonic() + self.timeout_ms / 1000
        self.received = b""
        self.pipe, writing = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            try:
                with os.fdopen(writing, "w") as pipe:
                    json.dump(answer_of(request), pipe)
            finally:
                os._exit(0)
        os.close(writing)

    def end(self):
        """The answer; kills the child where its time is over."""
        if time.monotonic() >= self.deadline:
            os.kill(self.child, signal.SIGKILL)
            code = "inner-engine-timeout" if self.op == "http" else "probe-timeout"
            answer = {"error": {"code": code, "message": f"no answer within {self.timeout_ms} ms"}}
        elif self.received:
            answer = json.loads(self.received)
        else:
            message = "the probe ended without an answer"
            answer = {"error": {"code": "probe-failed", "message": message}}
        os.close(self.pipe)
        os.waitpid(self.child, 0)
        return answer | {"id": self.id}


def session():
    """One thread: a fork of a threaded process may inherit a held lock."""
    jobs, unread, ended = {}, b"", False
    while jobs or not ended:
        timeout = min((job.deadline for job in jobs.values()), default=None)
        if timeout is not None:
            timeout = max(0, timeout - time.monotonic())
        ready = select.select([*jobs, *([] if ended else [0])], [], [], timeout)[0]
        done = [job for job in jobs.values() if time.monotonic() >= job.deadline]
        for end in ready:
            data = os.read(end, 1 << 16)
            if end == 0:
                ended = not data
                *lines, unread = (unread + data).split(b"\n")
                for job in (Job(json.loads(line)) for line in lines):
                    jobs[job.pipe] = job
            elif data:
                jobs[end].received += data
            elif jobs[end] not in done:
                done.append(jobs[end])
        for job in done:
            del jobs[job.pipe]
            print(json.dumps(job.end()), flush=True)


if sys.argv[1:2] == ["dial"]:
    dial(int(sys.argv[2]))
elif sys.argv[1:2] == ["thaw"]:
    thaw(sys.argv[2:])
else:
    session()
