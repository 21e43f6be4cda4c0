"""The trusted hand: observes and probes lab hosts from outside their mount namespaces.

Runs in a sidecar container of Patchbay's own image, in the engine's pid and user namespaces. Reads
one JSON request per line from stdin, writes one JSON answer per line to stdout:

    {"id": 1, "op": "snapshot", "init": 4711, "pids": [120, 150], "timeoutMs": 3000}
    {"id": 1, "ok": {...}}  or  {"id": 1, "error": {"code": "probe-failed", "message": "..."}}

Every request is served by a forked child of its own: namespaces entered by one never reach another,
and a child that hangs (a stopped engine, a blocked socket) is killed when its time is over.
No binary of a lab is ever run.
"""

import json
import os
import select
import signal
import sys
import time

import disks
import engine_api
import hosts
import limits
import observe
import pings
import probes
import processes
import wires
from kernel import Refused

OPERATIONS = {
    "snapshot": observe.snapshot,
    "ping": pings.ping,
    "tcp": probes.tcp,
    "dns": probes.dns,
    "features": probes.features,
    "read": probes.read,
    "http": engine_api.http,
    "images": engine_api.images,
    "prepare": hosts.prepare,
    "wire": hosts.wire,
    "unlink": wires.unlink,
    "remove-disks": disks.remove_disks,
    "room": disks.room,
    "sweep": hosts.sweep,
    "claim": hosts.claim,
    "unclaim": hosts.unclaim,
    "claims": hosts.claims,
    "machine": limits.limit_machine,
    "kill": processes.kill,
    "thaw": lambda request: processes.thaw(request["containers"]),
}


def answer_of(request):
    try:
        return {"ok": OPERATIONS[request["op"]](request)}
    except Refused as refusal:
        return {"error": {"code": refusal.code, "message": str(refusal)}}
    except Exception as error:  # told to the caller, who logs it
        return {"error": {"code": "probe-failed", "message": f"{type(error).__name__}: {error}"}}


class Job:
    """One request in a forked child; `received` is what its pipe has brought so far."""

    def __init__(self, request):
        self.id, self.op, self.timeout_ms = request["id"], request["op"], request["timeoutMs"]
        self.deadline = time.monotonic() + self.timeout_ms / 1000
        self.received = b""
        self.pipe, writing = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            try:
                with os.fdopen(writing, "w") as pipe:
                    json.dump(answer_of(request), pipe)
            finally:
                os._exit(0)
        os.close(writing)

    def end(self):
        """The answer; kills the child where its time is over."""
        if time.monotonic() >= self.deadline:
            os.kill(self.child, signal.SIGKILL)
            code = "inner-engine-timeout" if self.op == "http" else "probe-timeout"
            answer = {"error": {"code": code, "message": f"no answer within {self.timeout_ms} ms"}}
        elif self.received:
            answer = json.loads(self.received)
        else:
            message = "the probe ended without an answer"
            answer = {"error": {"code": "probe-failed", "message": message}}
        os.close(self.pipe)
        os.waitpid(self.child, 0)
        return answer | {"id": self.id}


def session():
    """One thread: a fork of a threaded process may inherit a held lock."""
    jobs, unread, ended = {}, b"", False
    while jobs or not ended:
        timeout = min((job.deadline for job in jobs.values()), default=None)
        if timeout is not None:
            timeout = max(0, timeout - time.monotonic())
        ready = select.select([*jobs, *([] if ended else [0])], [], [], timeout)[0]
        done = [job for job in jobs.values() if time.monotonic() >= job.deadline]
        for end in ready:
            data = os.read(end, 1 << 16)
            if end == 0:
                ended = not data
                *lines, unread = (unread + data).split(b"\n")
                for job in (Job(json.loads(line)) for line in lines):
                    jobs[job.pipe] = job
            elif data:
                jobs[end].received += data
            elif jobs[end] not in done:
                done.append(jobs[end])
        for job in done:
            del jobs[job.pipe]
            print(json.dumps(job.end()), flush=True)


os.makedirs(hosts.CLAIMS, exist_ok=True)
match sys.argv[1:]:
    case ["dial", init]:
        engine_api.dial(int(init))
    case ["leave", *containers]:
        processes.thaw(containers)
        limits.restore_machine()
    case _:
        session()
