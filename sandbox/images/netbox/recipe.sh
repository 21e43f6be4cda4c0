version=4.7.3
skeleton
unpack $(closure python3-minimal libpython3-stdlib bash dash curl ca-certificates tini procps) procps
# A shell that takes the commands of the image, not busybox's own of the same name: the health check needs a real ps.
ln -sf dash "$root/usr/bin/sh"
# Its own name in older releases of the image, and the one in newer ones.
add_user unit 999 /opt/netbox
echo "netbox:x:999:999:netbox:/opt/netbox:/bin/sh" >>"$root/etc/passwd"
cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
rm -rf "$root"/usr/lib/python3*/test "$root"/usr/lib/python3*/ensurepip "$root"/usr/lib/python3*/idlelib
ln -sf python3 "$root/usr/bin/python"

# NetBox, as its documentation installs it from PyPI. Left out is what only its manual is built with, and gunicorn:
# the image serves with granian. psycopg comes with its library, so that nothing has to be compiled.
export DEBIAN_FRONTEND=noninteractive
# Nothing that is installed may start: the container has the machine's network.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
apt-get -qq install -y --no-install-recommends python3-venv postgresql-17 valkey-server >/dev/null
venv=/opt/netbox/venv
python3 -m venv "$venv"
pip_install "$venv" --no-deps "netbox==$version"
"$venv/bin/python" - >/tmp/requirements.txt <<'PY'
import re
from importlib.metadata import requires

UNUSED = {"gunicorn", "mkdocs", "mkdocs-material", "mkdocstrings", "mkdocstrings-python", "zensical"}
for line in requires("netbox"):
    if "extra ==" not in line and re.match(r"[\w.-]+", line)[0] not in UNUSED:
        print(line.replace("psycopg[c,pool]", "psycopg[binary,pool]"))
PY
pip_install "$venv" --requirement /tmp/requirements.txt granian==2.8.7
"$venv/bin/python" -m pip --quiet uninstall --yes pip
packages=$(echo "$venv"/lib/python3*/site-packages)
find "$packages" -depth -type d '(' -name tests -o -name testing -o -name __pycache__ ')' -exec rm -rf {} +
# NetBox's own `utilities.testing` and Django's `django.test` are imported by nothing that runs here.
find "$packages" '(' -name '*.po' -o -name '*.map' ')' -delete

# The layout of the upstream image: https://github.com/netbox-community/netbox-docker
home=/opt/netbox/netbox
mkdir -p "$home/conf" "$home/media" "$home/reports" "$home/scripts" "$home/static" /etc/netbox/config
source=/recipes/netbox
cp "$source"/configuration/*.py /etc/netbox/config/
cp "$source/load-configuration.py" "$home/conf/configuration.py"
cp "$source/manage.py" "$home/"
cp "$source/initialise.py" "$source/docker-entrypoint.sh" "$source/launch-netbox.sh" /opt/netbox/
chmod +x "$home/manage.py" /opt/netbox/*.sh

# A database as the migrations make it: 80 s of work that no lab has to wait for.
as_postgres() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
server=/usr/lib/postgresql/17/bin
export PGHOST=/tmp/postgres
as_postgres mkdir "$PGHOST"
as_postgres "$server/initdb" --pgdata "$PGHOST/data" --username netbox --auth trust --encoding UTF8 --locale C.UTF-8 >/dev/null
# By a socket in a file: builds side by side share the machine's network.
as_postgres "$server/pg_ctl" --silent --wait --pgdata "$PGHOST/data" --log "$PGHOST/log" \
  --options "-c listen_addresses= -c unix_socket_directories=$PGHOST -c fsync=off" start
as_postgres createdb --username netbox netbox
export DB_HOST=$PGHOST DB_USER=netbox NETBOX_ROOT=$home SECRET_KEY=only-for-the-build-of-the-image-0123456789abcdefghijkl
valkey-server --daemonize yes --port 0 --unixsocket /tmp/valkey.sock --save '' >/dev/null
cat >/etc/netbox/config/build.py <<'PY'
from netbox.configuration.configuration import REDIS

for connection in REDIS.values():
    connection["URL"] = "unix:///tmp/valkey.sock"
PY
"$venv/bin/python" "$home/manage.py" upgrade --no-input >/tmp/upgrade.log 2>&1 || { tail -20 /tmp/upgrade.log; exit 1; }
rm /etc/netbox/config/build.py
# No command of psql's own, and nothing that one release of PostgreSQL alone knows.
as_postgres pg_dump --username netbox --no-owner --no-privileges --inserts --rows-per-insert=500 netbox >/tmp/dump.sql
grep -vE '^(\\|SET transaction_timeout|SELECT pg_catalog.set_config)' /tmp/dump.sql | gzip -9 >/opt/netbox/database.sql.gz

# Pages that are served are what lies in static/: a second copy is a name of the same file.
hardlink --quiet --content "$home/static" "$packages"
mkdir -p "$root/opt" "$root/etc/netbox"
chown -R 999:0 "$home/media" "$home/reports" "$home/scripts"
chmod -R g+w "$home/media" "$home/reports" "$home/scripts"
cp -a /opt/netbox "$root/opt/"
cp -a /etc/netbox/config "$root/etc/netbox/"
# By content, not by time: the times of all files of an image are the same.
python3 -m compileall -f -qq --invalidation-mode unchecked-hash -s "$root" "$root"/usr/lib/python3.* "$root/opt/netbox"
