"""What the kernel says of a lab host's network namespaces."""

import os

from kernel import ip_json, tool
from namespaces import ids_here, named
from processes import outer_pids


def snmp():
    counters = {}
    with open("/proc/thread-self/net/snmp") as table:
        rows = [line.split() for line in table]
    for names, values in zip(rows[::2], rows[1::2]):
        counters[names[0].rstrip(":")] = dict(zip(names[1:], map(int, values[1:])))
    return counters


def namespace_here(others):
    with open("/proc/sys/net/ipv4/ip_forward") as switch:
        forward = switch.read().strip() == "1"
    return {
        "inode": os.stat("/proc/thread-self/ns/net").st_ino,
        "links": ip_json("-d", "link"),
        "addresses": ip_json("addr"),
        "routes": ip_json("route", "show", "table", "all"),
        "rules": ip_json("rule"),
        "neighbours": ip_json("neigh"),
        "peers": ids_here(others),
        "snmp": snmp(),
        "ipForward": forward,
    }


def snapshot(request):
    init = request["init"]
    wanted = set(request["pids"])
    outer = outer_pids(init, wanted) if wanted else {}
    names = named(init)
    opened = {pid: os.open(f"/proc/{outer[pid]}/ns/net", os.O_RDONLY) for pid in wanted & outer.keys()}
    own = os.open(f"/proc/{init}/ns/net", os.O_RDONLY)
    everyone = [own, *opened.values(), *(each for each in names.values() if each is not None)]

    def look(descriptor):
        if descriptor is None:
            return None
        os.setns(descriptor, os.CLONE_NEWNET)
        return namespace_here(everyone)

    host = look(own)
    host["iptablesSave"] = tool("iptables-nft-save")
    with open("/proc/thread-self/net/ip_tables_names") if os.path.exists(
        "/proc/thread-self/net/ip_tables_names"
    ) else open(os.devnull) as legacy:
        host["iptablesLegacySave"] = tool("iptables-legacy-save") if legacy.read().strip() else ""
    return {
        "host": host,
        "byPid": {str(pid): look(opened.get(pid)) for pid in wanted},
        "byName": {name: look(descriptor) for name, descriptor in names.items()},
    }
