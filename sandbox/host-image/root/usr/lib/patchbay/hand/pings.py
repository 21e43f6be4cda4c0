"""Echo requests with a nonce, sent in one network namespace and watched in another one."""

import errno
import os
import select
import socket
import struct
import time

from namespaces import resolve

PACKET_OUTGOING = 4  # packet(7)
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33  # socket(7)
VXLAN_PORT = 4789


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


def packet_watch():
    """A socket that sees every packet of the namespace, with room for what a flood would push out of it."""
    watch = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
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
    watch = packet_watch()
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
        if everything or (deadline is not None and now >= deadline):
            break
        until = next_send if deadline is None else deadline
        ends = [watch, sender, *([underlay] if underlay else [])]
        ready, _, _ = select.select(ends, [], [], max(0, until - time.monotonic()))
        if watch in ready:
            packet, origin = watch.recvfrom(2048)
            seen = read_icmp(packet, nonce)
            if seen and seen[4] is not None:
                kind, _, source, destination, sequence = seen
                if kind == 8 and origin[2] != PACKET_OUTGOING and destination == address:
                    arrived.add(sequence)
                    sources.add(source)
                if kind == 0 and origin[2] == PACKET_OUTGOING and source == address:
                    answered.add(sequence)
        if underlay in ready:
            packet, origin = underlay.recvfrom(2048)
            tunnel = vxlan_of(packet, nonce) if origin[2] != PACKET_OUTGOING else None
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

