"""Images built and looked into by Debian's buildah, without a Docker engine; as root, in a storage of their own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Image:
    """A built image, and a container of it that is never written to.

    :param root: the container's root folder.
    :param config: as Docker knows it: `User`, `Env`, `Entrypoint` and so on.
    """

    name: str
    root: Path
    config: dict[str, Any]

    def environment(self) -> dict[str, str]:
        """What a container's process finds set."""
        return dict(pair.split("=", 1) for pair in self.config["Env"])

    def ids(self) -> tuple[int, int]:
        """The user and the group that a container runs as."""
        user = self.config["User"] or "root"
        for line in (self.root / "etc/passwd").read_text().splitlines():
            name, _, uid, gid, *_ = line.split(":")
            if name == user:
                return int(uid), int(gid)
        raise AssertionError(f"{self.name} runs as {user}, whom it does not know")


class Buildah:
    """buildah with everything that it keeps in one folder.

    :param folder: an existing one, whose owner removes it after `close`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, command: str, *arguments: str | Path) -> str:
        """Run a command to its end and return what it printed.

        :raises AssertionError: when it fails, with all that it printed.
        """
        storage: list[str | Path] = [
            "--root",
            self._folder / "storage",
            "--runroot",
            self._folder / "run",
            "--storage-driver",
            "vfs",
        ]
        return run(["buildah", *storage, command, *arguments], env={**os.environ, "TMPDIR": str(self._folder)})

    def build(self, name: str, recipe: Path, context: Path, *arguments: str | Path) -> None:
        """Build an image, as `docker build` would; images that a recipe starts from have to be there."""
        # Without the option the image is OCI's, which has neither HEALTHCHECK nor ONBUILD.
        kind = ["--format", "docker", "--isolation", "chroot", "--pull-never"]
        self("build", *kind, *arguments, "--tag", name, "--file", recipe, context)

    def image(self, name: str) -> Image:
        """Return an image, with a container of it mounted."""
        container = self("from", "--pull-never", name).strip()
        config = json.loads(self("inspect", "--type", "image", name))["Docker"]["config"]
        return Image(name, Path(self("mount", container).strip()), config)

    def close(self) -> None:
        """Unmount and remove all containers."""
        self("rm", "--all")


def run(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return its standard output.

    :raises AssertionError: when it fails, with all that it printed.
    """
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, (
        f"{command} ended with {done.returncode}:\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
    )
    return done.stdout
