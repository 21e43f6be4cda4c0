#!/opt/netbox/venv/bin/python
"""NetBox's management commands, at the path that a source installation has."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("NETBOX_ROOT", os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "netbox.settings")
execute_from_command_line(sys.argv)
