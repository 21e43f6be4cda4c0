#!/bin/bash
# Brings the database to the state that this NetBox needs, then runs what the container is for.
set -e
umask 002
/opt/netbox/venv/bin/python /opt/netbox/initialise.py
exec "$@"
