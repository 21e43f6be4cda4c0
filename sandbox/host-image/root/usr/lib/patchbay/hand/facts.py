"""One picture of a lab host: every network namespace of it as the kernel has it, and what its engine says, in one
pass. Each part has a time limit and a size limit of its own; what could not be had is told with the reason, and
keeps nothing else from being told. What the fields mean: sandbox/facts/schema.ts."""

import os
import resource
import subprocess
import threading
import time

import engine_api
import netlink
from kernel import Refused, open_in_root
from namespaces import NAMED, open_named, open_path, root_of
from processes import open_of, open_of_host, process_table

# More than a lab may have: see `PER_LAB` in limits.py. Where the engine gives no user namespace, nothing limits them.
MAX_NAMESPACES = 512
MAX_NAMES = 1024
MAX_TOLD = 8
MAX_RULES_BYTES = 8 << 20
TOOL_TIMEOUT_S = 5
TOOLS_AT_ONCE = 4
SYSCTLS = [
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.all.route_localnet",
    "net.ipv4.conf.all.proxy_arp",
    "net.ipv4.icmp_echo_ignore_all",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.all.forwarding",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_max",
]


class Missing(list):
    """What could not be had: source, stable code, and why in words."""

    def note(self, source, error):
        if isinstance(error, Refused):
            self.append({"source": source, "code": error.code, "why": str(error)})
        elif isinstance(error, netlink.TooMany):
            self.append({"source": source, "code": "probe-failed", "why": str(error)})
        elif isinstance(error, TimeoutError):
            self.append({"source": source, "code": "probe-timeout", "why": "the kernel did not answer in time"})
        else:
            self.append({"source": source, "code": "probe-failed", "why": f"{type(error).__name__}: {error}"})

    def attempt(self, source, work, *arguments):
        """The result of `work`; `None`, and a note, where it fails."""
        try:
            return work(*arguments)
        except Exception as error:  # told with the facts
            self.note(source, error)
            return None


class Found:
    """A network namespace and where it was met."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.processes, self.paths = [], []
        self.looked_at = False


class Namespaces:
    """The network namespaces of a lab host by their inodes, each held open."""

    def __init__(self, init):
        self.init = init
        self.found = {}
        self.full = False
        self.table = process_table(init)
        self.root = root_of(init)
        self.own = self.add(open_of_host(init, "ns/net"))

    def add(self, descriptor):
        """Keeps a namespace under its inode, which is returned; a descriptor of a known one is closed."""
        inode = os.fstat(descriptor).st_ino
        if inode in self.found:
            os.close(descriptor)
        elif len(self.found) >= MAX_NAMESPACES:
            os.close(descriptor)
            self.full = True
        else:
            self.found[inode] = Found(descriptor)
        return inode

    def of_process(self, pid):
        """The inode of what a process of the lab is in, by the lab's number; `None` where there is no such process."""
        try:
            # net:[4026531840]
            inode = int(os.readlink(f"{pid}/ns/net", dir_fd=self.table)[5:-1])
            if inode not in self.found:
                self.add(os.open(f"{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.table))
        except (OSError, ValueError):
            return None
        return inode

    def of_container(self, identifier, pid):
        """The inode of what a container's process is in; `None` where the kernel knows none of that number in a control
        group that the engine makes for it: so a number alone makes no process a container's."""
        descriptor = open_of(self.table, pid, "cgroup")
        if descriptor is None:
            return None
        with open(descriptor) as groups:
            return self.of_process(pid) if identifier in groups.read() else None

    def of_processes(self):
        for name in os.listdir(self.table):
            inode = self.of_process(name) if name.isdigit() else None
            if inode in self.found and len(self.found[inode].processes) < MAX_TOLD:
                self.found[inode].processes.append(int(name))

    def of_names(self):
        """What `ip netns list` shows, in order: the name, and the inode or `None`. Throws where there are too many."""
        try:
            folder = open_in_root(self.root, NAMED, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return []
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) > MAX_NAMES:
                    raise Refused("probe-failed", f"{NAMED} has more than {MAX_NAMES} entries")
        os.close(folder)
        named = []
        for name in sorted(names):
            try:
                descriptor = open_named(self.init, self.root, name)
            except OSError:
                descriptor = None
            named.append({"name": name, "namespace": None if descriptor is None else self.add(descriptor)})
        return named

    def of_mounts(self):
        """Namespaces that nothing but a mount keeps, such as those of overlay networks."""
        with open(open_of_host(self.init, "mountinfo"), errors="surrogateescape") as mounts:
            for line in mounts:
                if " - nsfs " not in line:
                    continue
                fields = line.split(" ")
                inode, path = fields[3], fields[4].encode(errors="surrogateescape")
                if not inode.startswith("net:["):
                    continue
                inode, path = int(inode[5:-1]), path.decode("unicode_escape", "replace")
                if inode not in self.found:
                    try:
                        descriptor = open_path(self.root, path)
                    except OSError:  # gone meanwhile, or something is mounted over it
                        continue
                    if descriptor is None:
                        continue
                    inode = self.add(descriptor)
                if inode in self.found and len(self.found[inode].paths) < MAX_TOLD:
                    self.found[inode].paths.append(path)

    def look_at_new(self, tools):
        """What the kernel says of those that nobody has looked at yet."""
        # The host's first: most links lead there.
        everyone = [each.descriptor for each in self.found.values()]
        new = {inode: each for inode, each in self.found.items() if not each.looked_at}
        for each in new.values():
            each.looked_at = True
        return [look(inode, each, everyone, tools, inode == self.own) for inode, each in new.items()]


class Tools:
    """Runs of trusted tools, a few at a time, each in the network namespace that its starter is in."""

    def __init__(self):
        self.running = []

    def start(self, argv, take):
        """`take` gets what the tool printed, or an error."""
        while len(self.running) >= TOOLS_AT_ONCE:
            self.finish_one()
        # A file, since a pipe that nobody reads would stop the tool.
        output = os.memfd_create(argv[0], os.MFD_CLOEXEC)
        errors = os.memfd_create("errors", os.MFD_CLOEXEC)
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
        # What it prints is memory; one byte more than is taken ends it.
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (MAX_RULES_BYTES + 1, MAX_RULES_BYTES + 1))
        self.running.append((process, argv, output, errors, time.monotonic() + TOOL_TIMEOUT_S, take))

    def finish_one(self):
        process, argv, output, errors, deadline, take = self.running.pop(0)
        try:
            code = process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
        with open(output, "rb") as printed, open(errors, "rb") as complained:
            printed.seek(0)
            complained.seek(0)
            if code is None:
                take(None, Refused("probe-timeout", f"{argv[0]} did not end within {TOOL_TIMEOUT_S} s"))
            elif os.fstat(output).st_size > MAX_RULES_BYTES:
                take(None, Refused("probe-failed", f"{argv[0]} prints more than {MAX_RULES_BYTES >> 20} MiB"))
            elif code != 0:
                why = complained.read(500).decode("utf-8", "replace").strip()
                take(None, Refused("probe-failed", f"{' '.join(argv)}: {why}"))
            else:
                take(printed.read().decode("utf-8", "replace"), None)

    def finish(self):
        while self.running:
            self.finish_one()


def sysctls():
    values = {}
    for name in SYSCTLS:
        try:
            with open(f"/proc/sys/{name.replace('.', '/')}") as file:
                values[name] = int(file.read())
        except (OSError, ValueError):  # this kernel does not have it
            continue
    return values


def start_netfilter(tools, missing, own):
    """Starts what prints the rules of this namespace; the answer is filled as they end."""
    tables = netlink.filter_tables()
    legacy = legacy_families()
    answer = {
        "tables": [{"family": family, "name": name, "backend": "nf_tables"} for family, name in tables]
        + [{"family": family, "name": name, "backend": "legacy"} for family, names in legacy.items() for name in names],
        "ruleset": None,
    }
    # Docker's resolver puts a table nat into each container: not worth two processes for each.
    if not own and not legacy and {name for _, name in tables} == {"nat"}:
        return answer
    answer["ruleset"] = {"nft": None, "iptables": []}

    def start(argv, keep):
        def take(printed, error):
            if error is None:
                keep(printed)
            elif answer["ruleset"] is not None:
                answer["ruleset"] = None
                missing.note("netfilter", error)

        tools.start(argv, take)

    def save(family, backend):
        tool = {"ip": "iptables", "ip6": "ip6tables"}[family]
        kind = {"nf_tables": "nft", "legacy": "legacy"}[backend]

        def keep(printed):
            if answer["ruleset"] is not None:
                found = {"family": family, "backend": backend, "saved": printed}
                answer["ruleset"]["iptables"].append(found)

        start([f"{tool}-{kind}-save", "-c"], keep)

    def keep_nft(printed):
        if answer["ruleset"] is not None:
            answer["ruleset"]["nft"] = printed

    if tables:
        start(["nft", "-j", "list", "ruleset"], keep_nft)
    for family in ("ip", "ip6"):
        if any(each == family for each, _ in tables):
            save(family, "nf_tables")
    for family in legacy:
        save(family, "legacy")
    return answer


def legacy_families():
    """Tables of the older iptables, which only exist where somebody has asked for them."""
    found = {}
    for family in ("ip", "ip6"):
        try:
            with open(f"/proc/thread-self/net/{family}_tables_names") as names:
                found[family] = names.read().split()
        except FileNotFoundError:
            continue
    return {family: names for family, names in found.items() if names}


def look(inode, found, everyone, tools, own):
    """What the kernel says of one namespace; `own` where it is the host's. Ends in it."""
    os.setns(found.descriptor, os.CLONE_NEWNET)
    missing = Missing()
    links = missing.attempt("links", netlink.links)
    names = {link["index"]: link["name"] for link in links or []}
    wanted = {link["netnsid"] for link in links or []} - {None}
    peers = missing.attempt("links", netlink.ids_here, wanted, everyone) or {}
    by_index = {}
    for link in links or []:
        by_index[link["index"]] = link["addresses"]
        identifier, target = link.pop("netnsid"), link["link"]
        if target is not None:
            # Without an id the other end is in the same namespace.
            link["link"] = {"index": target, "namespace": inode if identifier is None else peers.get(identifier)}
        link["master"] = names.get(link["master"])
        if link["vxlan"]:
            link["vxlan"]["device"] = names.get(link["vxlan"]["device"])
    addresses = missing.attempt("links", netlink.addresses)
    for index, address in addresses or []:
        if index in by_index:
            by_index[index].append(address)
    switched = any(link["kind"] in ("bridge", "vxlan") for link in links or [])
    sockets = missing.attempt("sockets", netlink.sockets)
    for each in sockets or []:
        each["interface"] = names.get(each["interface"])
    return {
        "inode": inode,
        "processes": found.processes,
        "paths": found.paths,
        "links": None if addresses is None else links,
        "routes": missing.attempt("routes", netlink.routes, names),
        "rules": missing.attempt("rules", netlink.rules),
        "neighbours": missing.attempt("neighbours", netlink.neighbours, names),
        "forwarding": missing.attempt("forwarding", netlink.forwarding_database, names) if switched else [],
        "netfilter": missing.attempt("netfilter", start_netfilter, tools, missing, own),
        "sockets": sockets,
        "sysctls": sysctls(),
        "missing": missing,
    }


def facts(request):
    init = request["init"]
    answered = []
    asking = None
    if request["engine"]:
        # Beside the kernel's part: a hung engine takes no time from it. The namespace of a thread is its own.
        asking = threading.Thread(target=lambda: answered.append(engine_api.Picture(init)), daemon=True)
        asking.start()
    missing = Missing()
    namespaces = Namespaces(init)
    namespaces.of_processes()
    named = missing.attempt("named", namespaces.of_names)
    missing.attempt("namespaces", namespaces.of_mounts)
    tools = Tools()
    looked = namespaces.look_at_new(tools)
    if asking is not None:
        asking.join(engine_api.PICTURE_TIMEOUT_S + 1)
    engine = answered[0] if answered else None
    if asking is not None and engine is None:
        for source in engine_api.SOURCES:
            missing.note(source, Refused("inner-engine-timeout", "the engine in the lab did not answer"))
    spaces = {}
    for identifier, details in engine.running.items() if engine else ():
        pid = details.get("State", {}).get("Pid")
        if isinstance(pid, int) and 0 < pid < 1 << 31:
            spaces[identifier] = namespaces.of_container(identifier, pid)
    # Of containers that started meanwhile.
    looked += namespaces.look_at_new(tools)
    tools.finish()
    if namespaces.full:
        missing.note("namespaces", Refused("probe-failed", f"more than {MAX_NAMESPACES} network namespaces"))
    return {
        "namespace": namespaces.own,
        "namespaces": looked,
        "named": named,
        "spaces": spaces,
        "engine": {"answers": engine.answers, "running": engine.running} if engine else None,
        "missing": missing + (engine.missing if engine else []),
    }
