"""Real servers on loopback for what lies between Airflow and the service: HTTP, TLS, and a proxy."""

from __future__ import annotations

import ipaddress
import json
import re
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class SilentServer(ThreadingHTTPServer):
    """Says nothing of clients that break off, as those do that find TLS where they expected none."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def serving(
    handler: type[BaseHTTPRequestHandler],
    tls: ssl.SSLContext | None = None,
    kind: type[ThreadingHTTPServer] = SilentServer,
) -> Iterator[int]:
    """Run a server on a free port of loopback, which it yields."""
    server = kind(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Seen:
    """A request that reached a server."""

    path: str
    headers: dict[str, str]


def service_that_runs(seen: list[Seen]) -> type[BaseHTTPRequestHandler]:
    """A service in which every emulation is running; it notes what it is asked."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            seen.append(Seen(self.path, dict(self.headers)))
            body = json.dumps({"status": {"global_status": "processing", "threads": {}}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    return Handler


def proxy_to_all(seen: list[Seen]) -> type[BaseHTTPRequestHandler]:
    """An HTTP proxy, by CONNECT and by whole URLs; it notes what goes through."""

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            seen.append(Seen(self.path, dict(self.headers)))
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port))) as upstream:
                self.send_response(200)
                self.end_headers()
                self._relay(upstream)

        def do_GET(self) -> None:
            seen.append(Seen(self.path, dict(self.headers)))
            parts = urlsplit(self.path)
            with socket.create_connection((parts.hostname or "", parts.port or 80)) as upstream:
                headers = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
                upstream.sendall(f"GET {parts.path} HTTP/1.0\r\n{headers}\r\n".encode())
                while data := upstream.recv(65536):
                    self.wfile.write(data)

        def _relay(self, upstream: socket.socket) -> None:
            pair = {self.connection: upstream, upstream: self.connection}
            while ready := select.select(list(pair), [], [], 10)[0]:
                for each in ready:
                    if not (data := each.recv(65536)):
                        return
                    pair[each].sendall(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    return Handler


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as files."""

    cert: Path
    key: Path

    def server_context(self, trusted_clients: Path | None = None) -> ssl.SSLContext:
        """For a server that shows it, and asks for a client's certificate by one of the authorities in a file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        if trusted_clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(trusted_clients)
        return context


class Authority:
    """A certificate authority of a company: nobody knows it who is not told."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test {name}")])
        self._made = self._sign(self._subject, self._key.public_key(), None, days=1, is_authority=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._made.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, file_name: str = "server", name: str = "127.0.0.1", days: int = 1, password: bytes | None = None
    ) -> Certificate:
        """Make a certificate for a name or an address, valid until so many days from now.

        :param password: to encrypt the key with
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        is_address = re.fullmatch(r"[\d.]+", name)
        alternative = x509.IPAddress(ipaddress.ip_address(name)) if is_address else x509.DNSName(name)
        made = self._sign(subject, key.public_key(), alternative, days, is_authority=False)
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        files = Certificate(self._folder / f"{file_name}.cert.pem", self._folder / f"{file_name}.key.pem")
        files.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        files.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        return files

    def _sign(self, subject: x509.Name, key: Any, name: Any, days: int, *, is_authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        issuer_key = self._key.public_key()
        builder = (
            x509.CertificateBuilder(self._subject, subject, key, x509.random_serial_number())
            .not_valid_before(now - timedelta(days=10))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=is_authority,
                    crl_sign=is_authority,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        )
        if name is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        return builder.sign(self._key, hashes.SHA256())
