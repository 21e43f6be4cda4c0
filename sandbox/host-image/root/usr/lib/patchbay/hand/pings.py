"""Echo requests with a nonce, sent in one network namespace and watched in another one."""

import ctypes
import errno
import math
import os
import select
import socket
import struct
import time

from namespaces import resolve

PACKET_OUTGOING = 4  # packet(7)
ETH_P_ALL = 3
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33  # socket(7)
VXLAN_PORT = 4789
UNDERLAY_WAIT_S = 0.2


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


def vxlan_of(packet, nonce):
    """(VNI, sequence) of a VXLAN packet that carries an echo request with the nonce."""
    header = (packet[0] & 15) * 4
    if len(packet) < header + 50 or packet[9] != socket.IPPROTO_UDP:
        return None
    at = packet.find(nonce)
    if struct.unpack_from("!H", packet, header + 2)[0] != VXLAN_PORT or at < header + 50:
        return None
    # UDP, VXLAN, Ethernet, IPv4 and at its end the type of the ICMP message.
    inner = header + 8 + 8 + 14
    if packet[inner + (packet[inner] & 15) * 4] != 8:
        return None
    vni = int.from_bytes(packet[header + 12:header + 15])
    return vni, struct.unpack_from("!H", packet, at + len(nonce))[0]


UNREACHABLE = {
    0: "Destination Net Unreachable",
    1: "Destination Host Unreachable",
    9: "Destination Net Prohibited",
    10: "Destination Host Prohibited",
    13: "Packet filtered",
}


def packet_watch(outgoing=False):
    """A socket that sees the packets that come into the namespace, or those that leave it, with room for what a flood
    would push out of it. A filter sorts them: with the sender's address, which tells it too, Python wants the name of
    an interface in UTF-8, and a student's may be in none."""
    watch = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    kept, dropped = (0xFFFF, 0) if outgoing else (0, 0xFFFF)
    # BPF: load the packet's type; where it is outgoing return the one, else the other.
    program = struct.pack("=HBBI", 0x20, 0, 0, 0xFFFFF004) + struct.pack("=HBBI", 0x15, 0, 1, PACKET_OUTGOING)
    program += struct.pack("=HBBI", 0x06, 0, 0, kept) + struct.pack("=HBBI", 0x06, 0, 0, dropped)
    held = ctypes.create_string_buffer(program)
    watch.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", 4, ctypes.addressof(held)))
    watch.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
    return watch


def ping(request):
    init = request["init"]
    source = resolve(request["from"], init)
    target = resolve(request["target"], request.get("targetInit", init))
    address, count = request["address"], request["count"]
    interval, last_wait = request["intervalMs"] / 1000, request["lastReplyWaitMs"] / 1000

    underlay = None
    if "underlay" in request:
        os.setns(resolve(request["underlay"], init), os.CLONE_NEWNET)
        underlay = packet_watch()
    os.setns(target, os.CLONE_NEWNET)
    watch, leaving = packet_watch(), packet_watch(outgoing=True)
    os.setns(source, os.CLONE_NEWNET)
    sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)

    nonce, identifier = os.urandom(16), int.from_bytes(os.urandom(2), "big")
    sent_at, arrived, answered, round_trips, errors = {}, set(), set(), {}, []
    sources, carriers = set(), {}
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
        # Each socket has a queue of its own: what the underlay carried may still wait in its.
        if everything and underlay and max(map(len, carriers.values()), default=0) < count:
            deadline = min(deadline or math.inf, now + UNDERLAY_WAIT_S)
            everything = now >= deadline
        if everything or (deadline is not None and now >= deadline):
            break
        until = next_send if deadline is None else deadline
        ends = [watch, leaving, sender, *([underlay] if underlay else [])]
        ready, _, _ = select.select(ends, [], [], max(0, until - time.monotonic()))
        if watch in ready:
            seen = read_icmp(watch.recv(2048), nonce)
            if seen and seen[0] == 8 and seen[3] == address and seen[4] is not None:
                arrived.add(seen[4])
                sources.add(seen[2])
        if leaving in ready:
            seen = read_icmp(leaving.recv(2048), nonce)
            if seen and seen[0] == 0 and seen[2] == address and seen[4] is not None:
                answered.add(seen[4])
        if underlay in ready:
            tunnel = vxlan_of(underlay.recv(2048), nonce)
            if tunnel:
                carriers.setdefault(tunnel[0], set()).add(tunnel[1])
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
        "sources": sorted(sources),
        "vxlan": {str(vni): len(sequences) for vni, sequences in carriers.items()},
        "icmpErrors": sorted(set(errors)),
        "roundTripsMs": [round(round_trips[s], 3) for s in sorted(round_trips)],
    }
    return answer | ({"sendError": send_error} if send_error else {})

