"""What a connection says of the way to the service counts for both hooks: TLS, proxies, logins, a base path.

Everything is tried with real servers on loopback, once by the hook and once by its async twin.
"""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import pytest

from include.exceptions import DataEmulatorConfigError, DataEmulatorConnectionError
from include.wire.status import EmulationState
from tests.include.hooks.conftest import Look
from tests.support.http_servers import Authority, Seen, proxy_to_all, service_that_runs, serving


@pytest.fixture
def seen() -> list[Seen]:
    """The requests that reached the service."""
    return []


def assert_reached(look: Look) -> None:
    assert look().state is EmulationState.PROCESSING


class TestTls:
    """A service whose certificate is by a company's own authority."""

    def test_the_authority_that_the_connection_names_is_trusted(
        self, look: Look, connect: Any, seen: list[Seen], authority: Authority
    ) -> None:
        with serving(service_that_runs(seen), authority.issue().server_context()) as port:
            connect(f"https://127.0.0.1:{port}", verify=str(authority.file))
            assert_reached(look)

    def test_a_folder_of_authorities_is_trusted(
        self, look: Look, connect: Any, seen: list[Seen], authority: Authority, tmp_path: Path
    ) -> None:
        import ssl

        folder = tmp_path / "authorities"
        folder.mkdir()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(authority.file)
        # OpenSSL finds a certificate in a folder by the hash of its subject.
        import subprocess

        command = ["openssl", "x509", "-noout", "-hash", "-in", str(authority.file)]
        subject_hash = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        shutil.copy(authority.file, folder / f"{subject_hash}.0")
        with serving(service_that_runs(seen), authority.issue().server_context()) as port:
            connect(f"https://127.0.0.1:{port}", verify=str(folder))
            assert_reached(look)

    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_the_environment_names_authorities_unless_it_is_not_trusted(
        self,
        variable: str,
        look: Look,
        connect: Any,
        seen: list[Seen],
        authority: Authority,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv(variable, str(authority.file))
        with serving(service_that_runs(seen), authority.issue().server_context()) as port:
            connect(f"https://127.0.0.1:{port}")
            assert_reached(look)
            connect(f"https://127.0.0.1:{port}", trust_env=False, retry_attempts=1)
            with pytest.raises(DataEmulatorConnectionError, match="is not trusted"):
                look()

    def test_the_connection_counts_more_than_the_environment(
        self,
        look: Look,
        connect: Any,
        seen: list[Seen],
        authority: Authority,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Authority(tmp_path, "another").file))
        with serving(service_that_runs(seen), authority.issue().server_context()) as port:
            connect(f"https://127.0.0.1:{port}", verify=str(authority.file))
            assert_reached(look)

    def test_nothing_is_verified_if_the_connection_says_so(
        self, look: Look, connect: Any, seen: list[Seen], authority: Authority
    ) -> None:
        tls = authority.issue(name="another.example.com").server_context()
        with serving(service_that_runs(seen), tls) as port:
            connect(f"https://127.0.0.1:{port}", verify=False)
            assert_reached(look)

    @pytest.mark.parametrize(
        ("certificate", "trusted", "says"),
        [
            ({}, False, "is not trusted"),
            ({"name": "another.example.com"}, True, "is for another name"),
            ({"days": -1}, True, "has expired"),
        ],
    )
    def test_a_certificate_that_is_not_good_is_refused(
        self,
        certificate: dict[str, Any],
        trusted: bool,
        says: str,
        look: Look,
        connect: Any,
        seen: list[Seen],
        authority: Authority,
    ) -> None:
        with serving(service_that_runs(seen), authority.issue(**certificate).server_context()) as port:
            verify = {"verify": str(authority.file)} if trusted else {}
            connect(f"https://127.0.0.1:{port}", token="hunter2", retry_attempts=1, **verify)
            with pytest.raises(DataEmulatorConnectionError, match=says):
                look()
        assert seen == [], "and no token was sent"

    @pytest.mark.parametrize("form", ["two files", "one file", "as text"])
    def test_a_clients_certificate_is_shown(
        self, form: str, look: Look, connect: Any, seen: list[Seen], authority: Authority, tmp_path: Path
    ) -> None:
        client = authority.issue("client", "airflow")
        both = tmp_path / "both.pem"
        both.write_bytes(client.cert.read_bytes() + client.key.read_bytes())
        cert = {
            "two files": [str(client.cert), str(client.key)],
            "one file": str(both),
            "as text": f'["{client.cert}", "{client.key}"]',
        }[form]
        tls = authority.issue().server_context(trusted_clients=authority.file)
        with serving(service_that_runs(seen), tls) as port:
            connect(f"https://127.0.0.1:{port}", verify=str(authority.file), cert=cert)
            assert_reached(look)
            connect(f"https://127.0.0.1:{port}", verify=str(authority.file), retry_attempts=1)
            with pytest.raises(DataEmulatorConnectionError):
                look()
        assert len(seen) == 1

    @pytest.mark.parametrize("verify", [True, False])
    def test_a_clients_certificate_that_cannot_be_used_is_named(
        self, verify: bool, look: Look, connect: Any, authority: Authority, tmp_path: Path
    ) -> None:
        client, other = authority.issue("client"), authority.issue("other")
        encrypted = authority.issue("encrypted", password=b"hunter2")
        empty = tmp_path / "empty.pem"
        empty.touch()
        for cert in (
            ["/no/such/file.pem", str(client.key)],
            [str(client.cert), str(other.key)],
            [str(encrypted.cert), str(encrypted.key)],
            str(client.cert),
            str(empty),
        ):
            connect("https://127.0.0.1:9", cert=cert, verify=verify)
            with pytest.raises(DataEmulatorConfigError, match=r"cert is '.*', which cannot be used: "):
                look()

    def test_authorities_that_cannot_be_used_are_named(self, look: Look, connect: Any, tmp_path: Path) -> None:
        garbage = tmp_path / "garbage.pem"
        garbage.write_text("no certificate")
        for verify in ("/no/such/ca.pem", str(garbage)):
            connect("https://127.0.0.1:9", verify=verify)
            with pytest.raises(DataEmulatorConfigError, match=f"verify is '{verify}', which cannot be used: "):
                look()


class TestProxy:
    """A proxy that alone knows the way to the service."""

    @pytest.fixture
    def through(self) -> list[Seen]:
        """The requests that went through the proxy."""
        return []

    @pytest.mark.parametrize("tls", [False, True])
    @pytest.mark.parametrize("form", ["by scheme", "all", "one url", "no scheme", "as text"])
    def test_the_connections_proxy_is_used(
        self,
        form: str,
        tls: bool,
        look: Look,
        connect: Any,
        seen: list[Seen],
        through: list[Seen],
        authority: Authority,
    ) -> None:
        scheme = "https" if tls else "http"
        context = authority.issue().server_context() if tls else None
        with serving(proxy_to_all(through)) as proxy, serving(service_that_runs(seen), context) as port:
            url = f"http://127.0.0.1:{proxy}"
            proxies = {
                "by scheme": {scheme: url},
                "all": {"all": url},
                "one url": url,
                "no scheme": f"127.0.0.1:{proxy}",
                "as text": f'{{"{scheme}": "{url}"}}',
            }[form]
            connect(f"{scheme}://127.0.0.1:{port}", token="hunter2", proxies=proxies, verify=str(authority.file))
            assert_reached(look)
        assert len(through) == len(seen) == 1
        assert seen[0].headers["Authorization"] == "Bearer hunter2"
        if tls:
            assert "hunter2" not in str(through)

    def test_a_proxy_may_want_a_login(self, look: Look, connect: Any, seen: list[Seen], through: list[Seen]) -> None:
        with serving(proxy_to_all(through)) as proxy, serving(service_that_runs(seen)) as port:
            connect(f"http://127.0.0.1:{port}", proxies=f"http://me:hunter2@127.0.0.1:{proxy}")
            assert_reached(look)
        expected = "Basic " + base64.b64encode(b"me:hunter2").decode()
        assert through[0].headers["Proxy-Authorization"] == expected

    def test_the_environments_proxy_is_used_unless_it_is_not_trusted(
        self, look: Look, connect: Any, seen: list[Seen], through: list[Seen], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serving(proxy_to_all(through)) as proxy, serving(service_that_runs(seen)) as port:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy}")
            connect(f"http://127.0.0.1:{port}")
            assert_reached(look)
            assert len(through) == 1
            connect(f"http://127.0.0.1:{port}", trust_env=False)
            assert_reached(look)
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            connect(f"http://127.0.0.1:{port}")
            assert_reached(look)
        assert (len(through), len(seen)) == (1, 3)

    def test_the_connections_proxy_counts_more_than_the_environment(
        self, look: Look, connect: Any, seen: list[Seen], through: list[Seen], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "*")
        with serving(proxy_to_all(through)) as proxy, serving(service_that_runs(seen)) as port:
            connect(f"http://127.0.0.1:{port}", proxies={"http": f"http://127.0.0.1:{proxy}"})
            assert_reached(look)
            assert len(through) == 1
            connect(f"http://127.0.0.1:{port}", proxies={"http": f"http://127.0.0.1:{proxy}", "no_proxy": "127.0.0.1"})
            assert_reached(look)
        assert (len(through), len(seen)) == (1, 2)

    def test_a_proxy_that_does_not_work_is_told(self, look: Look, connect: Any) -> None:
        connect("http://127.0.0.1:9", proxies="http://me:hunter2@127.0.0.1:9", retry_attempts=1)
        with pytest.raises(DataEmulatorConnectionError, match=r"The proxy on the way to .* does not work") as caught:
            look()
        assert "hunter2" not in f"{caught.value!r}"

    def test_a_proxy_of_the_environment_that_cannot_be_used_is_told(
        self, look: Look, connect: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "socks5://me:hunter2@127.0.0.1:9")
        connect("http://127.0.0.1:9")
        with pytest.raises(DataEmulatorConfigError, match="a proxy must be an HTTP proxy, not socks5") as caught:
            look()
        assert "hunter2" not in f"{caught.value!r}"


class TestLogin:
    def test_a_login_is_sent_by_basic_authentication(
        self, look: Look, connect: Any, seen: list[Seen], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serving(service_that_runs(seen)) as port:
            monkeypatch.setenv("AIRFLOW_CONN_DATA_EMULATOR_DEFAULT", f"data-emulator://me:hunter2@127.0.0.1:{port}")
            assert_reached(look)
        assert seen[0].headers["Authorization"] == "Basic " + base64.b64encode(b"me:hunter2").decode()

    def test_netrc_is_read_if_the_connection_has_no_login_and_the_environment_is_trusted(
        self, look: Look, connect: Any, seen: list[Seen], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
        monkeypatch.setenv("NETRC", str(netrc))
        with serving(service_that_runs(seen)) as port:
            for extra in ({}, {"token": "of-the-connection"}, {"trust_env": False}):
                connect(f"http://127.0.0.1:{port}", **extra)
                assert_reached(look)
        basic = "Basic " + base64.b64encode(b"me:hunter2").decode()
        assert [each.headers.get("Authorization") for each in seen] == [basic, "Bearer of-the-connection", None]


@pytest.mark.parametrize("path", ["/emulator-service", "/a/b/"])
def test_a_base_path_comes_before_the_routes(
    path: str, look: Look, seen: list[Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(service_that_runs(seen)) as port:
        monkeypatch.setenv(
            "AIRFLOW_CONN_DATA_EMULATOR_DEFAULT", f'{{"host": "http://127.0.0.1{path}", "port": {port}}}'
        )
        assert_reached(look)
    assert seen[0].path == f"{path.rstrip('/')}/emulator/e1/status"


def test_an_ipv6_address_is_reached(look: Look, seen: list[Seen], monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from tests.support.http_servers import SilentServer

    class Six(SilentServer):
        address_family = socket.AF_INET6

        def __init__(self, address: Any, handler: Any) -> None:
            super().__init__(("::1", 0), handler)

    with serving(service_that_runs(seen), kind=Six) as port:
        monkeypatch.setenv("AIRFLOW_CONN_DATA_EMULATOR_DEFAULT", f'{{"host": "::1", "port": {port}}}')
        assert_reached(look)
    assert len(seen) == 1
