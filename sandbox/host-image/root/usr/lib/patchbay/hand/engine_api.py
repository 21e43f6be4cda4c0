"""The API of the engine on a lab host, reached through the file system of the lab."""

import json
import os
import re
import select
import socket
import stat
import time

from kernel import Refused, open_in_root
from processes import open_of_host

IMAGES = "/usr/share/patchbay/images"
MAX_ANSWER = 16 << 20
MAX_LINE = 64 << 10
MAX_HEADERS = 100
PICTURE_TIMEOUT_S = 5
# Each takes a dozen of the 2000 processes that a lab may have.
MAX_RUNNING = 500
PIPELINED = 32


def images(_request):
    """Ids of the course's images, by recipe."""
    with open(f"{IMAGES}/index.json") as file:
        return {recipe: image["id"] for recipe, image in json.load(file).items()}


def inside(init, path):
    """An O_PATH descriptor of a path in the lab, resolved as the lab's root resolves it: a symbolic
    link that the student made never leads out of the lab."""
    root = open_of_host(init, "root", os.O_PATH | os.O_DIRECTORY)
    try:
        return open_in_root(root, path, os.O_PATH)
    except OSError as error:
        raise Refused("inner-engine-unreachable", str(error.strerror)) from error
    finally:
        os.close(root)


def engine_socket(init, timeout_s=5):
    descriptor = inside(init, "/run/docker.sock")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise Refused("inner-engine-unreachable", "/run/docker.sock in the lab is no socket")
        connection.connect(f"/proc/self/fd/{descriptor}")
    except BlockingIOError as error:
        # Nobody takes the connections that wait there.
        raise Refused("inner-engine-timeout", "the engine in the lab takes no more connections") from error
    except OSError as error:
        raise Refused("inner-engine-unreachable", f"/run/docker.sock in the lab: {error.strerror}") from error
    finally:
        os.close(descriptor)
    return connection


class Conversation:
    """A connection to the engine in a lab: HTTP/1.1, requests in a row and their answers, all within one time limit.
    Not `http.client`: whoever answers there may be a student's program, which says what it likes, as slowly as it likes."""

    def __init__(self, init, timeout_s, limit=MAX_ANSWER):
        self.limit = limit
        self.timeout_s = timeout_s
        self.deadline = time.monotonic() + timeout_s
        self.unread = bytearray()
        self.broken = None
        self.connection = engine_socket(init, timeout_s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def _wait(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Refused("inner-engine-timeout", f"the engine in the lab did not answer within {self.timeout_s:g} s")
        self.connection.settimeout(left)

    def send(self, method, path, body=b"", kind="application/json", file=None):
        size = os.fstat(file.fileno()).st_size if file else len(body)
        head = f"{method} /v1.41{path} HTTP/1.1\r\nHost: lab\r\n"
        if body or file or method != "GET":
            head += f"Content-Type: {kind}\r\nContent-Length: {size}\r\n"
        self._wait()
        try:
            self.connection.sendall(head.encode() + b"\r\n" + body)
            if file:
                self.connection.sendfile(file)
        except TimeoutError:
            self._wait()
        except OSError as error:
            raise Refused("inner-engine-unreachable", f"the engine in the lab: {error.strerror}") from error

    def _fill(self):
        """Reads what there is; false at the end of the stream."""
        self._wait()
        try:
            data = self.connection.recv(1 << 16)
        except TimeoutError:
            return self._wait() or self._fill()
        except OSError as error:
            raise Refused("inner-engine-unreachable", f"the engine in the lab: {error.strerror}") from error
        self.unread += data
        return bool(data)

    def _exactly(self, size, path):
        if size > self.limit:
            raise too_long(path, self.limit)
        while len(self.unread) < size:
            if not self._fill():
                raise garbled(path, "an answer that breaks off")
        taken = bytes(self.unread[:size])
        del self.unread[:size]
        return taken

    def _line(self, path):
        at = 0
        while (end := self.unread.find(b"\n", at)) < 0:
            at = len(self.unread)
            if at > MAX_LINE or not self._fill():
                raise garbled(path, "no HTTP" if at else "nothing")
        line = bytes(self.unread[:end]).rstrip(b"\r").decode("latin-1")
        del self.unread[:end + 1]
        return line

    def receive(self, path):
        """(status, headers in lower case, body) of the next answer; `path` is for words only. Where one answer was not
        what HTTP is, nobody knows where the next one begins."""
        if self.broken:
            raise self.broken
        try:
            return self._receive(path)
        except Refused as refused:
            self.broken = refused
            raise

    def _receive(self, path):
        started = re.fullmatch(r"HTTP/1\.[01] (\d{3})(?: .*)?", self._line(path))
        if not started:
            raise garbled(path, "no HTTP")
        headers, count = {}, 0
        while line := self._line(path):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
            count += 1
            if count > MAX_HEADERS:
                raise garbled(path, "headers without end")
        status = int(started[1])
        if status in (204, 304):
            return status, headers, b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = bytearray()
            while size := self._number(self._line(path).partition(";")[0], 16, path):
                body += self._exactly(size, path)
                self._line(path)
                if len(body) > self.limit:
                    raise too_long(path, self.limit)
            if self._line(path):
                raise garbled(path, "no HTTP")
            return status, headers, bytes(body)
        if "content-length" in headers:
            size = self._number(headers["content-length"], 10, path)
            return status, headers, self._exactly(size, path)
        while self._fill():
            if len(self.unread) > self.limit:
                raise too_long(path, self.limit)
        body, self.unread = bytes(self.unread), bytearray()
        return status, headers, body

    def _number(self, text, base, path):
        try:
            return int(text.strip(), base) if len(text) < 20 else self.limit + 1
        except ValueError as error:
            raise garbled(path, "no HTTP") from error


def garbled(path, what):
    return Refused("lab-broken", f"the engine in the lab answered {path} with {what}")


def too_long(path, limit):
    return garbled(path, f"more than {limit >> 20} MiB")


def constant(_name):
    raise ValueError("no JSON")


def parsed(path, body):
    """JSON as RFC 8259 has it: Python would take NaN too, and give up on deep nesting by an exception of its own."""
    try:
        return json.loads(body.decode("utf-8", "replace"), parse_constant=constant)
    except RecursionError as error:
        raise garbled(path, "JSON that is nested without end") from error
    except ValueError as error:
        raise garbled(path, "no JSON") from error


def http(request):
    path = request["path"]
    # The hand's own limit comes last: this one says what did not answer.
    with Conversation(request["init"], max(0.1, request["timeoutMs"] / 1000 - 0.1)) as engine:
        if request.get("image"):  # an image of the course, from the hand's own disk
            with open(f"{IMAGES}/{os.path.basename(request['image'])}.tar.gz", "rb") as file:
                engine.send(request["method"], path, kind="application/x-tar", file=file)
        else:
            body = json.dumps(request["body"]).encode() if "body" in request else b""
            engine.send(request["method"], path, body)
        status, _, body = engine.receive(path)
    try:
        return {"status": status, "body": parsed(path, body) if body else None}
    except Refused:
        return {"status": status, "body": body.decode("utf-8", "replace")}


ASKED_FIRST = {
    "engine": "/_ping",
    "containers": "/containers/json?all=1",
    "networks": "/networks",
    "images": "/images/json",
}
SOURCES = [*ASKED_FIRST, "services"]


class Picture:
    """What the engine says of all that it has: each source by itself, either its answer or why it is missing.
    Details are asked for running containers only."""

    def __init__(self, init):
        self.answers, self.running, self.missing = {}, {}, []
        try:
            with Conversation(init, PICTURE_TIMEOUT_S) as conversation:
                self._take(conversation)
        except Refused as refused:
            for source in SOURCES:
                self._note(source, refused)

    def _note(self, source, refused):
        self.answers.pop(source, None)
        self.missing.append({"source": source, "code": refused.code, "why": str(refused)})

    def _attempt(self, source, work, *arguments):
        try:
            self.answers[source] = work(*arguments)
        except Refused as refused:
            self._note(source, refused)

    def _take(self, conversation):
        for path in ASKED_FIRST.values():
            conversation.send("GET", path)
        for source, path in ASKED_FIRST.items():
            self._attempt(source, about if source == "engine" else listed, conversation, path)
        if "engine" in self.answers and self.answers["engine"]["swarm"] is None:
            # Engines before 23 say it elsewhere only.
            self._attempt("engine", swarm_of_info, conversation, self.answers["engine"]["server"])
        swarm = self.answers.get("engine", {}).get("swarm")
        if swarm is None or swarm == "active/manager":
            self._attempt("services", services, conversation)
        else:
            self.answers["services"] = []
        if "containers" in self.answers:
            try:
                self.running = inspected(conversation, self.answers["containers"])
            except Refused as refused:
                self._note("containers", refused)


def about(conversation, path):
    _, headers, _ = conversation.receive(path)
    return {"server": headers.get("server", ""), "swarm": headers.get("swarm")}


def listed(conversation, path):
    status, _, body = conversation.receive(path)
    if status != 200:
        raise garbled(path, f"HTTP status {status}")
    return parsed(path, body)


def services(conversation):
    conversation.send("GET", "/services?status=true")
    return listed(conversation, "/services")


def swarm_of_info(conversation, server):
    conversation.send("GET", "/info")
    info = listed(conversation, "/info")
    swarm = info.get("Swarm") if isinstance(info, dict) else None
    if not isinstance(swarm, dict) or not isinstance(swarm.get("LocalNodeState"), str):
        raise garbled("/info", "something else than Docker's API does")
    role = "/manager" if swarm.get("ControlAvailable") is True else "/worker"
    return {"server": server, "swarm": swarm["LocalNodeState"] + (role if swarm["LocalNodeState"] == "active" else "")}


# Of what Docker says of a container, that which facts are made of: the rest is most of it.
DETAILS = {
    "State": ("Pid", "ExitCode", "Health"),
    "Config": ("Env", "Cmd", "Entrypoint", "Hostname"),
    "HostConfig": ("NetworkMode", "RestartPolicy"),
}


def inspected(conversation, containers):
    """Details of running containers by id, without those that went away meanwhile."""
    alive = [
        each["Id"] for each in (containers if isinstance(containers, list) else [])
        if isinstance(each, dict) and each.get("State") in ("running", "paused")
        and isinstance(each.get("Id"), str) and re.fullmatch("[0-9a-f]{12,64}", each["Id"])
    ]
    if len(alive) > MAX_RUNNING:
        raise garbled("/containers/json", f"{len(alive)} running containers, more than a lab can hold")
    details = {}
    # A few at a time: more would not fit between the two ends.
    for start in range(0, len(alive), PIPELINED):
        some = alive[start:start + PIPELINED]
        for each in some:
            conversation.send("GET", f"/containers/{each}/json")
        for each in some:
            path = f"/containers/{each[:12]}/json"
            status, _, body = conversation.receive(path)
            if status == 404:
                continue
            told = parsed(path, body)
            if not isinstance(told, dict):
                raise garbled(path, "something else than Docker's API does")
            details[each] = {
                part: {name: told[part].get(name) for name in names}
                for part, names in DETAILS.items() if isinstance(told.get(part), dict)
            }
    return details


def dial(init):
    """Pumps stdin and stdout to the inner engine's socket; the whole process is one connection."""
    connection = engine_socket(init)
    connection.settimeout(None)
    open_ends = {0, connection.fileno()}
    while connection.fileno() in open_ends:
        for end in select.select(list(open_ends), [], [])[0]:
            data = os.read(end, 65536)
            if not data:
                open_ends.discard(end)
                if end == 0:
                    connection.shutdown(socket.SHUT_WR)
            elif end == 0:
                connection.sendall(data)
            else:
                view = memoryview(data)
                while view:
                    view = view[os.write(1, view):]
