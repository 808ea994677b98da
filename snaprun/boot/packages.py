"""Say what an interpreter has: run by the run's own Python, standard library only, prints one JSON object."""

import json
import platform
import sys
from importlib import metadata


def main():
    packages = {}
    for found in metadata.distributions():
        try:
            name, version = found.metadata["Name"], found.version
        except Exception:  # noqa: BLE001  # a damaged installation is no reason to know nothing of the others
            continue
        if name and version:
            packages.setdefault(name, version)
    about = {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }
    print(json.dumps(about))  # noqa: T201  # the one who asks reads standard output


main()
