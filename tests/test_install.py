"""What somebody meets who types `make` for the first time: the list of targets, the installation, its refusals."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

import install
from tests.support.http_servers import Authority, serving

ROOT = Path(__file__).parent.parent
UV = Path(sys.executable).with_name("uv")
WHEEL = "sample-1.0-py3-none-any.whl"


# As in a shell of one's own: `make test` tells a make below it that it is one, which then also names its folder.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


def make(*arguments: str) -> str:
    command = ["make", *arguments]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout


class TestTargets:
    def test_every_target_is_listed_in_a_group_and_fits_in_60_columns(self) -> None:
        shown = make()
        assert max(map(len, shown.splitlines())) <= 60
        assert re.findall(r"^(\w+)$", shown, re.MULTILINE) == ["Start", "Test", "Develop", "Measure"]
        phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert phony is not None
        listed = re.findall(r"^  ([a-z0-9-]+) ", shown, re.MULTILINE)
        assert sorted(listed) == sorted(phony[1].replace("\\\n", " ").split())

    def test_uv_trusts_what_the_system_trusts_if_it_has_a_store(self) -> None:
        stores = [*Path("/etc/ssl/certs").glob("*.*"), Path("/etc/ssl/cert.pem")]
        has_store = any(path.exists() for path in stores) or "SSL_CERT_FILE" in os.environ
        assert make("--eval", "show:;@echo [$$UV_SYSTEM_CERTS]", "show") == ("[true]\n" if has_store else "[]\n")


class TestRefusals:
    @pytest.mark.parametrize(("user_id", "command"), [(0, "apt install"), (1000, "sudo apt install")])
    def test_debians_package_is_named_for_this_python(
        self, monkeypatch: pytest.MonkeyPatch, user_id: int, command: str
    ) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        monkeypatch.setattr(os, "geteuid", lambda: user_id)
        monkeypatch.setattr(Path, "exists", lambda path: True)
        with pytest.raises(install.InstallError) as refusal:
            install.check_venv()
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        assert str(refusal.value).endswith(f"\n    {command} python{version}-venv")

    @pytest.mark.parametrize(
        ("output", "advice"),
        [
            ("OSError: [Errno 28] No space left on device", "too little disk space"),
            ("  cause: invalid peer certificate: UnknownIssuer", "PIP_CERT"),
            ("SSLError(... certificate verify failed ...)\nERROR: No matching distribution found", "PIP_CERT"),
            ("ERROR: No matching distribution found for uv==0.13.9", "An old pip"),
            ("  cause: dns error", "PIP_INDEX_URL"),
            ("ERROR: HTTP error 401 Unauthorized", "asks for a login"),
        ],
    )
    def test_what_pip_and_uv_say_is_explained_below_it(self, output: str, advice: str) -> None:
        explained = install.explain(output)
        assert explained.startswith(output)
        assert advice in " ".join(explained[len(output) :].split())

    def test_an_error_that_nobody_foresaw_is_shown_as_it_is(self) -> None:
        assert install.explain("error: something else\n") == "error: something else"


class TestCompanyIndex:
    def test_uv_is_told_what_pip_is_told(self) -> None:
        config = "global.index-url='https://old/'\n:env:.index-url='https://new/'\nglobal.cert='/ca.pem'\n"
        made = install.uv_environment(config, {"HOME": "/home/ada"})
        assert made["UV_DEFAULT_INDEX"] == "https://new/"
        assert made["SSL_CERT_FILE"] == "/ca.pem"
        assert install.uv_environment(config, {"SSL_CERT_FILE": "/own.pem"})["SSL_CERT_FILE"] == "/own.pem"

    def test_a_private_authority_that_only_pip_was_told_of(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / WHEEL, "w") as wheel:
            information = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            wheel.writestr("sample-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n")
            wheel.writestr("sample-1.0.dist-info/WHEEL", information)
            wheel.writestr("sample-1.0.dist-info/RECORD", "")

        class Index(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_wheel = self.path.endswith(WHEEL)
                body = (tmp_path / WHEEL).read_bytes() if is_wheel else f'<a href="/{WHEEL}">{WHEEL}</a>'.encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/zip" if is_wheel else "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                pass

        authority = Authority(tmp_path)
        with serving(Index, authority.issue().server_context()) as port:
            config = f":env:.index-url='https://127.0.0.1:{port}/simple'\n"
            bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "UV_HTTP_RETRIES": "0"}
            command = [UV, "pip", "install", "--no-cache", "--target", tmp_path / "installed", "sample"]

            def run(config: str) -> subprocess.CompletedProcess[str]:
                environment = install.uv_environment(config, bare)
                return subprocess.run(
                    [*command, "--python", sys.executable], env=environment, capture_output=True, text=True, check=False
                )

            refused = run(config)
            assert refused.returncode
            assert "export PIP_CERT=" in install.explain(refused.stderr)
            assert not (accepted := run(f"{config}global.cert='{authority.file}'\n")).returncode, accepted.stderr
        assert (tmp_path / "installed" / "sample-1.0.dist-info").exists()


# Runs a command in a terminal: what it reads is typed there, and its exit status is the signal that ended the command.
# Where this test runs in the background, Ctrl-C is ignored, and what is started would ignore it too.
TERMINAL = """
import os, pty, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
sys.exit(-os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
"""


def test_ctrl_c_shows_one_line(tmp_path: Path) -> None:
    """The terminal sends the signal to make, to what it runs, and to what that runs."""
    for name in ("Makefile", "install.py", "requirements.lock", "setup.cfg", "setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    command = [sys.executable, "-c", TERMINAL, "make", f"PYTHON={sys.executable}", "install"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as terminal:
        assert terminal.stdin is not None
        assert terminal.stdout is not None
        before = b""
        while b"the virtual environment ..." not in before:
            before += terminal.stdout.read(4096) or pytest.fail(before.decode())
        terminal.stdin.write(b"\x03")
        shown = terminal.stdout.read().decode()
    assert terminal.returncode == signal.SIGINT
    lines = re.sub(r"\^C|\x1b\[K", "", shown).replace("\r", "\n").split("\n")
    assert [line for line in lines if line and not line.startswith("[")] == [
        "Stopped. The same command goes on from what is downloaded."
    ]
    assert not (tmp_path / ".venv" / ".installed").exists()
