skeleton
unpack $(closure postgresql-17 postgresql-client-17 tzdata util-linux)
add_user postgres 999 /var/lib/postgresql
cd "$root"
rm -rf usr/lib/postgresql/17/lib/bitcode usr/lib/postgresql/17/lib/llvmjit*
for tool in usr/lib/postgresql/17/bin/*; do ln -sf "/$tool" "usr/bin/$(basename "$tool")"; done
mkdir -p var/lib/postgresql/data run/postgresql docker-entrypoint-initdb.d
chown -R 999:999 var/lib/postgresql run/postgresql
chmod 700 var/lib/postgresql/data
cat >usr/bin/docker-entrypoint.sh <<'SH'
#!/bin/sh
# Makes the cluster where there is none, by the variables that the official image knows, and runs the server.
set -eu
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /run/postgresql
  chown -R postgres:postgres "$PGDATA" /run/postgresql
  chmod 700 "$PGDATA"
  # By its path: the shell would take its own of that name.
  exec /usr/bin/setpriv --reuid postgres --regid postgres --clear-groups "$0" "$@"
fi
user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
    echo 'POSTGRES_PASSWORD is not set: give the superuser a password, with -e POSTGRES_PASSWORD=…' >&2
    exit 1
  fi
  printf '%s\n' "${POSTGRES_PASSWORD:-}" >/tmp/password
  method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
  initdb --username="$user" --auth-local=trust --auth-host="$method" --encoding=UTF8 --locale=C.UTF-8 \
    ${POSTGRES_PASSWORD:+--pwfile=/tmp/password} >/dev/null
  rm -f /tmp/password
  echo "host all all all $method" >>"$PGDATA/pg_hba.conf"
  pg_ctl -s -w -o "-c listen_addresses=''" start
  [ "$database" = postgres ] || psql -qU "$user" -d postgres -c "CREATE DATABASE \"$database\""
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sql) psql -qU "$user" -d "$database" -f "$file" ;;
      *.sh) sh "$file" ;;
    esac
  done
  pg_ctl -s -m fast stop
fi
exec "$@"
SH
chmod +x usr/bin/docker-entrypoint.sh
sed -i "s/^#*listen_addresses = .*/listen_addresses = '*'/" usr/share/postgresql/17/postgresql.conf.sample
