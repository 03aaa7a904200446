"""What is said to a name that there is not."""

import pytest

from data_emulator.suggestion import did_you_mean, suggestion

DOMAINS = ["user-profile", "device-log", "transaction"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("transactions", "transaction"),
        ("Transacton", "transaction"),
        ("user_profile", "user-profile"),
        ("DEVICELOG", "device-log"),
        ("orders", None),
        ("", None),
    ],
)
def test_the_name_that_is_most_like_it_is_suggested(given: str, meant: str | None) -> None:
    assert did_you_mean(given, DOMAINS) == meant


def test_the_suggestion_has_the_case_of_the_known_name() -> None:
    assert did_you_mean("minio", ["MinIO", "kafka"]) == "MinIO"


def test_a_suggestion_lists_all_names() -> None:
    assert suggestion("transactoin", DOMAINS) == (
        "did you mean 'transaction'? There are user-profile, device-log, transaction"
    )
    assert suggestion("orders", DOMAINS) == "there are user-profile, device-log, transaction"
    assert suggestion("x", ["json"]) == "there is json"
