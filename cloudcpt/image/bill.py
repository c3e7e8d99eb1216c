"""`python -m cloudcpt.image.bill`: the software bill of materials of the image that it runs in, as CycloneDX.

Every Python distribution and every Debian or RPM package, with version and package URL. Run by the build, in the image:
what it lists is what is there, not what was asked for. The same image gives the same bytes.

Source: CycloneDX 1.6 JSON schema; package-url specification, types pypi, deb and rpm.
"""

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Final
from urllib.parse import quote

import cloudcpt

BILL_FILE: Final = "/opt/cloudcpt/bom.json"
"""Where it is in an image."""

_QUERIES: Final = {
    "deb": ("dpkg-query", "--show", "--showformat", "${Package} ${Version} ${Architecture}\n"),
    "rpm": ("rpm", "--query", "--all", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE} %{ARCH}\n"),
}


def bill_of_materials() -> dict[str, Any]:
    """List everything that is installed here."""
    components = sorted([*_python(), *_system()], key=lambda one: str(one["purl"]))
    content = json.dumps(components, sort_keys=True)
    made_at = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {
            "timestamp": made_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "container", "name": "cloudcpt", "version": cloudcpt.__version__},
        },
        "components": components,
    }


def _python() -> Iterator[dict[str, Any]]:
    seen = set()
    for found in metadata.distributions():
        name, version = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower(), found.version
        if (name, version) not in seen:  # a base and our own environment may both have it
            seen.add((name, version))
            yield _component(name, version, f"pkg:pypi/{quote(name)}@{quote(version)}")


def _system() -> Iterator[dict[str, Any]]:
    distribution = _distribution()
    for kind, query in _QUERIES.items():
        for line in _lines(query):
            name, version, architecture = line.split(" ")
            purl = f"pkg:{kind}/{distribution}/{quote(name)}@{quote(version, safe='')}?arch={architecture}"
            yield _component(name, version, purl)


def _component(name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


def _lines(query: tuple[str, ...]) -> list[str]:
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    except FileNotFoundError:  # the other kind of system
        return []


def _distribution() -> str:
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            return next(line.partition("=")[2].strip().strip('"') for line in file if line.startswith("ID="))
    except (OSError, StopIteration):
        return "linux"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(bill_of_materials(), indent=1) + "\n")
