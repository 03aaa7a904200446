"""The button *Test*, against real sockets and servers on loopback."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from typing import Any

import pytest
from airflow.models import Connection

from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu
from include.hooks.data_emulator import DataEmulatorHook
from tests.support.http_servers import Authority, serving
from tests.support.recorded_server import recorded_server

TOKEN = "hunter2"
NO_SUCH = "00000000-0000-0000-0000-000000000000"
Reply = tuple[int, dict[str, str], str]


def reply(status: int, body: Any = "", **headers: str) -> Reply:
    return status, headers, body if isinstance(body, str) else json.dumps(body)


NO_EMULATION = reply(404, {"detail": f"Emulation ID {NO_SUCH} not found."})
READY = reply(200, {"ready": True, "checks": {"store": "ok", "minio": "ok", "kafka": "not configured"}})


def scripted(by_path: dict[str, Reply], otherwise: Reply) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = by_path.get(self.path, otherwise)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body.encode()))}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    return Handler


def emulator(readiness: Reply) -> type[BaseHTTPRequestHandler]:
    return scripted({"/readyz": readiness}, NO_EMULATION)


class Files(SimpleHTTPRequestHandler):
    """Python's own file server, as `python -m http.server` starts it."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def check(connect: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[bool, str]]:
    """Tests a connection; whatever it says must be one line, without the token."""

    def check(url: str, **extra: Any) -> tuple[bool, str]:
        connect(url, **{"token": TOKEN, **extra})
        good, message = DataEmulatorHook().test_connection()
        assert TOKEN not in message
        assert message.endswith(".")
        assert "\n" not in message
        return good, message

    return check


class TestNoAnswer:
    def test_a_name_that_does_not_exist(self, check: Any) -> None:
        good, message = check("http://nowhere.invalid:8000")
        assert not good
        assert message.startswith("The name nowhere.invalid cannot be resolved (")
        assert "): correct Host, or make the name known where Airflow runs." in message

    def test_a_closed_port(self, check: Any, closed_port: int) -> None:
        good, message = check(f"http://127.0.0.1:{closed_port}")
        assert not good
        assert message.startswith(
            f"127.0.0.1:{closed_port} refuses connections, so nothing listens there: correct Host"
        )

    def test_no_connection_in_time(self, check: Any) -> None:
        # A listener that accepts nothing: once its queue is full, Linux leaves what comes unanswered.
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            filling = [socket.socket() for _ in range(3)]
            for each in filling:
                each.setblocking(False)
                each.connect_ex(listener.getsockname())
            port = listener.getsockname()[1]
            good, message = check(f"http://127.0.0.1:{port}", connect_timeout=0.3)
            for each in filling:
                each.close()
        assert not good
        assert message.startswith(f"127.0.0.1:{port} could not be reached within 0.3 s (connect_timeout): correct Host")
        assert "firewall" in message

    def test_no_answer_in_time(self, check: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            good, message = check(f"http://127.0.0.1:{port}", read_timeout=0.3)
        assert not good
        assert message.startswith(
            f"127.0.0.1:{port} accepts connections, but did not answer within 0.3 s (read_timeout)"
        )

    def test_what_is_no_http_server(self, check: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def greet() -> None:
                accepted, _ = listener.accept()
                with accepted:
                    accepted.recv(1000)
                    accepted.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")

            thread = threading.Thread(target=greet, daemon=True)
            thread.start()
            good, message = check(f"http://127.0.0.1:{listener.getsockname()[1]}")
            thread.join()
        assert not good
        assert "broke the connection off, or does not speak plain HTTP: see whether the service crashes" in message

    def test_a_proxy_that_is_not_there(self, check: Any, closed_port: int) -> None:
        good, message = check("http://127.0.0.1:1", proxies={"http": f"http://me:secret@127.0.0.1:{closed_port}"})
        assert not good
        assert message.startswith("The proxy on the way to 127.0.0.1:1 does not work: correct `proxies`")
        assert "secret" not in message

    @pytest.mark.parametrize(
        ("url", "says"), [("ftp://emulator:8000", "Schema must be http or https"), ("http://:8000", "Host must name")]
    )
    def test_what_is_no_url_of_a_service(self, check: Any, url: str, says: str) -> None:
        good, message = check(url)
        assert not good
        assert says in message


class TestTls:
    def test_a_certificate_that_is_not_trusted(self, check: Any, authority: Authority) -> None:
        file = authority.file
        with serving(emulator(READY), authority.issue().server_context()) as port:
            good, message = check(f"https://127.0.0.1:{port}")
            assert not good
            assert message.startswith(
                f"The certificate of 127.0.0.1:{port} is not trusted (unable to get local issuer certificate): "
            )
            assert '"verify": "/path/to/ca.pem"' in message
            # What the sentence says helps.
            assert check(f"https://127.0.0.1:{port}", verify=str(file))[0]

    def test_a_certificate_for_another_name(self, check: Any, authority: Authority) -> None:
        tls = authority.issue(name="emulator.example.com").server_context()
        with serving(emulator(READY), tls) as port:
            good, message = check(f"https://127.0.0.1:{port}", verify=str(authority.file))
        assert not good
        assert message == (
            f"The certificate of 127.0.0.1:{port} is for another name: set Host to a name that the certificate has."
        )

    def test_a_certificate_that_has_expired(self, check: Any, authority: Authority) -> None:
        tls = authority.issue(days=-1).server_context()
        with serving(emulator(READY), tls) as port:
            good, message = check(f"https://127.0.0.1:{port}", verify=str(authority.file))
        assert not good
        assert message == f"The certificate of 127.0.0.1:{port} has expired: renew it at the service."

    def test_https_spoken_to_a_server_of_http(self, check: Any) -> None:
        with serving(emulator(READY)) as port:
            good, message = check(f"https://127.0.0.1:{port}")
        assert not good
        assert message == f"127.0.0.1:{port} does not speak TLS: set Schema to http, or correct Port."

    def test_https_spoken_to_what_breaks_off(self, check: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def break_off() -> None:
                accepted, _ = listener.accept()
                with accepted:
                    accepted.recv(10_000)

            thread = threading.Thread(target=break_off, daemon=True)
            thread.start()
            good, message = check(f"https://127.0.0.1:{listener.getsockname()[1]}")
            thread.join()
        assert not good
        assert re.search(r"set Schema to http|TLS with .* failed", message)

    def test_http_spoken_to_a_server_of_https(self, check: Any, authority: Authority) -> None:
        with serving(emulator(READY), authority.issue().server_context()) as port:
            good, message = check(f"http://127.0.0.1:{port}")
        assert not good
        assert message.startswith(f"127.0.0.1:{port} broke the connection off, or does not speak plain HTTP: ")
        assert "set Schema to https" in message

    def test_http_spoken_to_a_server_of_https_that_answers_in_plain(self, check: Any) -> None:
        with serving(scripted({}, reply(400, "<html>The plain HTTP request was sent to HTTPS port"))) as port:
            good, message = check(f"http://127.0.0.1:{port}")
        assert not good
        assert "it answered 400 with an HTML page; correct Schema, Host and Port." in message


class TestNoEmulator:
    @pytest.mark.parametrize(
        ("answer", "token", "says"),
        [
            (reply(401, {"detail": "no token"}), None, "wants a token (401): set Token"),
            (reply(401, {"detail": "hunter2 is wrong"}), TOKEN, "refuses the token (401): set Token"),
            (reply(403, {"detail": "not for hunter2"}), TOKEN, "forbids the request (403): use a token that may"),
            (
                reply(302, Location="https://me:hunter2@sso.example.com/login?token=hunter2"),
                TOKEN,
                "answers 302 with a redirect to https://sso.example.com/login; set Schema, Host and Port to the",
            ),
            (
                reply(404, {"detail": "Not Found"}),
                TOKEN,
                "it answered 404 with something else; correct Schema, Host and Port.",
            ),
            (reply(404, {"path": f"/emulator/{NO_SUCH}/status"}), TOKEN, "is not a Data Emulator Service"),
            (reply(404, f"<p>/emulator/{NO_SUCH} not found</p>"), TOKEN, "it answered 404 with an HTML page"),
            (reply(200, "<html><title>Welcome to nginx!</title></html>"), TOKEN, "it answered 200 with an HTML page"),
            (reply(200, {"status": "completed"}), TOKEN, "is not a Data Emulator Service"),
            (reply(500, "hunter2"), TOKEN, "answers 500, so the service is busy or broken: try again later"),
            (reply(400, {"detail": "https://docs.example.com"}), TOKEN, "it answered 400 with something else"),
            (reply(429, "", Retry_After="60"), TOKEN, "answers 429, so the service is busy or broken"),
            (reply(502, "<html>Bad Gateway</html>"), TOKEN, "answers 502, most likely a proxy in front of the service"),
        ],
    )
    def test_an_answer_that_is_not_the_services(self, answer: Reply, token: Any, says: str, check: Any) -> None:
        with serving(scripted({}, answer)) as port:
            good, message = check(f"http://127.0.0.1:{port}", token=token)
        assert not good
        assert says in message
        assert f"http://127.0.0.1:{port}" in message

    @pytest.mark.parametrize(
        ("answer", "other"),
        [
            (reply(403, "<Error><Code>AccessDenied</Code></Error>"), "an S3 store"),
            (reply(200, "<?xml version='1.0'?>\n<ListAllMyBucketsResult/>"), "an S3 store"),
            (reply(404, "", X_Amz_Request_Id="18EC18D02665805A"), "an S3 store"),
            (reply(503, "<Error>\n <Code>SlowDown</Code></Error>"), "an S3 store"),
            (reply(200, "<!doctype html><html><head><title>Airflow</title>"), "Airflow itself"),
        ],
    )
    def test_another_server_is_called_by_its_name(self, answer: Reply, other: str, check: Any) -> None:
        with serving(scripted({}, answer)) as port:
            good, message = check(f"http://127.0.0.1:{port}")
        assert not good
        assert message == (
            f"http://127.0.0.1:{port} is {other}, not a Data Emulator Service: set Host and Port to the service's."
        )

    def test_what_the_service_says_behind_amazons_load_balancer_counts(self, check: Any) -> None:
        refusal = reply(401, {"detail": "no token"}, X_Amz_Request_Id="18EC18D02665805A")
        with serving(scripted({}, refusal)) as port:
            assert "refuses the token (401): set Token" in check(f"http://127.0.0.1:{port}")[1]

    @pytest.mark.integration
    def test_the_port_of_a_real_store(self, check: Any, s3_store: SeaweedFS) -> None:
        good, message = check(s3_store.endpoint)
        assert not good
        assert message == (
            f"{s3_store.endpoint} is an S3 store, not a Data Emulator Service: set Host and Port to the service's."
        )

    @pytest.mark.integration
    def test_the_port_of_a_real_broker(self, check: Any, kafka_broker: Tansu) -> None:
        good, message = check(f"http://{kafka_broker.bootstrap_servers}", read_timeout=1)
        assert not good
        assert "correct Port if it is" in message
        assert "Kafka" in message

    def test_pythons_file_server(self, check: Any) -> None:
        with serving(Files) as port:
            good, message = check(f"http://127.0.0.1:{port}")
        assert not good
        assert message == (
            f"An HTTP server answers at http://127.0.0.1:{port}, but it is not a Data Emulator Service: asked for an "
            "emulation that cannot exist it answered 404 with an HTML page; correct Schema, Host and Port."
        )


class TestReadiness:
    def test_the_sinks_that_are_ready_are_named(self, check: Any) -> None:
        with serving(emulator(READY)) as port:
            assert check(f"http://127.0.0.1:{port}") == (
                True,
                f"A Data Emulator Service answers at http://127.0.0.1:{port}: minio is ready, kafka is not configured.",
            )

    def test_a_service_without_any_sink_is_not_ready(self, check: Any) -> None:
        checks = {"store": "ok", "minio": "not configured", "kafka": "not configured"}
        with serving(emulator(reply(503, {"ready": False, "checks": checks}))) as port:
            good, message = check(f"http://127.0.0.1:{port}")
        assert not good
        assert "but is not ready (minio: not configured; kafka: not configured): correct the service's" in message

    def test_a_sink_that_is_not_ready_is_named_with_the_reason(self, check: Any) -> None:
        checks = {"store": "ok", "minio": "ok", "kafka": "Kafka at broker:9092: Connection refused"}
        with serving(emulator(reply(503, {"ready": False, "checks": checks}))) as port:
            good, message = check(f"http://127.0.0.1:{port}")
        assert not good
        assert "but is not ready (kafka: Kafka at broker:9092: Connection refused): correct the service's" in message
        assert "minio" not in message

    def test_a_service_that_does_not_tell_why_it_is_not_ready(self, check: Any) -> None:
        with serving(emulator(reply(503, "warming up"))) as port:
            good, message = check(f"http://127.0.0.1:{port}")
        assert not good
        assert "but is not ready (warming up)" in message

    def test_a_sink_that_hangs(self, check: Any) -> None:
        hanging = threading.Event()

        class Hanging(emulator(READY)):  # type: ignore[misc]
            def do_GET(self) -> None:  # noqa: N802
                if self.path == "/readyz":
                    hanging.wait(30)
                super().do_GET()

        with serving(Hanging) as port:
            good, message = check(f"http://127.0.0.1:{port}", read_timeout=0.3)
            hanging.set()
        assert not good
        assert (
            "accepts connections, but did not answer within 0.3 s (read_timeout): see whether the service hangs"
            in message
        )

    @pytest.mark.parametrize(
        "answer", [reply(404, {"detail": "Not Found"}), reply(405), reply(200, "<html>"), reply(200, {"checks": 1})]
    )
    def test_a_service_without_readiness_is_good(self, answer: Reply, check: Any) -> None:
        with serving(emulator(answer)) as port:
            good, message = check(f"http://127.0.0.1:{port}")
        assert good
        assert message.endswith("It does not report whether its sinks are ready.")

    def test_the_original_service_is_good(self, check: Any) -> None:
        with recorded_server() as server:
            good, message = check(server.url)
        assert good
        assert message == (
            f"A Data Emulator Service answers at {server.url}. It does not report whether its sinks are ready."
        )


class TestAsTheApiDoesIt:
    """The API hands the form's values over as a URI in the environment, under an id that it makes up."""

    def test(self, check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        fields = {"read_timeout": 3, "retry_status_codes": [429], "s3_console_url": "https://m/b/{bucket}/{prefix}"}
        with serving(emulator(READY)) as port:
            connection = Connection(
                conn_id="made_up",
                conn_type="data_emulator",
                host="127.0.0.1",
                port=port,
                schema="http",
                password=TOKEN,
                extra=json.dumps(fields),
            )
            monkeypatch.setitem(os.environ, "AIRFLOW_CONN_MADE_UP", connection.get_uri())
            good, message = connection.test_connection()
        assert good, message
        assert "minio is ready" in message

    @pytest.mark.parametrize(
        ("host", "extra", "says"),
        [
            ("127.0.0.1", {"read_timeout": "long"}, "read_timeout must be a number above 0, got 'long'"),
            ("127.0.0.1", {"kafka_console_url": "k/{topic}"}, "kafka_console_url must be a URL that begins with http"),
            (
                "https://127.0.0.1",
                {"verify": "/no/such/ca.pem"},
                "verify is '/no/such/ca.pem', which cannot be used: No such file",
            ),
            ("http://me:hunter2@127.0.0.1", {}, "Host must not contain a user or password"),
        ],
    )
    def test_a_field_that_cannot_be_used(
        self, host: str, extra: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection = Connection(conn_id="made_up", conn_type="data_emulator", host=host, extra=json.dumps(extra))
        monkeypatch.setenv("AIRFLOW_CONN_MADE_UP", json.dumps({"host": host, "extra": extra}))
        good, message = connection.test_connection()
        assert not good
        assert says in message
        assert "hunter2" not in message
