"""NetBox's settings out of the Python files in /etc/netbox/config: `configuration.py` first, then the others in the
order of their names. Where several files set a name, the last one counts."""

import importlib.util
import sys
from pathlib import Path

FOLDER = Path("/etc/netbox/config")


def _load(path):
    name = f"netbox.configuration.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    # Files may build on each other: `from netbox.configuration.configuration import PLUGINS`.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return {key: value for key, value in vars(module).items() if key.isupper()}


_main = FOLDER / "configuration.py"
if not _main.is_file():
    raise FileNotFoundError(f"NetBox has no configuration: {_main} is not there.")
sys.modules["netbox.configuration"] = sys.modules[__name__]
__path__ = []
for _path in [_main, *sorted(path for path in FOLDER.glob("*.py") if path != _main)]:
    if not _path.name.startswith("__"):
        globals().update(_load(_path))
