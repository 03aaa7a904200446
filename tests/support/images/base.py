"""What the recipes start from, in place of images that only a registry has."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from install import uv_environment
from tests.support.images.buildah import Buildah, run

SUITE: Final = "trixie"
"""Debian 13, of which Docker's Python images are made. Its Python is 3.13, that of the Astro image."""
_PACKAGES: Final = "ca-certificates,python3,python3-pip,python3-venv"
_UNNEEDED: Final = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists")
"""Docker's images have none of them either, or hardly any."""
_CERTIFICATES: Final = "etc/ssl/certs/ca-certificates.crt"
_UV_TO_PIP: Final = {
    "UV_DEFAULT_INDEX": "PIP_INDEX_URL",
    "UV_INDEX": "PIP_EXTRA_INDEX_URL",
    "UV_INSECURE_HOST": "PIP_TRUSTED_HOST",
}
_PROXIES: Final = ("all_proxy", "http_proxy", "https_proxy", "no_proxy")


def make_base(buildah: Buildah, *names: str) -> None:
    """Make a Debian with Python and pip, by debootstrap, and give it these names.

    How this machine reaches the packages (indexes, proxies, its certificates) is set in it, for the builds to come.
    """
    container = buildah("from", "scratch").strip()
    root = Path(buildah("mount", container).strip())
    mirror = [os.environ["DEBIAN_MIRROR"]] if "DEBIAN_MIRROR" in os.environ else []
    run(["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", SUITE, root, *mirror])
    for folder in _UNNEEDED:
        shutil.rmtree(root / folder)
    (root / "var/lib/apt/lists/partial").mkdir(parents=True)
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    (root / "usr/bin/python").symlink_to("python3")
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    for name, value in _way_to_packages(root).items():
        buildah("config", "--env", f"{name}={value}", container)
    buildah("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
    for name in names:
        buildah("commit", "--quiet", "--format", "docker", container, name)
    buildah("rm", container)


def _way_to_packages(root: Path) -> dict[str, str]:
    """Return the variables that lead this machine's pip, uv and apt to packages; its certificates are copied."""
    known = uv_environment(run([sys.executable, "-m", "pip", "config", "list"]), os.environ)
    passed_on = {name: value for name, value in known.items() if name in _UV_TO_PIP or name.lower() in _PROXIES}
    passed_on |= {pip: known[uv] for uv, pip in _UV_TO_PIP.items() if uv in known}
    certificates = known.get("SSL_CERT_FILE", f"/{_CERTIFICATES}")
    if Path(certificates).is_file():
        shutil.copy(certificates, root / _CERTIFICATES)
        passed_on |= dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"), f"/{_CERTIFICATES}")
    return passed_on
