#!/bin/bash
# Serves NetBox and its static files. Granian reads more settings from variables that begin with GRANIAN_.
exec granian \
  --interface wsgi \
  --host "${GRANIAN_HOST:-::}" \
  --port "${GRANIAN_PORT:-8080}" \
  --no-ws \
  --workers "${GRANIAN_WORKERS:-4}" \
  --backpressure "${GRANIAN_BACKPRESSURE:-${GRANIAN_WORKERS:-4}}" \
  --respawn-failed-workers \
  --log-level info \
  --access-log \
  --working-dir /opt/netbox/netbox \
  --static-path-route /static \
  --static-path-mount /opt/netbox/netbox/static \
  --static-path-dir-to-file index.html \
  --pid-file /tmp/granian.pid \
  netbox.wsgi:application
