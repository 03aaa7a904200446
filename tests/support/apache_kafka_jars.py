"""Fetching Apache Kafka, which no Python package holds: its jars, by Maven, once; and the Java that runs them."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from data_emulator.stack.folders import lab_dir
from data_emulator.stack.processes import StackError

CACHE_DIR_VARIABLE = "DATA_EMULATOR_APACHE_KAFKA_CACHE_DIR"
_POM_PATH = Path(__file__).with_name("apache_kafka_pom.xml")
_JAVA_VERSION_NEEDED = 17
_FETCH_TIMEOUT_S = 900
_OUTPUT_TAIL_LINES = 20


class ProgramMissingError(StackError):
    """Java or Maven is missing or too old; the message says what to install."""


class FetchError(StackError):
    """Maven could not fetch the jars; the message ends with what it said."""


def version() -> str:
    """Return the version of Apache Kafka that is fetched, which apache_kafka_pom.xml alone decides."""
    found = re.search(r"<version>([^<]+)</version>", _POM_PATH.read_text())
    if found is None:
        raise StackError(f"{_POM_PATH} names no version")
    return found[1]


def default_cache_dir() -> Path:
    """Return the folder below which the jars are kept: what `CACHE_DIR_VARIABLE` names, or `.lab`."""
    named = os.environ.get(CACHE_DIR_VARIABLE)
    return Path(named).resolve() if named else lab_dir()


def fetch(cache_dir: Path) -> Path:
    """Return the folder with the jars of Apache Kafka, `apache-kafka-<version>/jars` in `cache_dir`.

    What is not there is fetched by Maven, from wherever the user's Maven settings say. The folder appears when it is
    whole, and not before; of several processes that want it at the same time, one fetches and the others wait.
    Raises ProgramMissingError and FetchError.
    """
    kept = cache_dir / f"apache-kafka-{version()}"
    if not _is_current(kept):
        cache_dir.mkdir(parents=True, exist_ok=True)
        with _lock(kept.with_name(f"{kept.name}.lock")) as lock:
            if not _is_current(kept):
                _fetch_into(kept, lock)
    return kept / "jars"


def class_path(jars_dir: Path) -> str:
    """Return the class path that names every jar in `jars_dir`."""
    return f"{jars_dir}/*"


def java_path() -> Path:
    """Return the program `java`, from JAVA_HOME or the PATH.

    Raises ProgramMissingError when there is none, or one older than Java 17.
    """
    install = (
        f"Apache Kafka runs on Java {_JAVA_VERSION_NEEDED} or later: install it (on Debian and Ubuntu: apt-get install "
        "openjdk-17-jre-headless; on macOS: brew install openjdk@17), or set JAVA_HOME to one"
    )
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=f"{home}/bin" if home else None)
    if program is None:
        raise ProgramMissingError(f"no program java {f'in JAVA_HOME, {home}' if home else 'on the PATH'}. {install}.")
    answer = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    if found is None or int(found[1]) < _JAVA_VERSION_NEEDED:
        said = answer.stderr.strip().splitlines() or ["nothing"]
        raise ProgramMissingError(f"{program} is not what is needed, 'java -version' says: {said[0]}. {install}.")
    return Path(program)


def _is_current(kept: Path) -> bool:
    """Tell whether `kept` is what the POM asks for now. Whole it is if it exists."""
    pom = kept / "pom.xml"
    return pom.exists() and pom.read_bytes() == _POM_PATH.read_bytes()


def _fetch_into(kept: Path, lock: IO[str]) -> None:
    part = kept.with_name(f"{kept.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # Of a fetch that was killed.
    part.mkdir()
    shutil.copyfile(_POM_PATH, part / "pom.xml")
    _run_maven(part, lock)
    shutil.rmtree(kept, ignore_errors=True)  # What another POM asked for.
    part.replace(kept)


def _run_maven(work_dir: Path, lock: IO[str]) -> None:
    """Copy what `work_dir`/pom.xml names, and what that needs, to `work_dir`/jars."""
    program = shutil.which("mvn")
    if program is None:
        raise ProgramMissingError(
            f"Apache Kafka {version()} is fetched with Maven, and there is no program mvn on the PATH: install it (on "
            "Debian and Ubuntu: apt-get install maven; on macOS: brew install maven)."
        )
    arguments = [
        "--batch-mode",
        "--quiet",
        "--strict-checksums",
        "dependency:copy-dependencies",
        "-DoutputDirectory=jars",
        "-DincludeScope=runtime",
    ]
    try:
        maven = subprocess.run(
            [program, *arguments],
            cwd=work_dir,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_FETCH_TIMEOUT_S,
            check=False,
            # With the lock's file open in it too, a Maven that outlives this process keeps the others waiting.
            pass_fds=(lock.fileno(),),
        )
    except subprocess.TimeoutExpired:
        raise FetchError(f"Maven had not fetched Apache Kafka {version()} after {_FETCH_TIMEOUT_S} s") from None
    if maven.returncode != 0:
        # A repository's address may hold a password.
        output = re.sub(r"//[^/@\s]+@", "//", maven.stdout)
        tail = "\n".join(output.strip().splitlines()[-_OUTPUT_TAIL_LINES:])
        raise FetchError(
            f"Maven could not fetch Apache Kafka {version()} (exit status {maven.returncode}). Look at the network, "
            f"and at Maven's settings.xml when there is a mirror or a proxy. It said:\n{tail}"
        )


@contextmanager
def _lock(path: Path) -> Iterator[IO[str]]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
