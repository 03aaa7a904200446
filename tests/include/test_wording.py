from __future__ import annotations

import pytest

from include.wording import first_sentence, size


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (12_345_678, "12.3 MB"),
        (999_999, "1 MB"),
        (7_000_000_000_000_000_000, "7e+03 PB"),
    ],
)
def test_bytes_have_a_unit(n_bytes: int, text: str) -> None:
    assert size(n_bytes) == text


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("The bucket is gone", "The bucket is gone"),
        ("The bucket is gone. Make it again.", "The bucket is gone"),
        ("No answer from s3.example.com:9000 after 1.5 s", "No answer from s3.example.com:9000 after 1.5 s"),
        ("Error\n  of many\nlines! And more", "Error of many lines!"),
        ("word " * 100, "word " * 39 + "word ..."),
        ("", ""),
    ],
)
def test_a_reason_is_one_sentence(reason: str, sentence: str) -> None:
    assert first_sentence(reason) == sentence
