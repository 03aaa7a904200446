"""The client of the schema registry: what it sends, what it takes for an answer, and what it never shows."""

import pytest
from pydantic import SecretStr

from data_emulator.engine.source import RecordSource
from data_emulator.errors import ConfigurationError, SinkUnavailable
from data_emulator.formats.avro import avro_schema
from data_emulator.service.format_rules import checked_avro_schema
from data_emulator.settings import Settings
from data_emulator.sinks.kafka.schema_registry import SchemaRegistry
from tests.support.making import DOMAINS, plan
from tests.support.schema_registry import FakeSchemaRegistry

SECRET = "s3cr3t-of-the-registry"


def client(registry: FakeSchemaRegistry, **settings: object) -> SchemaRegistry:
    return SchemaRegistry(registry.url, Settings().model_copy(update=settings))


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_schema_has_one_id_under_the_topics_subject(ending: str) -> None:
    with FakeSchemaRegistry() as registry:
        opened = SchemaRegistry(registry.url + ending, Settings())
        ids = [opened.register(f"{domain}s", checked_avro_schema(domain)) for domain in (*DOMAINS, *DOMAINS)]
        assert ids[:3] == ids[3:]
        assert len(set(ids)) == 3
        assert registry.subjects == [f"{domain}s-value" for domain in (*DOMAINS, *DOMAINS)]
        assert registry.ids[avro_schema("transaction", RecordSource(plan()).schema)] == ids[2]


def test_a_schema_is_found_by_its_id() -> None:
    schema = checked_avro_schema("transaction")
    with FakeSchemaRegistry(login=f"me:{SECRET}") as registry:
        known = client(registry, schema_registry_user="me", schema_registry_password=SecretStr(SECRET))
        assert known.schema(known.register("t", schema)) == schema
        assert known.schema(7) is None
        with pytest.raises(SinkUnavailable, match=r"asking for schema 7: 401.*Unauthorized"):
            client(registry).schema(7)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, "x" * 10_000), "500 x{300}$"),
        ((200, "no JSON"), "without a schema: no JSON"),
        ((200, '{"schema": 5}'), "without a schema"),
    ],
)
def test_an_answer_without_a_schema_is_an_error(answer: tuple[int, str], said: str) -> None:
    with (
        FakeSchemaRegistry(answer=answer) as registry,
        pytest.raises(SinkUnavailable, match=f"Schema registry at {registry.url}, asking for schema 7: .*{said}"),
    ):
        client(registry).schema(7)


def test_user_and_password_are_sent_and_not_shown() -> None:
    schema = checked_avro_schema("transaction")
    with FakeSchemaRegistry(login=f"me:{SECRET}") as registry:
        known = client(registry, schema_registry_user="me", schema_registry_password=SecretStr(SECRET))
        assert known.register("t", schema) == 1_000_001
        wrong = client(registry, schema_registry_user="you", schema_registry_password=SecretStr(SECRET))
        for refused in (wrong, client(registry)):
            with pytest.raises(SinkUnavailable, match=r"t-value: 401.*Unauthorized") as caught:
                refused.register("t", schema)
            assert SECRET not in f"{caught.value!r} {refused!r}"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((409, '{"error_code":409,"message":"Schema being registered is incompatible"}'), "409.*incompatible"),
        ((500, "x" * 10_000), "500 x{300}$"),
        ((200, "no JSON"), "without an id: no JSON"),
        ((200, "[]"), "without an id"),
        ((200, '{"id": "seven"}'), "without an id"),
        ((200, '{"id": -1}'), "without an id"),
        ((200, '{"id": 4294967296}'), "without an id"),
        ((307, ""), "307"),
    ],
)
def test_any_other_answer_is_an_error_that_says_what_it_was(answer: tuple[int, str], said: str) -> None:
    with (
        FakeSchemaRegistry(answer=answer) as registry,
        pytest.raises(SinkUnavailable, match=f"Schema registry at {registry.url}.*{said}"),
    ):
        client(registry).register("t", "{}")


def test_a_registry_that_is_away_is_an_error(closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    with pytest.raises(SinkUnavailable, match=f"{url}, registering the schema of t-value: ConnectError"):
        SchemaRegistry(url, Settings()).register("t", "{}")


@pytest.mark.parametrize("url", ["registry:8081", "ftp://registry", "http://", "", f"http://me:{SECRET}@registry:8081"])
def test_an_address_that_is_none_or_holds_credentials_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="DATA_EMULATOR_SCHEMA_REGISTRY_URL must") as caught:
        SchemaRegistry(url, Settings())
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("half", [{"schema_registry_user": "me"}, {"schema_registry_password": SecretStr(SECRET)}])
def test_half_a_login_is_refused(half: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"SCHEMA_REGISTRY_USER and .*_PASSWORD go together"):
        SchemaRegistry("http://registry", Settings().model_copy(update=half))
