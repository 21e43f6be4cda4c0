"""What happens before NetBox serves: waits for the database, brings it to this version's schema, and creates the
superuser that the environment describes."""

import gzip
import os
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("NETBOX_ROOT", "/opt/netbox/netbox")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "netbox.settings")

import django
import psycopg
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

SCHEMA = Path("/opt/netbox/database.sql.gz")
# Of the lock that keeps two containers from working on an empty database at once; any number will do.
LOCK = 4_702_001


# NetBox asks for its settings while it starts.
warnings.filterwarnings("ignore", message="Accessing the database during app initialization")


def say(text):
    print(text, flush=True)


def secret(name):
    """A value from the secret of that name, else from the environment; empty where there is none."""
    try:
        return Path(f"/run/secrets/{name}").read_text().strip()
    except OSError:
        return os.environ.get(name.upper(), "")


def wait_for_database():
    pause = float(os.environ.get("DB_WAIT_TIMEOUT", 1))
    longest = float(os.environ.get("MAX_DB_WAIT_TIME", 60))
    start = time.monotonic()
    while True:
        try:
            return connection.ensure_connection()
        except OperationalError as error:
            waited = time.monotonic() - start
            text = str(error).strip()
            say(f"⏳ Waiting for the database ({waited:.0f} s of {longest:.0f} s): {text.splitlines()[-1]}")
            if waited >= longest:
                sys.exit("❌ The database did not answer. See DB_HOST, DB_USER and DB_PASSWORD in env/netbox.env.")
            time.sleep(pause)


def load_schema(session):
    """Fills an empty database with what the migrations made when the image was built."""
    found = session.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    if found.fetchone()[0] == 0:
        say("⚙️ The database is empty: loading the schema of this version")
        session.execute(gzip.decompress(SCHEMA.read_bytes()).decode())


def migrate():
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return
    say("⚙️ Applying database migrations")
    call_command("migrate", interactive=False)
    call_command("trace_paths", no_input=True)
    call_command("remove_stale_contenttypes", interactive=False)
    call_command("clearsessions")
    call_command("reindex", lazy=True)


def create_superuser():
    from users.models import Token, User

    if os.environ.get("SKIP_SUPERUSER", "").lower() == "true":
        return say("↩️ Skip creating the superuser")
    name = os.environ.get("SUPERUSER_NAME", "admin")
    if not User.objects.filter(username=name).exists():
        email = os.environ.get("SUPERUSER_EMAIL", "admin@example.com")
        user = User.objects.create_superuser(name, email, secret("superuser_password") or "admin")
        token, key = secret("superuser_api_token"), secret("superuser_api_key")
        if token and key:
            # Two parts of what a client sends: Bearer nbt_KEY.TOKEN
            Token.objects.create(user=user, key=key, token=token)
        say(f"💡 Superuser Username: {name}, E-Mail: {email}")


wait_for_database()
# A session of its own, for the dump leaves its settings in it.
with psycopg.connect(**connection.get_connection_params(), autocommit=True) as session:
    session.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    load_schema(session)
    django.setup()
    migrate()
    create_superuser()
say("✅ Initialisation is done.")
