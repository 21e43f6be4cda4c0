"""What is remembered of labs' pasts: an empty file for each mark, on the sidecar's own volume."""

import base64
import os
import shutil

from kernel import Refused

FOLDER = "/disks/marks"
MAX_MARKS, MAX_NAME = 256, 180


def folder_of(key):
    return f"{FOLDER}/{key}"


def marks(request):
    """Unix time in milliseconds by name; empty for a lab that has none."""
    try:
        entries = list(os.scandir(folder_of(request["key"])))
    except FileNotFoundError:
        return {}
    return {
        base64.urlsafe_b64decode(entry.name).decode(): int(entry.stat().st_mtime * 1000) for entry in entries
    }


def mark(request):
    name = request["name"].encode()
    if not 0 < len(name) <= MAX_NAME:
        raise Refused("probe-failed", f"a mark's name has 1 to {MAX_NAME} bytes")
    folder = folder_of(request["key"])
    os.makedirs(folder, exist_ok=True)
    if len(os.listdir(folder)) >= MAX_MARKS:
        raise Refused("probe-failed", f"a lab has at most {MAX_MARKS} marks")
    try:
        os.close(os.open(f"{folder}/{base64.urlsafe_b64encode(name).decode()}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        pass
    return {}


def forget(key):
    shutil.rmtree(folder_of(key), ignore_errors=True)


def marked():
    """Keys of the labs that have marks."""
    try:
        return set(os.listdir(FOLDER))
    except FileNotFoundError:
        return set()
