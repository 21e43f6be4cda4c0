"""The wires of a lab: its networks are bridges in a network namespace that the sidecar holds for this lab
alone. No lab shares a link with another one, nor with the machine. Nothing is forwarded out of it; the
gateway itself answers for the world outside."""

import os
import signal
import subprocess

from kernel import ip_batch, ip_json, tool
from processes import enter_net, enter_net_of

# What lessons ping, by the names that they have in the world.
WORLD = {"8.8.8.8": "dns.google", "1.1.1.1": "one.one.one.one"}
NAMES = "/run/patchbay/names"
UNPRIVILEGED = [
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
    "--inh-caps=-all", "--bounding-set=-all",
]


def held():
    return {entry["name"] for entry in ip_json("netns", "list")}


def address_of(interface):
    return interface["address"].partition("/")[0]


def lay(key, networks):
    """The lab's own network namespace with a bridge for each of its networks."""
    if key in held():
        return
    tool("ip", "netns", "add", key)
    commands = ["link set lo up", *(f"addr add {address}/32 dev lo" for address in WORLD)]
    for network in networks:
        name, mtu = network["name"], network["mtu"]
        # A lab could teach the bridge addresses without end.
        commands += [
            f"link add {name} mtu {mtu} type bridge mcast_snooping 0 fdb_max_learned 4096",
            f"link set {name} up",
            f"addr add {network['gateway']} dev {name}",
        ]
    ip_batch(commands, "-n", key)


def answer_names(key, networks, machines):
    """A DNS server for the lab, without rights, that knows the lab's machines and the little world."""
    os.makedirs(NAMES, exist_ok=True)
    written = f"{NAMES}/{key}"
    if os.path.exists(written):
        with open(written) as file:
            if os.path.exists(f"/proc/{file.read()}"):
                return
    records = {name: address for address, name in WORLD.items()}
    for machine in machines:
        records[machine["name"]] = address_of(machine["interfaces"][0])
    enter_net_of(f"/run/netns/{key}")
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w") as switch:
        switch.write("0")
    listening = [network["gateway"].partition("/")[0] for network in networks] + list(WORLD)
    server = subprocess.Popen(
        [
            *UNPRIVILEGED, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts",
            "--no-resolv", "--pid-file", "--bind-interfaces", "--cache-size=0", "--local-ttl=60",
            "--address=/#/", f"--listen-address={','.join(listening)}",
            *(f"--host-record={name},{address}" for name, address in records.items()),
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with open(written, "w") as file:
        file.write(str(server.pid))


def plug(key, machine, init):
    """Gives a machine of the lab its interfaces: eth0, eth1 … in the order in which it lists them."""
    enter_net(init)
    present = {entry["ifname"] for entry in ip_json("link")}
    missing = [
        (f"eth{index}", interface)
        for index, interface in enumerate(machine["interfaces"])
        if f"eth{index}" not in present
    ]
    if not missing:
        return
    enter_net_of(f"/run/netns/{key}")
    for name, interface in missing:
        port = f"{machine['name']}-{name}"
        parts = address_of(interface).split(".")
        mac = "02:42:" + ":".join(f"{int(part):02x}" for part in parts)
        ip_batch([
            f"link add {port} mtu {interface['mtu']} type veth"
            f" peer name {name} address {mac} mtu {interface['mtu']} netns {init}",
            f"link set {port} master {interface['network']} up",
        ])
    enter_net(init)
    ip_batch([
        "link set lo up",
        *(f"addr add {interface['address']} dev {name}" for name, interface in missing),
        *(f"link set {name} up" for name, _ in missing),
        *(
            f"route replace default via {interface['gateway'].partition('/')[0]}"
            for name, interface in missing if name == "eth0"
        ),
    ])


def unlink(request):
    """Takes the wires of a lab away. Idempotent."""
    key = request["key"]
    written = f"{NAMES}/{key}"
    if os.path.exists(written):
        with open(written) as file:
            try:
                os.kill(int(file.read()), signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.unlink(written)
    if key in held():
        tool("ip", "netns", "delete", key)
    return {}
