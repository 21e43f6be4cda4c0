"""What the kernel says of a network namespace, over netlink(7): no tool is started, and no text is parsed that a
student could have put a quote or a control character into. Everything here asks the namespace that the calling
thread is in."""

import errno
import os
import socket
import struct

NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_NETFILTER = 0, 4, 12
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
NLMSG_ERROR, NLMSG_DONE, NLM_F_DUMP_INTR = 2, 3, 0x10
RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH, RTM_GETRULE = 18, 22, 26, 30, 34
RTM_NEWNSID, RTM_GETNSID = 88, 90
SOCK_DIAG_BY_FAMILY, NFT_GETTABLE = 20, 10 << 8 | 1
AF_BRIDGE = 7
ANSWER_TIMEOUT_S = 5
# What a lab makes on purpose stays far below it.
MAX_ENTRIES = 16384

FAMILIES = {socket.AF_INET: "inet", socket.AF_INET6: "inet6"}
LINK_FLAGS = [
    "UP", "BROADCAST", "DEBUG", "LOOPBACK", "POINTOPOINT", "NOTRAILERS", "NO-CARRIER", "NOARP", "PROMISC", "ALLMULTI",
    "MASTER", "SLAVE", "MULTICAST", "PORTSEL", "AUTOMEDIA", "DYNAMIC", "LOWER_UP", "DORMANT", "ECHO",
]
UP, RUNNING, LOWER_UP = 1 << 0, 1 << 6, 1 << 16  # of RUNNING, ip(8) shows the lack
OPERATIONAL = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"]
PORT_STATES = ["disabled", "listening", "learning", "forwarding", "blocking"]
MACVLAN_MODES = {1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source"}
IPVLAN_MODES = ["l2", "l3", "l3s"]
ROUTE_TYPES = [
    "unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit",
    "throw", "nat", "xresolve",
]
RULE_ACTIONS = {1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
PROTOCOLS = {0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 9: "ra", 16: "dhcp"}
NEIGHBOUR_STATES = ["INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "NOARP", "PERMANENT"]
NEIGHBOUR_FLAGS = ["use", "self", "master", "proxy", "extern_learn", "offload", "sticky", "router"]
TABLE_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}


class TooMany(Exception):
    """A table with more entries than anybody makes on purpose."""


class Interrupted(Exception):
    """The table changed while the kernel was telling it."""


class Netlink:
    """A socket of one namespace, kept for all that is asked there."""

    def __init__(self, protocol=NETLINK_ROUTE):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.socket.settimeout(ANSWER_TIMEOUT_S)
        self.buffer = memoryview(bytearray(1 << 16))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, kind, flags, body):
        self.socket.send(struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | flags, 1, 0) + body)

    def _once(self, kind, body, visit):
        """Sends a dump request and visits each message of the answer: its payload."""
        self.send(kind, NLM_F_DUMP, body)
        count, interrupted = 0, False
        while True:
            received = self.buffer[:self.socket.recv_into(self.buffer)]
            at = 0
            while at + 16 <= len(received):
                length, message, flags = struct.unpack_from("=IHH", received, at)
                interrupted |= bool(flags & NLM_F_DUMP_INTR)
                if message in (NLMSG_DONE, NLMSG_ERROR):
                    code = struct.unpack_from("=i", received, at + 16)[0] if length >= 20 else 0
                    if code < 0:
                        raise OSError(-code, os.strerror(-code))
                    if interrupted:
                        raise Interrupted("the table changed while it was read")
                    return
                count += 1
                if count > MAX_ENTRIES:
                    raise TooMany(f"more than {MAX_ENTRIES} entries")
                visit(received[at + 16:at + length])
                at += length + 3 & ~3

    def dump(self, kind, body, decode):
        """All that `decode` makes of the messages of an answer, without `None`."""
        for attempt in range(5):
            found = []

            def visit(payload):
                entry = decode(payload)
                if entry is not None:
                    found.append(entry)

            try:
                self._once(kind, body, visit)
                return found
            except Interrupted:
                if attempt == 4:
                    raise

    def get(self, kind, body, decode):
        """What `decode` makes of the one message of an answer; `None` where there is no such thing."""
        self.send(kind, 0, body)
        received = self.buffer[:self.socket.recv_into(self.buffer)]
        length, message = struct.unpack_from("=IH", received)
        return None if message == NLMSG_ERROR else decode(received[16:length])


def attributes(payload, start):
    """Attributes of a message by their number, without the flags of nesting."""
    found, at, end = {}, start, len(payload)
    while at + 4 <= end:
        length, kind = struct.unpack_from("=HH", payload, at)
        if length < 4:
            break
        found[kind & 0x3FFF] = payload[at + 4:at + length]
        at += length + 3 & ~3
    return found


def number(value, default=None):
    """An unsigned number of 1, 2, 4 or 8 bytes, in the machine's order."""
    return default if value is None else int.from_bytes(value, "little" if LITTLE else "big")


LITTLE = struct.pack("=H", 1)[0] == 1


def text(value):
    """A name as the kernel has it; bytes that are no UTF-8 become U+FFFD."""
    return bytes(value).rstrip(b"\0").decode("utf-8", "replace")


def mac(value):
    return None if value is None or len(value) != 6 else bytes(value).hex(":")


def address(value):
    if value is None:
        return None
    if len(value) == 4:
        return socket.inet_ntop(socket.AF_INET, value)
    return socket.inet_ntop(socket.AF_INET6, value) if len(value) == 16 else None


def words(bits, names):
    return [name for index, name in enumerate(names) if bits >> index & 1]


def named(value, names):
    if isinstance(names, dict):
        return names.get(value, str(value))
    return names[value] if value < len(names) else str(value)


def links():
    """Interfaces in order of their index. `link`, `master` and `netnsid` are numbers of this namespace, whose meaning
    `facts.py` looks up."""

    def counters(values, packets, octets, dropped):
        """Of struct rtnl_link_stats64."""
        return {
            "packets": values[packets],
            "bytes": values[octets],
            "dropped": values[dropped],
        }

    def decode(payload):
        index, flags = struct.unpack_from("=iI", payload, 4)
        found = attributes(payload, 16)
        info = attributes(found[18], 0) if 18 in found else {}
        kind = text(info[1]) if 1 in info else ""
        data = attributes(info[2], 0) if 2 in info else {}
        port = attributes(info[5], 0) if 5 in info and text(info.get(4, b"")) == "bridge" else None
        families = attributes(found[26], 0) if 26 in found else {}
        inet = attributes(families[socket.AF_INET], 0) if socket.AF_INET in families else {}
        conf = struct.unpack(f"={len(inet[1]) // 4}I", inet[1]) if 1 in inet else None
        stats = struct.unpack_from("=8Q", found[23]) if 23 in found else None
        target = number(found.get(5))
        entry = {
            "index": index,
            "name": text(found[3]),
            "kind": kind,
            "flags": [flag for flag in words(flags ^ RUNNING, LINK_FLAGS) if flag != "NO-CARRIER" or flags & 1],
            "state": named(number(found.get(16), 0), OPERATIONAL),
            "mtu": number(found.get(4), 0),
            "mac": mac(found.get(1)),
            "link": target or None,
            "netnsid": number(found.get(37)),
            "master": number(found.get(10)),
            "addresses": [],
            "forwarding": conf is not None and conf[0] == 1,
            "received": counters(stats, 0, 2, 6) if stats else None,
            "sent": counters(stats, 1, 3, 7) if stats else None,
            "vxlan": None, "vlan": None, "macvlan": None, "ipvlan": None, "bridge": None, "port": None,
        }
        if kind == "vxlan":
            entry["vxlan"] = {
                "id": number(data.get(1), 0),
                "port": int.from_bytes(data[15], "big") if 15 in data else 0,
                "remote": address(data.get(2, data.get(16))),
                "local": address(data.get(4, data.get(17))),
                "device": number(data.get(3)),
                "learning": number(data.get(7), 0) == 1,
                "external": number(data.get(25), 0) == 1,
            }
        elif kind == "vlan":
            entry["vlan"] = {"id": number(data.get(1), 0)}
        elif kind == "macvlan":
            entry["macvlan"] = {"mode": named(number(data.get(1), 0), MACVLAN_MODES)}
        elif kind == "ipvlan":
            entry["ipvlan"] = {"mode": named(number(data.get(1), 0), IPVLAN_MODES)}
        elif kind == "bridge":
            entry["bridge"] = {
                "stp": number(data.get(5), 0) != 0,
                "vlanFiltering": number(data.get(7), 0) == 1,
                "ageingSeconds": number(data.get(4), 0) / 100,
            }
        if port is not None:
            entry["port"] = {
                "state": named(number(port.get(1), 0), PORT_STATES),
                "isolated": number(port.get(33), 0) == 1,
                "hairpin": number(port.get(4), 0) == 1,
                "learning": number(port.get(8), 0) == 1,
            }
        return entry

    def is_late(payload):
        """Whether a link that is up has another carrier than its state says: the kernel works that out up to a second
        later, and at once for whoever asks for the one link. https://docs.kernel.org/networking/operstates.html"""
        flags, = struct.unpack_from("=I", payload, 8)
        return bool(flags & UP and bool(flags & RUNNING) != bool(flags & LOWER_UP))

    with Netlink() as netlink:
        # ifinfomsg
        found = netlink.dump(RTM_GETLINK, bytes(16), lambda payload: (decode(payload), is_late(payload)))
        links = []
        for entry, late in found:
            if late:
                # Gone meanwhile: as it was.
                entry = netlink.get(RTM_GETLINK, struct.pack("=BxHiII", 0, 0, entry["index"], 0, 0), decode) or entry
            links.append(entry)
        return links


def addresses():
    """(index of the interface, address) for each one."""

    def decode(payload):
        family, prefix, _, scope, index = struct.unpack_from("=4BI", payload)
        if family not in FAMILIES:
            return None
        found = attributes(payload, 8)
        local = found.get(2, found.get(1))
        peer = found.get(1)
        return index, {
            "family": FAMILIES[family],
            "address": address(local),
            "prefix": prefix,
            "peer": address(peer) if peer is not None and peer != local else None,
            "broadcast": address(found.get(4)),
            "scope": named(scope, SCOPES),
        }

    with Netlink() as netlink:
        # ifaddrmsg
        return netlink.dump(RTM_GETADDR, bytes(8), decode)


def routes(names):
    """Routes of all tables; `names` are those of the interfaces by their index."""

    def hop(found, interface, weight):
        gateway = address(found.get(5))
        if gateway is None and 18 in found:
            gateway = address(found[18][2:])  # rtvia: the family comes first
        return {"gateway": gateway, "interface": names.get(interface), "weight": weight}

    def decode(payload):
        family, bits, source_bits, _, table, protocol, scope, kind, flags = struct.unpack_from("=8BI", payload)
        if family not in FAMILIES or flags & 0x200:  # RTM_F_CLONED: what the kernel has cached
            return None
        found = attributes(payload, 12)
        hops = []
        if 9 in found:
            at = 0
            while at + 8 <= len(found[9]):
                length, _, weight, interface = struct.unpack_from("=HBBi", found[9], at)
                hops.append(hop(attributes(found[9][at:at + max(length, 8)], 8), interface, weight + 1))
                at += max(length, 8) + 3 & ~3
        elif 4 in found or 5 in found:
            hops.append(hop(found, number(found.get(4)), 1))
        return {
            "family": FAMILIES[family],
            "table": number(found.get(15), table),
            "type": named(kind, ROUTE_TYPES),
            "destination": "default" if 1 not in found else f"{address(found[1])}/{bits}",
            "from": None if 2 not in found else f"{address(found[2])}/{source_bits}",
            "source": address(found.get(7)),
            "metric": number(found.get(6)),
            "protocol": named(protocol, PROTOCOLS),
            "scope": named(scope, SCOPES),
            "hops": hops,
        }

    with Netlink() as netlink:
        # rtmsg
        return netlink.dump(RTM_GETROUTE, bytes(12), decode)


def rules():
    """Rules that choose a table of routes, in order."""

    def decode(payload):
        family, to_bits, from_bits, _, table, _, _, action, flags = struct.unpack_from("=8BI", payload)
        if family not in FAMILIES:
            return None
        found = attributes(payload, 12)
        return {
            "family": FAMILIES[family],
            "priority": number(found.get(6), 0),
            "not": bool(flags & 2),
            "from": None if 2 not in found else f"{address(found[2])}/{from_bits}",
            "to": None if 1 not in found else f"{address(found[1])}/{to_bits}",
            "incoming": text(found[3]) if 3 in found else None,
            "outgoing": text(found[17]) if 17 in found else None,
            "mark": number(found.get(10)),
            "action": named(action, RULE_ACTIONS),
            "table": number(found.get(15), table),
        }

    with Netlink() as netlink:
        # fib_rule_hdr
        return netlink.dump(RTM_GETRULE, bytes(12), decode)


def neighbours(names):
    """What is known of MAC addresses by IP address."""

    def decode(payload):
        family, index, state, flags = struct.unpack_from("=B3xiHB", payload)
        # Of interfaces without ARP, such as loopback, the kernel keeps entries that tell nothing.
        if family not in FAMILIES or state == 0x40:
            return None
        found = attributes(payload, 12)
        return {
            "family": FAMILIES[family],
            "address": address(found.get(1)),
            "mac": mac(found.get(2)),
            "interface": names.get(index),
            "states": words(state, NEIGHBOUR_STATES),
            "proxy": bool(flags & 8),
        }

    with Netlink() as netlink:
        # ndmsg
        return netlink.dump(RTM_GETNEIGH, bytes(12), decode)


def forwarding_database(names):
    """Which MAC address lies behind which port of a bridge, or which VTEP of a vxlan interface."""

    def decode(payload):
        family, index, state, flags = struct.unpack_from("=B3xiHB", payload)
        if family != AF_BRIDGE:
            return None
        found = attributes(payload, 12)
        return {
            "mac": mac(found.get(2)),
            "interface": names.get(index),
            "bridge": names.get(number(found.get(9))),
            "remote": address(found.get(1)),
            "vlan": number(found.get(5)),
            "states": words(state, NEIGHBOUR_STATES),
            "flags": words(flags, NEIGHBOUR_FLAGS),
        }

    with Netlink() as netlink:
        return netlink.dump(RTM_GETNEIGH, struct.pack("=B11x", AF_BRIDGE), decode)


def sockets():
    """What listens: TCP sockets in LISTEN, UDP sockets that are bound and not connected (sock_diag(7))."""
    found = []
    with Netlink(NETLINK_SOCK_DIAG) as netlink:
        for protocol, name, state in ((socket.IPPROTO_TCP, "tcp", 10), (socket.IPPROTO_UDP, "udp", 7)):
            for family in FAMILIES:

                def decode(payload, family=family, name=name):
                    found_family = payload[0]
                    if found_family not in FAMILIES:
                        return None
                    port = struct.unpack_from("!H", payload, 4)[0]
                    device, user = struct.unpack_from("=I", payload, 40)[0], struct.unpack_from("=I", payload, 64)[0]
                    extra = attributes(payload, 72)
                    width = 4 if found_family == socket.AF_INET else 16
                    return {
                        "protocol": name,
                        "family": FAMILIES[found_family],
                        "address": address(payload[8:8 + width]),
                        "port": port,
                        "interface": device,
                        "onlyIpv6": number(extra.get(11), 0) == 1,
                        "uid": user,
                    }

                # inet_diag_req_v2
                request = struct.pack("=BBBxI48x", family, protocol, 0, 1 << state)
                found += netlink.dump(SOCK_DIAG_BY_FAMILY, request, decode)
    return found


def filter_tables():
    """Families and names of the nf_tables tables."""

    def decode(payload):
        found = attributes(payload, 4)
        return TABLE_FAMILIES.get(payload[0], str(payload[0])), text(found.get(1, b""))

    with Netlink(NETLINK_NETFILTER) as netlink:
        try:
            return netlink.dump(NFT_GETTABLE, bytes(4), decode)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):  # a kernel without nf_tables
                return []
            raise


def ids_here(wanted, descriptors):
    """Inodes of the namespaces that the current one calls by these ids, as far as they are among the descriptors
    (RTM_GETNSID). What `link_netnsid` of a link refers to."""
    known, missing = {}, set(wanted)
    if not missing:
        return known
    with Netlink() as netlink:
        for descriptor in descriptors:
            # rtgenmsg with padding, NETNSA_FD
            netlink.send(RTM_GETNSID, 0, struct.pack("=B3xHHI", 0, 8, 3, descriptor))
            reply = netlink.buffer[:netlink.socket.recv_into(netlink.buffer)]
            if struct.unpack_from("=H", reply, 4)[0] != RTM_NEWNSID:
                continue
            found = attributes(reply, 20).get(1)
            identifier = -1 if found is None else struct.unpack("=i", found)[0]
            if identifier in missing:
                known[identifier] = os.fstat(descriptor).st_ino
                missing.discard(identifier)
                if not missing:
                    break
    return known
