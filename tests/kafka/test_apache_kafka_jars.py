"""Fetching Apache Kafka: once, whole or not at all, and errors that say what to install. Maven and Java are scripts."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import apache_kafka_jars
from tests.support.apache_kafka_jars import FetchError, ProgramMissingError, fetch, java_path

_FETCHES = "mkdir -p jars; sleep 0.3; echo jar > jars/kafka.jar; echo run >> {runs}"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that alone is on the PATH, with the few programs that the scripts use."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "mkdir", "sleep"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def write_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_without_maven_it_says_what_to_install(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(ProgramMissingError, match=r"no program mvn on the PATH: install it .*apt-get install maven"):
        fetch(tmp_path / "cache")


def test_without_java_it_says_what_to_install(programs: Path) -> None:
    with pytest.raises(ProgramMissingError, match=r"no program java on the PATH.*Java 17 or later: install it"):
        java_path()


@pytest.mark.parametrize("version", ["11.0.20", "1.8.0_402"])
def test_an_old_java_is_refused(programs: Path, version: str) -> None:
    write_program(programs / "java", f"echo 'openjdk version \"{version}\" 2024' >&2")
    with pytest.raises(ProgramMissingError, match=f'version "{version}" 2024. .*Java 17 or later'):
        java_path()


def test_java_home_comes_before_the_path(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(programs / "java", "echo 'openjdk version \"11.0.20\"' >&2")
    write_program(tmp_path / "jdk" / "bin" / "java", "echo 'openjdk version \"21\" 2023' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert java_path() == tmp_path / "jdk" / "bin" / "java"


def test_many_at_once_fetch_once(programs: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_program(programs / "mvn", _FETCHES.format(runs=runs))
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(fetch, [tmp_path / "cache"] * 4))
    assert folders == {tmp_path / "cache" / f"apache-kafka-{apache_kafka_jars.version()}" / "jars"}
    assert (folders.pop() / "kafka.jar").exists()
    fetch(tmp_path / "cache")
    assert runs.read_text() == "run\n"


def test_half_a_fetch_does_not_look_whole(programs: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    write_program(programs / "mvn", "mkdir jars; echo jar > jars/first.jar; echo no route to it; exit 1")
    with pytest.raises(FetchError, match=r"exit status 1.*\n.*no route to it"):
        fetch(cache)
    assert not (cache / f"apache-kafka-{apache_kafka_jars.version()}").exists()

    write_program(programs / "mvn", _FETCHES.format(runs=tmp_path / "runs"))
    assert [path.name for path in fetch(cache).iterdir()] == ["kafka.jar"]


def test_another_pom_is_fetched_anew(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    write_program(programs / "mvn", _FETCHES.format(runs=runs))
    fetch(tmp_path / "cache")
    changed = tmp_path / "pom.xml"
    changed.write_text(apache_kafka_jars._POM_PATH.read_text() + "<!-- changed -->\n")
    monkeypatch.setattr(apache_kafka_jars, "_POM_PATH", changed)
    fetch(tmp_path / "cache")
    assert runs.read_text() == "run\nrun\n"


def test_a_password_in_a_repository_address_stays_out_of_the_error(programs: Path, tmp_path: Path) -> None:
    write_program(programs / "mvn", "echo 'from mirror (https://reader:hunter2@repo.example/maven)'; exit 1")
    with pytest.raises(FetchError, match=r"https://repo\.example/maven") as raised:
        fetch(tmp_path / "cache")
    assert "hunter2" not in str(raised.value)


def test_the_cache_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_EMULATOR_APACHE_KAFKA_CACHE_DIR", str(tmp_path))
    assert apache_kafka_jars.default_cache_dir() == tmp_path
    monkeypatch.delenv("DATA_EMULATOR_APACHE_KAFKA_CACHE_DIR")
    assert apache_kafka_jars.default_cache_dir().name == ".lab"
