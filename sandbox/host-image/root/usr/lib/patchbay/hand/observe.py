"""What the kernel says of a lab host's network namespaces."""

import os

from kernel import ip_json, tool
from processes import enter_net, outer_pids


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

