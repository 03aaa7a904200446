"""A container by hand: an image's root, read-only if wanted, as the image's user, with its environment, and volumes.

Not `buildah run`, which cannot make a root read-only. The network and the processes are the machine's.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.images.buildah import Image

_DEVICES = ("null", "random", "urandom", "zero")


def start(
    image: Image,
    command: Sequence[str],
    *,
    volumes: Mapping[str, Path] | None = None,
    environment: Mapping[str, str] | None = None,
    read_only: bool = True,
) -> subprocess.Popen[str]:
    """Start a command in a container of an image. The process is the command's own: its signals reach it.

    :param volumes: folders by where they are mounted in the container, which may write to them.
    :param environment: beside what the image sets, and instead of it.
    :param read_only: whether nothing but the volumes and ``/dev/shm`` can be written to.
    """
    root, (uid, gid) = image.root, image.ids()
    # In a namespace of its own, so that the mounts go when the process does.
    mounts = ["mount --bind $ROOT $ROOT", "mount -t proc proc $ROOT/proc"]
    mounts += ["mount -o remount,bind,ro $ROOT"] if read_only else []
    mounts += ["mount -t tmpfs -o mode=0755 tmpfs $ROOT/dev", "mkdir -m 1777 $ROOT/dev/shm"]
    mounts += [f"touch $ROOT/dev/{name}; mount --bind /dev/{name} $ROOT/dev/{name}" for name in _DEVICES]
    mounts += [f"mount --bind {shlex.quote(str(of))} $ROOT{at}" for at, of in (volumes or {}).items()]
    variables = {**image.environment(), **(environment or {})}
    directory = image.config["WorkingDir"] or "/"
    script = "\n".join(
        [
            "set -e",
            f"ROOT={shlex.quote(str(root))}",
            *mounts,
            f"exec chroot --userspec={uid}:{gid} --groups= $ROOT env -i --chdir={directory} "
            + shlex.join([f"{name}={value}" for name, value in variables.items()] + list(command)),
        ]
    )
    return subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(
    image: Image,
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    read_only: bool = True,
) -> tuple[int, str]:
    """Run a command in a container to its end; return its exit status, and what it printed."""
    process = start(image, command, environment=environment, read_only=read_only)
    try:
        printed, _ = process.communicate(timeout=240)
    finally:
        end(process)
    return process.returncode, printed


def volume(image: Image, at: str, folder: Path) -> Path:
    """Make a folder the volume that is mounted there: like Docker, with the owner and mode of what it hides."""
    status = (image.root / at.lstrip("/")).stat()
    folder.mkdir(exist_ok=True)
    os.chown(folder, status.st_uid, status.st_gid)
    folder.chmod(status.st_mode)
    return folder


def end(process: subprocess.Popen[str]) -> None:
    """Leave nothing of a container running."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
        process.wait()
    if process.stdout:
        process.stdout.close()
