"""Files of a lab host as an editor needs them: looked at, written, told apart.

Whatever a student put in the way, nothing here follows a link, leaves the disk of the lab, blocks, or reads more than
was asked for. What needs rights has those of the lab's own root.
"""

import errno
import hashlib
import itertools
import os
import stat

from kernel import (
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    open_in_root,
)
from namespaces import root_of

STRICT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
MAX_ENTRIES = 1000
NAME_BYTES = 255
KINDS = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link"}


class Problem(Exception):
    """Why there is no answer, by a stable code."""

    def __init__(self, code, detail=None):
        super().__init__(code)
        self.answer = {"problem": code, **({} if detail is None else {"detail": detail})}


PROBLEMS = {
    errno.ENOENT: "not-found",
    errno.ENOTDIR: "not-found",
    errno.ELOOP: "link",
    errno.EXDEV: "elsewhere",
    errno.ENAMETOOLONG: "name-too-long",
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "disk-full",
    errno.EROFS: "read-only",
    errno.EACCES: "refused",
    errno.EPERM: "refused",
}


def answering(work):
    """Makes what stands in the way an answer."""

    def answer(request):
        try:
            return work(request)
        except Problem as problem:
            return problem.answer
        except OSError as error:
            return Problem(PROBLEMS.get(error.errno, "failed"), os.strerror(error.errno or errno.EIO)).answer

    return answer


def as_lab_root(init):
    """The lab's root directory; from here on this process has the rights that the lab's own root has."""
    root = root_of(init)
    own, lab = os.stat("/proc/self/ns/user"), os.stat(f"/proc/{init}/ns/user")
    if own.st_ino != lab.st_ino:
        with open(f"/proc/{init}/ns/user") as namespace:
            os.setns(namespace.fileno(), os.CLONE_NEWUSER)
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    return root


def reopen(held, flags):
    """What was looked at, and nothing that took its place meanwhile."""
    return os.open(f"/proc/self/fd/{held}", flags | os.O_CLOEXEC)


def version_of(content):
    return hashlib.sha256(content).hexdigest()[:32]


def content_of(held, about, max_bytes):
    kind = stat.S_IFMT(about.st_mode)
    if kind != stat.S_IFREG:
        raise Problem(KINDS.get(kind, "no-file"))
    if about.st_size > max_bytes:
        raise Problem("too-big", str(about.st_size))
    with os.fdopen(reopen(held, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise Problem("too-big", str(len(content)))
    return content


def entries_of(held):
    folder = reopen(held, os.O_RDONLY | os.O_DIRECTORY)
    entries = []
    with os.scandir(folder) as found:
        for entry in itertools.islice(found, MAX_ENTRIES + 1):
            about = os.stat(entry.name, dir_fd=folder, follow_symlinks=False)
            kind = KINDS.get(stat.S_IFMT(about.st_mode), "other")
            name = entry.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            # A name that is no text can be shown, and not asked for.
            entries.append({"name": name, "kind": kind if name == entry.name else "other", "bytes": about.st_size})
    more = len(entries) > MAX_ENTRIES
    entries = sorted(entries[:MAX_ENTRIES], key=lambda each: (each["kind"] != "directory", each["name"]))
    return {"kind": "directory", "entries": entries, "more": more}


@answering
def look(request):
    """What lies at a path: the entries of a folder, or a text with its version."""
    root = as_lab_root(request["init"])
    held = open_in_root(root, request["path"], os.O_PATH | os.O_NOFOLLOW, STRICT)
    about = os.fstat(held)
    if stat.S_ISDIR(about.st_mode):
        return entries_of(held)
    content = content_of(held, about, request["maxBytes"])
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Problem("binary") from None
    if "\0" in text:
        raise Problem("binary")
    return {"kind": "file", "text": text, "version": version_of(content), "bytes": len(content)}


def open_parent(root, names):
    """The folder of a path, made where it is not there yet."""
    for depth in range(len(names) + 1):
        path = "/".join(names[:depth])
        try:
            folder = open_in_root(root, path, os.O_PATH | os.O_DIRECTORY, STRICT)
        except FileNotFoundError:
            os.mkdir(names[depth - 1], 0o755, dir_fd=folder)
            folder = open_in_root(root, path, os.O_PATH | os.O_DIRECTORY, STRICT)
    return folder


@answering
def write(request):
    """Writes a file in one step: who reads it sees the old text or the new one. `version` is what the writer knows of
    it, `None` where there was no such file; where it is another one by now nothing is written."""
    root = as_lab_root(request["init"])
    *names, name = [part for part in request["path"].split("/") if part]
    if len(name.encode()) > NAME_BYTES:
        raise Problem("name-too-long")
    parent = open_parent(root, names)
    try:
        held = open_in_root(root, request["path"], os.O_PATH | os.O_NOFOLLOW, STRICT)
        about = os.fstat(held)
        current = version_of(content_of(held, about, request["maxBytes"]))
    except FileNotFoundError:
        about, current = None, None
    if current != request["version"]:
        raise Problem("changed", current)
    content = request["text"].encode("utf-8")
    temporary = f".patchbay-{os.urandom(8).hex()}"
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=parent)
    try:
        at = 0
        while at < len(content):
            at += os.write(file, content[at:])
        if about is not None:
            os.fchown(file, about.st_uid, about.st_gid)
        os.fchmod(file, 0o644 if about is None else stat.S_IMODE(about.st_mode))
        os.fsync(file)
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        os.unlink(temporary, dir_fd=parent)
        raise
    return {"version": version_of(content)}


def states(request):
    """What changes with each change of a file, by path; `None` where nothing lies there. Opens nothing."""
    root = root_of(request["init"])
    found = {}
    for path in request["paths"]:
        try:
            held = open_in_root(root, path, os.O_PATH | os.O_NOFOLLOW, STRICT)
            about = os.fstat(held)
            os.close(held)
            found[path] = f"{about.st_ino} {about.st_size} {about.st_mtime_ns} {about.st_ctime_ns}"
        except OSError:
            found[path] = None
    return found
