"""Connections, questions to name servers, and files, each from where a student's program would look."""

import os
import select
import socket
import stat
import struct
import time

from kernel import Refused, open_in_root, tool
from namespaces import resolve, root_of
from pings import ETH_P_ALL, PACKET_OUTGOING
from processes import open_of, process_table

MAX_ANSWER = 16 << 10


def tcp(request):
    """Connects, sends an HTTP request that carries a nonce, and looks whether the nonce arrives in the target's
    own namespace."""
    init = request["init"]
    source = resolve(request["from"], init)
    nonce = os.urandom(8).hex()
    watch = None
    if "target" in request:
        os.setns(resolve(request["target"], request.get("targetInit", init)), os.CLONE_NEWNET)
        watch = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        watch.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        watch.setblocking(False)
    os.setns(source, os.CLONE_NEWNET)
    address, port = request["address"], request["port"]
    deadline = time.monotonic() + request["waitMs"] / 1000
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.settimeout(request["waitMs"] / 1000)
    connection.bind(("", 0))
    own_port = connection.getsockname()[1]
    answer = {"connected": False, "arrived": False, "from": None, "reachedPort": None, "answer": ""}

    def look():
        """What of this connection has come into the target's namespace so far."""
        while watch:
            try:
                packet, origin = watch.recvfrom(65536)
            except BlockingIOError:
                return
            header = (packet[0] & 15) * 4
            if origin[2] == PACKET_OUTGOING or packet[9] != socket.IPPROTO_TCP or len(packet) < header + 4:
                continue
            source, destination = struct.unpack_from("!HH", packet, header)
            if source == own_port:
                answer["reachedPort"] = destination
            if nonce.encode() in packet:
                answer["arrived"], answer["from"] = True, socket.inet_ntoa(packet[12:16])

    try:
        connection.connect((address, port))
    except TimeoutError:
        look()
        return answer | {"error": "timeout"}
    except OSError as error:
        time.sleep(0.02)
        look()
        return answer | {"error": os.strerror(error.errno) if error.errno else str(error)}
    answer["connected"] = True
    host = f"{address}:{port}"
    connection.sendall(f"GET /?{nonce} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    received = b""
    ends = [end for end in (connection, watch) if end]
    while time.monotonic() < deadline and ends:
        ready = select.select(ends, [], [], max(0, deadline - time.monotonic()))[0]
        if not ready:
            break
        look()
        if connection in ready:
            try:
                data = connection.recv(4096)
            except OSError:
                data = b""
            received += data
            if not data or len(received) > MAX_ANSWER:
                ends.remove(connection)
                deadline = min(deadline, time.monotonic() + 0.05)
    return answer | {"answer": received[:MAX_ANSWER].decode("utf-8", "replace")}


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


def dns(request):
    """Asks a name server for the IPv4 addresses of a name."""
    os.setns(resolve(request["from"], request["init"]), os.CLONE_NEWNET)
    identifier = int.from_bytes(os.urandom(2), "big")
    labels = b"".join(bytes([len(part)]) + part for part in request["name"].encode("idna").split(b"."))
    question = struct.pack("!6H", identifier, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(request["waitMs"] / 1000)
    try:
        client.connect((request["server"], 53))
        client.send(question)
        reply = client.recv(4096)
    except TimeoutError:
        return {"answered": False, "addresses": []}
    except OSError as error:
        return {"answered": False, "addresses": [], "error": os.strerror(error.errno)}
    if len(reply) < 12 or struct.unpack("!H", reply[:2])[0] != identifier:
        return {"answered": False, "addresses": []}
    code, count = reply[3] & 15, struct.unpack("!H", reply[6:8])[0]
    at, addresses = len(question), []
    for _ in range(count):
        while reply[at] and reply[at] < 0xC0:
            at += reply[at] + 1
        at += 2 if reply[at] >= 0xC0 else 1
        kind, _, _, length = struct.unpack_from("!HHIH", reply, at)
        if kind == 1:
            addresses.append(socket.inet_ntoa(reply[at + 10:at + 14]))
        at += 10 + length
    return {"answered": True, "code": code, "addresses": addresses}


def read(request):
    """A regular file of the lab host, or of a container by the pid of its process, with at most `maxBytes`."""
    root = root_of(request["init"])
    if request.get("pid") is not None:
        root = open_of(process_table(request["init"]), request["pid"], "root", os.O_PATH | os.O_DIRECTORY)
        if root is None:
            raise Refused("probe-failed", f"no process {request['pid']} in this lab")
    try:
        held = open_in_root(root, request["path"], os.O_PATH)
    except OSError as error:
        return {"problem": error.strerror}
    about = os.fstat(held)
    if not stat.S_ISREG(about.st_mode):
        return {"problem": "it is no regular file"}
    if about.st_size > request["maxBytes"]:
        return {"problem": f"it has {about.st_size} bytes, more than {request['maxBytes']}"}
    with open(f"/proc/self/fd/{held}", "rb") as file:
        return {"text": file.read(request["maxBytes"]).decode("utf-8", "replace")}
