"""The trusted hand: observes and probes lab hosts from outside their mount namespaces.

Runs in a sidecar container of Patchbay's own image, in the engine's pid and user namespaces. Reads
one JSON request per line from stdin, writes one JSON answer per line to stdout:

    {"id": 1, "op": "facts", "init": 4711, "engine": true, "timeoutMs": 10000}
    {"id": 1, "ok": {...}}  or  {"id": 1, "error": {"code": "probe-failed", "message": "..."}}

A request of a stream is answered by any number of {"id": 1, "event": {...}} before that, until {"end": 1} ends it.

Every request is served by a forked child of its own: namespaces entered by one never reach another,
and a child that hangs (a stopped engine, a blocked socket) is killed when its time is over.
No binary of a lab is ever run.
"""

import json
import math
import os
import select
import signal
import sys
import time

import changes
import disks
import engine_api
import facts
import files
import hosts
import limits
import marks
import pings
import probes
import processes
import queues
import relay
import wires
from kernel import LIBC, Refused

OPERATIONS = {
    "facts": facts.facts,
    "ping": pings.ping,
    "tcp": probes.tcp,
    "http-get": probes.http_get,
    "udp": probes.udp,
    "dns": probes.dns,
    "features": probes.features,
    "read": probes.read,
    "mounts": probes.mounts,
    "look": files.look,
    "write": files.write,
    "states": files.states,
    "list": probes.list_folder,
    "redis": queues.redis,
    "environment": queues.environment,
    "processes": queues.processes,
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
    "mark": marks.mark,
    "marks": marks.marks,
    "kill": processes.kill,
    "thaw": lambda request: processes.thaw(request["containers"]),
}

PR_SET_PDEATHSIG = 1  # prctl(2)

# These tell as they go, and have no time limit.
STREAMS = {"changes": changes.changes}


def answer_of(request, tell):
    try:
        if "container" in request:
            processes.confirm(request["init"], request["container"])
        if "targetInit" in request:
            processes.confirm(request["targetInit"], request["targetContainer"])
        if request["op"] in STREAMS:
            return {"ok": STREAMS[request["op"]](request, tell)}
        return {"ok": OPERATIONS[request["op"]](request)}
    except Refused as refusal:
        return {"error": {"code": refusal.code, "message": str(refusal)}}
    except Exception as error:  # told to the caller, who logs it
        return {"error": {"code": "probe-failed", "message": f"{type(error).__name__}: {error}"}}


def line_of(answer):
    """One line of JSON: what a student's engine says may hold numbers that JSON has not, and be nested without end."""
    try:
        return json.dumps(answer, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    except (ValueError, RecursionError) as error:
        message = f"the answer can't be told: {error}"
        return line_of({"id": answer["id"], "error": {"code": "probe-failed", "message": message}})


class Job:
    """One request in a forked child; `received` is what its pipe has brought so far and was not told yet."""

    def __init__(self, request):
        self.id, self.op, self.timeout_ms = request["id"], request["op"], request["timeoutMs"]
        self.streams = self.op in STREAMS
        self.deadline = math.inf if self.streams else time.monotonic() + self.timeout_ms / 1000
        self.received = []
        self.pipe, writing = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            try:
                with os.fdopen(writing, "wb") as pipe:

                    def tell_event(event):
                        pipe.write(line_of({"id": self.id, "event": event}))
                        pipe.flush()

                    if self.streams:
                        # What has nothing to tell would not notice that its session is gone.
                        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                    pipe.write(line_of({"id": self.id} | answer_of(request, tell_event)))
            finally:
                os._exit(0)
        os.close(writing)

    def receive(self, data):
        self.received.append(data)
        if self.streams and data.endswith(b"\n"):
            tell(b"".join(self.received))
            self.received = []

    def kill(self):
        os.kill(self.child, signal.SIGKILL)
        os.close(self.pipe)
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])

    def end(self):
        """The line of the answer, unless it was told; kills the child where its time is over."""
        if self.kill() == 0 and self.streams:
            return b""
        answer = b"".join(self.received)
        if not answer.endswith(b"\n"):
            if time.monotonic() >= self.deadline:
                code = "inner-engine-timeout" if self.op == "http" else "probe-timeout"
                error = {"code": code, "message": f"no answer within {self.timeout_ms} ms"}
            else:
                error = {"code": "probe-failed", "message": "the probe ended without an answer"}
            answer = line_of({"id": self.id, "error": error})
        return answer


def started(request):
    # Children find it made; where it can't be, the request itself will say so.
    if "container" in request:
        try:
            processes.confirm(request["init"], request["container"])
            processes.process_table(request["init"])
        except (Refused, OSError):
            pass
    return Job(request)


def tell(line):
    view = memoryview(line)
    while view:
        view = view[os.write(1, view):]


def session():
    """One thread: a fork of a threaded process may inherit a held lock."""
    jobs, unread, ended = {}, b"", False

    def drop(wanted):
        for job in [job for job in jobs.values() if wanted(job)]:
            del jobs[job.pipe]
            job.kill()

    while jobs or not ended:
        ends = select.poll()
        for end in [*jobs, *([] if ended else [0])]:
            ends.register(end, select.POLLIN)
        deadline = min((job.deadline for job in jobs.values()), default=math.inf)
        ready = ends.poll(None if deadline == math.inf else max(0, deadline - time.monotonic()) * 1000 + 1)
        done = [job for job in jobs.values() if time.monotonic() >= job.deadline]
        # Requests last: one that ends a job gives its descriptor away.
        for end, _ in sorted(ready, reverse=True):
            data = os.read(end, 1 << 16)
            if end == 0:
                ended = not data
                *lines, unread = (unread + data).split(b"\n")
                for request in map(json.loads, lines):
                    if "end" in request:
                        drop(lambda job, wanted=request["end"]: job.id == wanted)
                    else:
                        job = started(request)
                        jobs[job.pipe] = job
                if ended:
                    drop(lambda job: job.streams)
            elif data:
                jobs[end].receive(data)
            elif jobs[end] not in done:
                done.append(jobs[end])
        for job in done:
            if jobs.get(job.pipe) is job:
                del jobs[job.pipe]
                tell(job.end())


os.makedirs(hosts.CLAIMS, exist_ok=True)
match sys.argv[1:]:
    case ["dial", init, container]:
        processes.confirm(int(init), container)
        engine_api.dial(int(init))
    case ["relay", lab]:
        relay.serve(lab)
    case ["leave", *containers]:
        processes.thaw(containers)
        limits.restore_machine()
    case _:
        session()
