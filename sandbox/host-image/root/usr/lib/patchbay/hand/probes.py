"""Connections, datagrams and questions to name servers, each sent from one network namespace and looked for in another
one: a nonce in it proves that it arrived there. And files, as a student's program would see them."""

import os
import select
import socket
import stat
import struct
import time

from kernel import Refused, open_in_root, tool
from namespaces import resolve, root_of
from pings import packet_watch
from processes import open_of, process_table

MAX_ANSWER = 16 << 10
# Long enough for what is on its way when the answer is there.
LAST_LOOK_S = 0.05
COOKIE = 10  # EDNS option, RFC 7873
MAX_NAMES = 1000


class Watch:
    """What of a probe comes into the namespace of its target; without one, nothing is looked for."""

    def __init__(self, request, protocol, nonce):
        self.protocol, self.nonce, self.own_port = protocol, nonce, None
        self.arrived, self.source, self.port = False, None, None
        self.socket = None
        if request.get("target"):
            os.setns(resolve(request["target"], request.get("targetInit", request["init"])), os.CLONE_NEWNET)
            self.socket = packet_watch()
            self.socket.setblocking(False)

    def look(self):
        while self.socket:
            try:
                packet = self.socket.recv(65536)
            except BlockingIOError:
                return
            header = (packet[0] & 15) * 4 if packet else 0
            if len(packet) < max(20, header + 4) or packet[0] >> 4 != 4 or packet[9] != self.protocol:
                continue
            source, destination = struct.unpack_from("!HH", packet, header)
            if source == self.own_port:
                self.port = destination
            if self.nonce in packet:
                self.arrived, self.source, self.port = True, socket.inet_ntoa(packet[12:16]), destination

    def wait(self, client, deadline):
        """Waits until the client has something to read, or until the deadline; looks meanwhile. True for the former."""
        ends = select.poll()
        for end in filter(None, (client, self.socket)):
            ends.register(end, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            ready = [end for end, _ in ends.poll(left * 1000)]
            self.look()
            if client and client.fileno() in ready:
                return True
            if client is None and (self.arrived or self.socket is None):
                return False
        return False

    def seen(self):
        return {"arrived": self.arrived, "from": self.source, "reachedPort": self.port}


def connected(request, watch):
    """A TCP connection from the namespace that the request names, or why there is none."""
    os.setns(resolve(request["from"], request["init"]), os.CLONE_NEWNET)
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.settimeout(request["waitMs"] / 1000)
    connection.bind(("", 0))
    watch.own_port = connection.getsockname()[1]
    try:
        connection.connect((request["address"], request["port"]))
        return connection, None
    except TimeoutError:
        return None, "timeout"
    except OSError as error:
        return None, os.strerror(error.errno) if error.errno else str(error)


def tcp(request):
    """Connects, sends a nonce, and looks whether that arrives in the target's own namespace."""
    nonce = os.urandom(8).hex().encode()
    watch = Watch(request, socket.IPPROTO_TCP, nonce)
    connection, error = connected(request, watch)
    if connection is None:
        watch.wait(None, time.monotonic() + LAST_LOOK_S)
        return {"connected": False, "error": error} | watch.seen()
    connection.sendall(nonce + b"\r\n")
    watch.wait(None, time.monotonic() + request["waitMs"] / 1000)
    return {"connected": True} | watch.seen()


def http_get(request):
    """Asks for a page; the nonce is in a header of the request."""
    nonce = os.urandom(8).hex().encode()
    watch = Watch(request, socket.IPPROTO_TCP, nonce)
    deadline = time.monotonic() + 2 * request["waitMs"] / 1000
    connection, error = connected(request, watch)
    nothing = {"connected": connection is not None, "status": None, "headers": [], "body": ""}
    if connection is None:
        watch.wait(None, time.monotonic() + LAST_LOOK_S)
        return nothing | {"error": error} | watch.seen()
    host = request.get("host") or f"{request['address']}:{request['port']}"
    head = f"GET {request['path']} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\nPatchbay-Probe: "
    connection.sendall(head.encode() + nonce + b"\r\n\r\n")
    received = b""
    while watch.wait(connection, deadline) and len(received) < MAX_ANSWER:
        try:
            data = connection.recv(4096)
        except OSError as reset:
            error = os.strerror(reset.errno)
            break
        received += data
        if not data or complete(received):
            break
    watch.wait(None, time.monotonic() + LAST_LOOK_S)
    answer = page(received[:MAX_ANSWER])
    if answer is None:
        return nothing | {"error": error or ("no answer" if not received else "no HTTP answer")} | watch.seen()
    return nothing | answer | watch.seen()


def complete(received):
    """Whether a page is whole, by its own Content-Length."""
    head, split, body = received.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n")[1:] if split else ():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            return len(body) >= int(value[:10])
    return False


def page(received):
    """Status, headers and body of an HTTP answer; `None` where it is none."""
    head, split, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not split or not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        return None
    pairs = [line.partition(":") for line in lines]
    return {
        "status": int(rest[:3]),
        "headers": [{"name": name.lower(), "value": value.strip()} for name, _, value in pairs],
        "body": body.decode("utf-8", "replace"),
    }


def udp(request):
    """Sends a datagram that is a nonce, again until something of it is seen; and takes what comes back."""
    nonce = os.urandom(8).hex().encode()
    watch = Watch(request, socket.IPPROTO_UDP, nonce)
    os.setns(resolve(request["from"], request["init"]), os.CLONE_NEWNET)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    answer, error = None, None
    step = request["waitMs"] / 3000
    try:
        client.connect((request["address"], request["port"]))
        watch.own_port = client.getsockname()[1]
        for _ in range(3):
            client.send(nonce)
            if watch.wait(client, time.monotonic() + step):
                answer = client.recv(4096)
                break
            if watch.arrived:
                break
    except OSError as failed:
        error = os.strerror(failed.errno)
    watch.wait(None, time.monotonic() + LAST_LOOK_S)
    found = {"answered": answer is not None, "answer": (answer or b"").decode("utf-8", "replace")}
    return found | ({"error": error} if error else {}) | watch.seen()


def features(_request):
    """Kinds of links that the machine's kernel can make."""
    os.unshare(os.CLONE_NEWNET)
    tool("ip", "link", "add", "parent", "type", "veth", "peer", "name", "other")
    found = []
    for kind, options in (("ipvlan", ["link", "parent"]), ("macvlan", ["link", "parent"]),
                          ("vxlan", ["id", "1", "dstport", "4789"]), ("vlan", ["link", "parent"])):
        extra = ["id", "5"] if kind == "vlan" else []
        before, after = (options, extra) if options[0] == "link" else ([], options)
        try:
            tool("ip", "link", "add", *before, "name", "probe", "type", kind, *after)
            tool("ip", "link", "delete", "probe")
            found.append(kind)
        except Refused:
            continue
    return found


def question(name, cookie):
    """A DNS question for the IPv4 addresses of a name, with a cookie in it that nobody else can know."""
    identifier = int.from_bytes(os.urandom(2), "big")
    labels = b"".join(bytes([len(part)]) + part for part in name.encode("idna").split(b".") if part)
    # Type A, class IN; then an OPT record of 1232 bytes with one option.
    asked = labels + b"\0" + struct.pack("!2H", 1, 1)
    option = struct.pack("!2H", COOKIE, len(cookie)) + cookie
    extra = b"\0" + struct.pack("!2HIH", 41, 1232, 0, len(option)) + option
    return identifier, struct.pack("!6H", identifier, 0x0100, 1, 0, 0, 1) + asked + extra, 12 + len(asked)


def addresses_in(reply, at):
    """IPv4 addresses of an answer's records, which begin at `at`. Throws where it is no DNS."""
    found = []
    for _ in range(struct.unpack_from("!H", reply, 6)[0]):
        while reply[at] and reply[at] < 0xC0:
            at += reply[at] + 1
        at += 2 if reply[at] >= 0xC0 else 1
        kind, _, _, length = struct.unpack_from("!HHIH", reply, at)
        if kind == 1 and length == 4:
            found.append(socket.inet_ntoa(reply[at + 10:at + 14]))
        at += 10 + length
    return found


def dns(request):
    """Asks a name server for the IPv4 addresses of a name."""
    cookie = os.urandom(8)
    watch = Watch(request, socket.IPPROTO_UDP, cookie)
    os.setns(resolve(request["from"], request["init"]), os.CLONE_NEWNET)
    identifier, packet, records = question(request["name"], cookie)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    deadline = time.monotonic() + request["waitMs"] / 1000
    answer = {"answered": False, "addresses": []}
    try:
        client.connect((request["server"], 53))
        client.send(packet)
        while watch.wait(client, deadline):
            reply = client.recv(4096)
            if len(reply) < 12 or struct.unpack_from("!H", reply)[0] != identifier:
                continue
            answer = {"answered": True, "code": reply[3] & 15, "addresses": addresses_in(reply, records)}
            break
    except OSError as error:
        answer["error"] = os.strerror(error.errno)
    except (IndexError, struct.error):
        answer["error"] = "what came back is no DNS"
    watch.wait(None, time.monotonic() + LAST_LOOK_S)
    return answer | watch.seen()


def root_for(request):
    """Root of the lab host, or of a container by the lab's number of a process in it."""
    if request.get("pid") is None:
        return root_of(request["init"])
    root = open_of(process_table(request["init"]), request["pid"], "root", os.O_PATH | os.O_DIRECTORY)
    if root is None:
        raise Refused("probe-failed", f"no process {request['pid']} in this lab")
    return root


def list_folder(request):
    """Names in a folder of the lab host, or of a container, in order."""
    try:
        folder = open_in_root(root_for(request), request["path"], os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK)
    except OSError as error:
        return {"problem": error.strerror}
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            names.append(entry.name)
            if len(names) > MAX_NAMES:
                return {"problem": f"it has more than {MAX_NAMES} entries"}
    return {"names": sorted(names)}


def mounts(request):
    """What is mounted where a process is (proc_pid_mountinfo(5)), from a procfs that no student can mount over."""
    descriptor = open_of(process_table(request["init"]), request["pid"], "mountinfo")
    if descriptor is None:
        return {"problem": f"no process {request['pid']} in this lab"}
    with open(descriptor, "rb") as file:
        return {"text": file.read(request["maxBytes"]).decode("utf-8", "replace")}


def read(request):
    """A regular file of the lab host, or of a container by the pid of its process, with at most `maxBytes`."""
    try:
        held = open_in_root(root_for(request), request["path"], os.O_PATH)
    except OSError as error:
        return {"problem": error.strerror}
    about = os.fstat(held)
    if not stat.S_ISREG(about.st_mode):
        return {"problem": "it is no regular file"}
    if about.st_size > request["maxBytes"]:
        return {"problem": f"it has {about.st_size} bytes, more than {request['maxBytes']}"}
    try:
        # A lease on it would keep an opener waiting.
        with open(os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            return {"text": file.read(request["maxBytes"]).decode("utf-8", "replace")}
    except OSError as error:
        return {"problem": error.strerror}
