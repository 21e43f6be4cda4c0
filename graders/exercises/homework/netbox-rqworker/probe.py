"""Has NetBox enqueue scripts that tell the kernel when they run, and takes away whatever they leave.

Runs in a container of the course's own NetBox image, in the network of the NetBox under test and with its settings.
PATCHBAY_PROBE says how: `mark`, how the names of the jobs' anonymous files begin; `jobs`, how many; `seconds`, how long
each of them lasts at most; `end`, a key in the queue's Redis whose being there ends them."""

import json
import os
import signal
import sys
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "netbox.settings")
sys.path.insert(0, os.getcwd())

import django

django.setup()

import django_rq
from core.choices import JobStatusChoices, ManagedFileRootPathChoices
from core.models import Job
from django.conf import settings
from extras.jobs import ScriptJob
from extras.models import ScriptModule
from rq.job import Job as QueuedJob
from rq.results import Result

WISHES = json.loads(os.environ["PATCHBAY_PROBE"])
SCRIPT = '''"""Patchbay looks whether scripts run side by side. This file goes away by itself."""

import os
import time

import django_rq
from extras.scripts import Script


class Probe(Script):
    class Meta:
        name = "Patchbay probe"
        commit_default = False

    def run(self, data, commit):
        # A name of this process that the kernel shows to whoever looks from outside.
        handle = os.memfd_create(data["mark"])
        latest = time.monotonic() + data["seconds"]
        redis = django_rq.get_connection("default")
        while time.monotonic() < latest and not redis.exists(data["end"]):
            time.sleep(0.1)
        os.close(handle)
'''
ENDED = JobStatusChoices.TERMINAL_STATE_CHOICES
PATIENCE_S = 15


def say(**what):
    print(f"\nPATCHBAY {json.dumps(what)}", flush=True)


def remove(module):
    """Takes away jobs that have not begun, waits for the others, and leaves neither rows nor keys nor files."""
    ids = list(Job.objects.filter(name=WISHES["mark"]).values_list("job_id", flat=True))
    redis = django_rq.get_connection("default")
    for each in fetched(ids, redis):
        if each.get_status() == "queued":
            each.delete()
    latest = time.monotonic() + PATIENCE_S
    running = Job.objects.filter(name=WISHES["mark"], started__isnull=False).exclude(status__in=ENDED)
    while running.exists() and time.monotonic() < latest:
        time.sleep(0.1)
    told = [
        {
            "status": job.status,
            "started": job.started.timestamp() if job.started else None,
            "completed": job.completed.timestamp() if job.completed else None,
            "error": job.error[:300],
        }
        for job in Job.objects.filter(name=WISHES["mark"]).order_by("created")
    ]
    # What a worker writes about a job that has just ended comes a moment later.
    while any(each.get_status() == "started" for each in fetched(ids, redis)) and time.monotonic() < latest:
        time.sleep(0.1)
    Job.objects.filter(name=WISHES["mark"]).delete()
    for each in fetched(ids, redis):
        Result.delete_all(each)
        each.delete()
    module.delete()
    say(jobs=told)


def fetched(ids, redis):
    return [each for each in QueuedJob.fetch_many([str(job) for job in ids], connection=redis) if each is not None]


def stop(*_):
    raise SystemExit(1)


signal.signal(signal.SIGTERM, stop)
name = f"{WISHES['mark'].replace('-', '_')}.py"
path = os.path.join(settings.SCRIPTS_ROOT, name)
os.umask(0o002)
with open(path, "w", encoding="utf-8") as file:
    file.write(SCRIPT)
module = ScriptModule(file_root=ManagedFileRootPathChoices.SCRIPTS, file_path=name)
try:
    module.save()
    script = module.scripts.get()
    for number in range(WISHES["jobs"]):
        data = {"mark": f"{WISHES['mark']}-{number}", "seconds": WISHES["seconds"], "end": WISHES["end"]}
        ScriptJob.enqueue(
            instance=script, name=WISHES["mark"], user=None, data=data, request=None, commit=False,
            notifications="never", job_timeout=WISHES["seconds"] + 60,
        )
    say(enqueued=WISHES["jobs"])
    redis = django_rq.get_connection("default")
    latest = time.monotonic() + WISHES["seconds"]
    while time.monotonic() < latest and not redis.exists(WISHES["end"]):
        time.sleep(0.1)
finally:
    try:
        remove(module)
    finally:
        if os.path.exists(path):
            os.unlink(path)
