"""What `make install` runs: create .venv with what requirements.lock pins, and say what goes wrong in plain words.

It needs nothing but the standard library of Python 3.11 or later. Everything that it says is on standard output;
the exit status is 1 after an error, 130 after Ctrl-C.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

VENV = Path(".venv")
LOCK = Path("requirements.lock")
ERASE = "\r\x1b[K" if sys.stdout.isatty() else ""  # the terminal's current line
# Measured on Debian 13 with an empty cache: docs/install.md.
DOWNLOAD_MB, DISK_MB = 370, 950

# Options of pip and the variables by which uv is told the same; uv reads neither pip's files nor its variables.
PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}

# What to say if a regular expression is found in the output of pip or uv. The first that is found counts.
ADVICE = {
    "No space left on device|os error 28": """
        There is too little disk space: {free} MB are free in {folder}, a first installation takes {disk} MB.
        uv keeps what it has downloaded in ~/.cache/uv, or where UV_CACHE_DIR says.""",
    "CERTIFICATE_VERIFY_FAILED|certificate verify failed|invalid peer certificate|No CA certificates": """
        This machine does not trust the certificate of the package index. Behind a company's proxy, either add the
        company's CA certificate to the system (on Debian, as root, copy it to
        /usr/local/share/ca-certificates/company.crt and run update-ca-certificates), or name its file:
        export PIP_CERT=/path/to/ca.pem""",
    "401 Unauthorized|403 Forbidden|407 Proxy": """
        The package index, or a proxy before it, asks for a login or refuses this one. PIP_INDEX_URL or pip's
        configuration names the index, HTTPS_PROXY the proxy.""",
    "(?i)name resolution|dns error|name or service not known|connection refused|timed out|unreachable": """
        The package index cannot be reached. Behind a proxy, export HTTPS_PROXY=http://proxy:port; if your company has
        an index of its own, export PIP_INDEX_URL=https://...""",
    "No matching distribution": """
        pip found nothing that it could install. An old pip says so too when it does not trust the certificate of the
        package index. Behind a company's proxy, export PIP_CERT=/path/to/ca.pem, the company's CA certificate.""",
}


class InstallError(Exception):
    """The installation failed; the text says why and what to do."""


class Steps:
    """A line for each step with the seconds since the start; on a terminal the clock of the current one runs."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def run(self, what: str, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        """Run a command without its output.

        Raises:
            InstallError: It failed; the text ends with an explanation, if there is one.
        """
        with subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                output = self._wait(process, what)
            except KeyboardInterrupt:
                process.terminate()
                process.communicate()
                raise
        if process.returncode:
            raise InstallError(explain(output))
        self._print(what, "\n")

    def _wait(self, process: subprocess.Popen[str], what: str) -> str:
        while True:
            if ERASE:
                self._print(what + " ...", "\r")
            try:
                return process.communicate(timeout=1)[0]
            except subprocess.TimeoutExpired:
                continue

    def _print(self, what: str, end: str) -> None:
        print(f"{ERASE}[{time.monotonic() - self._start:4.0f} s] {what}", end=end, flush=True)


def explain(output: str) -> str:
    """Return the end of a program's output, and below it what it means and what to do, if that is known."""
    lines = [line for line in output.splitlines() if line.strip() and not line.startswith("hint:")]
    for pattern, advice in ADVICE.items():
        if re.search(pattern, output):
            advice = advice.format(free=free_mb(), folder=Path.cwd(), disk=DISK_MB)
            return "\n".join([*lines[-3:], "", wrap(advice)])
    return "\n".join(lines[-12:])


def free_mb() -> int:
    """Return the free disk space here, in MB."""
    return shutil.disk_usage(Path.cwd()).free // 1_000_000


def wrap(text: str) -> str:
    """Return a paragraph in lines as wide as the terminal, 100 columns at most."""
    width = min(shutil.get_terminal_size().columns, 100)
    return textwrap.fill(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)


def check_venv() -> None:
    """Raise InstallError if this Python cannot create environments, with the command that mends it."""
    if importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"):
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if Path("/etc/debian_version").exists():
        sudo = "" if os.geteuid() == 0 else "sudo "
        raise InstallError(
            f"{sys.executable} cannot create virtual environments yet. Run:\n\n    {sudo}apt install {package}"
        )
    raise InstallError(
        f"{sys.executable} cannot create virtual environments: it lacks the module ensurepip. Install it."
    )


def uv_environment(pip_config: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for uv: those that there are, and what `pip config list` says, in uv's names.

    Of pip's sections the more special wins, as for pip itself: `global`, `install`, then its own variables, `:env:`.
    """
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for option, value in re.findall(rf"^{section}\.([\w-]+)='(.*)'$", pip_config, re.MULTILINE):
            if option in PIP_TO_UV:
                found[PIP_TO_UV[option]] = " ".join(value.replace("\\n", " ").split())
    return {**found, **environment, "VIRTUAL_ENV": str(VENV)}


def install(extras: str) -> None:
    """Create .venv anew and install the project with these extras (separated by commas), as the lock pins them."""
    check_venv()
    print(wrap(f"Installing into {VENV} (up to {DOWNLOAD_MB} MB to download, a minute or two)..."), flush=True)
    if not VENV.exists() and (free := free_mb()) < DISK_MB:
        print(wrap(f"Only {free} MB are free in {Path.cwd()}: {DISK_MB} MB may be needed."), flush=True)
    environment = dict(os.environ)
    steps = Steps()
    steps.run("the virtual environment", [sys.executable, "-m", "venv", "--clear", VENV], environment)
    pip: list[str | Path] = [VENV / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    uv_pin = next(line for line in LOCK.read_text().splitlines() if line.startswith("uv=="))
    steps.run("uv, which installs the rest", [*pip, "install", "--quiet", uv_pin], environment)
    config = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False).stdout
    steps.run(
        f"the packages that {LOCK} pins",
        [VENV / "bin" / "uv", "pip", "install", "--quiet", "--constraint", LOCK, "--editable", f".[{extras}]"],
        uv_environment(config, environment),
    )
    (VENV / ".installed").touch()


def main() -> int:
    """Install, and return the exit status."""
    try:
        install(sys.argv[1])
    except InstallError as error:
        print(f"\n{error}\n", flush=True)
        return 1
    except KeyboardInterrupt:
        print(f"{ERASE}Stopped. The same command goes on from what is downloaded.", flush=True)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
