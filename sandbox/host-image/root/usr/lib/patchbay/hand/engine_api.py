"""The API of the engine on a lab host, reached through the file system of the lab."""

import json
import os
import select
import socket
import stat

from kernel import Refused, open_in_root

IMAGES = "/usr/share/patchbay/images"


def images(_request):
    """Ids of the course's images, by recipe."""
    with open(f"{IMAGES}/index.json") as file:
        return {recipe: image["id"] for recipe, image in json.load(file).items()}


def inside(init, path):
    """An O_PATH descriptor of a path in the lab, resolved as the lab's root resolves it: a symbolic
    link that the student made never leads out of the lab."""
    try:
        root = os.open(f"/proc/{init}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError) as error:
        raise Refused("inner-engine-unreachable", "the lab host does not run") from error
    try:
        return open_in_root(root, path, os.O_PATH)
    except OSError as error:
        raise Refused("inner-engine-unreachable", str(error.strerror)) from error
    finally:
        os.close(root)


def engine_socket(init):
    descriptor = inside(init, "/run/docker.sock")
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        raise Refused("inner-engine-unreachable", "/run/docker.sock is no socket")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(f"/proc/self/fd/{descriptor}")
    except OSError as error:
        raise Refused("inner-engine-unreachable", f"docker.sock: {error.strerror}") from error
    return connection


def http(request):
    import http.client

    connection = http.client.HTTPConnection("localhost")
    connection.sock = engine_socket(request["init"])
    body, headers = None, {}
    if request.get("image"):  # an image of the course, from the hand's own disk
        name = os.path.basename(request["image"])
        body = open(f"{IMAGES}/{name}.tar", "rb")
        headers = {"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"}
    elif "body" in request:
        body = json.dumps(request["body"])
        headers = {"Content-Type": "application/json"}
    try:
        connection.request(
            request["method"], f"/v1.41{request['path']}", body, headers,
            encode_chunked="Transfer-Encoding" in headers,
        )
        response = connection.getresponse()
        text = response.read(16 << 20).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise Refused("inner-engine-unreachable", f"docker.sock: {error}") from error
    try:
        return {"status": response.status, "body": json.loads(text) if text else None}
    except json.JSONDecodeError:
        return {"status": response.status, "body": text}


def dial(init):
    """Pumps stdin and stdout to the inner engine's socket; the whole process is one connection."""
    connection = engine_socket(init)
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
