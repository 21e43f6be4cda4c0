"""The wires of a lab: its networks are bridges in a network namespace that the sidecar holds for this lab
alone. No lab shares a link with another one, nor with the machine. Nothing is forwarded out of it, and the
gateway itself answers for the world outside, unless the operator gives labs a way out."""

import glob
import os
import signal
import subprocess
import time

from kernel import ip_batch, ip_json, tool
from processes import enter_machine_net, enter_net, enter_net_of, in_child

# What lessons ping, by the names that they have in the world.
WORLD = {"8.8.8.8": "dns.google", "1.1.1.1": "one.one.one.one"}
SERVERS = "/run/patchbay/servers"
UNPRIVILEGED = [
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
    "--inh-caps=-all", "--bounding-set=-all",
]


def held():
    return {entry["name"] for entry in ip_json("netns", "list")}


def address_of(interface):
    return interface["address"].partition("/")[0]


def start(key, role, argv):
    """Starts a server of a lab and writes its pid down, by which `unlink` ends it."""
    server = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.makedirs(SERVERS, exist_ok=True)
    with open(f"{SERVERS}/{key}.{role}", "w") as file:
        file.write(str(server.pid))


def runs(key, role):
    try:
        with open(f"{SERVERS}/{key}.{role}") as file:
            return os.path.exists(f"/proc/{file.read()}")
    except FileNotFoundError:
        return False


def lay(key, networks, egress):
    """The lab's own network namespace with a bridge for each of its networks."""
    if key in held():
        return
    tool("ip", "netns", "add", key)
    commands = ["link set lo up"]
    if egress == "none":
        commands += [f"addr add {address}/32 dev lo" for address in WORLD]
    for network in networks:
        name, mtu = network["name"], network["mtu"]
        # A lab could teach the bridge addresses without end.
        commands += [
            f"link add {name} mtu {mtu} type bridge mcast_snooping 0 fdb_max_learned 4096",
            f"link set {name} up",
            f"addr add {network['gateway']} dev {name}",
        ]
    ip_batch(commands, "-n", key)


# Never the machine, other labs, private networks, or a cloud's metadata.
CLOSED = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
]
UPLINK, UPLINK_GATEWAY, RESOLVER = "10.78.0.2", "10.78.0.1", "10.78.0.3"


def machine_addresses():
    """The machine's own IPv4 addresses. Ends in its network namespace."""
    enter_machine_net()
    return [
        address["local"]
        for link in ip_json("-4", "addr")
        for address in link["addr_info"]
        if not address["local"].startswith("127.")
    ]


def close_ways(key):
    """Writes the rules of a lab with a way out, by the addresses that the machine has now."""
    own = machine_addresses()
    enter_net_of(f"/run/netns/{key}")
    rules = f"""
        table ip patchbay
        delete table ip patchbay
        table ip patchbay {{
            set closed {{ type ipv4_addr; flags interval; auto-merge; elements = {{ {", ".join(CLOSED + own)} }} }}
            chain forward {{
                type filter hook forward priority 0; policy drop;
                iifname "uplink" ct state established,related accept
                oifname "uplink" ip daddr @closed reject with icmp type admin-prohibited
                oifname "uplink" accept
            }}
            chain output {{
                type filter hook output priority 0;
                oifname "uplink" ip daddr != {RESOLVER} drop
            }}
            chain postrouting {{
                type nat hook postrouting priority 100;
                oifname "uplink" masquerade
            }}
        }}"""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, capture_output=True)


def open_world(key):
    """A way out: pasta carries the lab's connections as the machine's own, after the rules have let them by."""
    if runs(key, "uplink"):
        return

    def tunnel():
        os.makedirs("/dev/net", exist_ok=True)
        if not os.path.exists("/dev/net/tun"):
            os.symlink("/machine-dev/net/tun", "/dev/net/tun")
        enter_machine_net()
        # It keeps one right, to be in the lab's namespace, and shuts itself into an empty root.
        start(key, "uplink", [
            "pasta", "--foreground", "--quiet", "--runas", "0", "--ipv4-only", "--config-net",
            "--netns", f"/run/netns/{key}", "--netns-only", "--no-netns-quit", "--ns-ifname", "uplink",
            "--address", UPLINK, "--netmask", "255.255.255.0", "--gateway", UPLINK_GATEWAY,
            "--dns-forward", RESOLVER, "--no-map-gw",
            "--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none",
        ])

    def route():
        close_ways(key)
        with open("/proc/sys/net/ipv4/ip_forward", "w") as switch:
            switch.write("1")

    in_child(lambda: close_ways(key))
    in_child(tunnel)
    for _ in range(150):
        if any(entry["ifname"] == "uplink" for entry in ip_json("-n", key, "link")):
            return in_child(route)
        time.sleep(0.02)
    raise OSError("the lab's way out did not open")


def answer_names(key, networks, machines, egress):
    """A DNS server for the lab, without rights, that knows the lab's machines and the little world."""
    if runs(key, "names"):
        return
    records = {name: address for address, name in WORLD.items()} if egress == "none" else {}
    for machine in machines:
        records[machine["name"]] = address_of(machine["interfaces"][0])
    enter_net_of(f"/run/netns/{key}")
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w") as switch:
        switch.write("0")
    listening = [network["gateway"].partition("/")[0] for network in networks]
    if egress == "none":
        listening += WORLD
    start(key, "names", [
        *UNPRIVILEGED, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts",
        "--no-resolv", "--pid-file", "--bind-interfaces", "--cache-size=0", "--local-ttl=60",
        "--address=/#/" if egress == "none" else f"--server={RESOLVER}",
        f"--listen-address={','.join(listening)}",
        *(f"--host-record={name},{address}" for name, address in records.items()),
    ])


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
    for written in glob.glob(f"{SERVERS}/{key}.*"):
        with open(written) as file:
            try:
                os.kill(int(file.read()), signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.unlink(written)
    if key in held():
        tool("ip", "netns", "delete", key)
    return {}
