from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from include.bronze.lines import csv_rows, decompressed, lines
from include.bronze.rows import csv_fields, json_emulation_id
from include.exceptions import StorageUnavailableError


def cut(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_do_not_depend_on_how_they_were_cut(size: int) -> None:
    text = "ä\n\nb\n" + "c" * 20 + "\nlast"
    assert list(lines(cut(text.encode(), size))) == ["ä", "", "b", "c" * 20, "last"]
    assert list(lines(cut((text + "\n").encode(), size))) == ["ä", "", "b", "c" * 20, "last"]


def test_no_content_has_no_lines() -> None:
    assert list(lines(iter(()))) == []


def test_only_a_line_feed_ends_a_line() -> None:
    # Others, which str.splitlines would break at, stand in values.
    assert list(lines([b"a\rb\x0bc\xe2\x80\xa8d\n"])) == ["a\rb\x0bc\u2028d"]


def test_a_row_of_csv_may_have_line_ends_within_quotes() -> None:
    rows = ['a,"b\nc",""', '"say ""x\n"""', "plain"]
    assert list(csv_rows(lines(["\n".join(rows).encode() + b"\n"]))) == rows
    assert [csv_fields(row) for row in rows] == [["a", "b\nc", ""], ['say "x\n"'], ["plain"]]


def test_a_row_whose_quote_is_never_closed_is_given_as_it_is() -> None:
    assert list(csv_rows(["a", '"b', "c"])) == ["a", '"b\nc']


@pytest.mark.parametrize("text", ["", "no json", "[]", "null", '{"emulation_id": 1}', "{}"])
def test_what_is_no_record(text: str) -> None:
    assert json_emulation_id(text) is None


def test_an_error_of_the_store_passes_through_the_decompressor_as_it_is() -> None:
    def chunks() -> Iterator[bytes]:
        yield gzip.compress(b"a\n" * 100_000)[:100]
        raise StorageUnavailableError("gone")

    with pytest.raises(StorageUnavailableError, match="gone"):
        list(decompressed("k.json.gz", chunks()))


def test_several_members_of_gzip_are_one_content() -> None:
    content = gzip.compress(b"a\n") + gzip.compress(b"b\n")
    assert list(lines(decompressed("k.gz", cut(content, 5)))) == ["a", "b"]
