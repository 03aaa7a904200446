"""CSV: flat, quoted, and read back by other readers as it was."""

import csv as reader
import io

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from data_emulator.domains import all_domains
from data_emulator.domains.base import EventClock
from data_emulator.domains.world import world
from data_emulator.formats import csv
from data_emulator.formats.envelope import enveloped
from tests.support.making import flat, printed

NASTY = [
    'quote " in it',
    '"',
    '""',
    "new\nline",
    "a\r\nb",
    "comma, semicolon;",
    "é 漢字 🎉",
    "",
    " ",
    "\\",
    "'",
    "=1+1",
]


def content(batch: pa.RecordBatch) -> str:
    encoded = csv.encode(batch, "\n")
    assert encoded.type == pa.binary()
    assert encoded.null_count == 0
    return csv.header(batch) + b"".join(encoded.to_pylist()).decode()


def rows(text: str) -> list[dict[str, str]]:
    return list(reader.DictReader(io.StringIO(text, newline="")))


def test_text_comes_back_as_it_was() -> None:
    batch = pa.RecordBatch.from_pydict({"text": NASTY, "number": range(len(NASTY))})
    assert rows(content(batch)) == [{"text": text, "number": str(number)} for number, text in enumerate(NASTY)]


def test_a_null_is_not_an_empty_text() -> None:
    batch = pa.RecordBatch.from_pydict({"text": ["", None, "x"], "number": [1, None, 3], "yes": [None, True, False]})
    assert content(batch) == 'text,number,yes\n"",1,\n,,true\n"x",3,false\n'
    options = pa.csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)
    read = pa.csv.read_csv(io.BytesIO(content(batch).encode()), convert_options=options)
    assert read.to_pylist() == batch.to_pylist()


def test_nested_fields_stand_side_by_side_and_the_data_has_no_prefix() -> None:
    data = pa.array([{"id": "a", "location": {"city": "Köln", "at": {"lat": 1.5}}}])
    batch = pa.RecordBatch.from_arrays([pa.array(["e"]), data], names=["emulation_id", "data"])
    assert content(batch) == 'emulation_id,id,location_city,location_at_lat\n"e","a","Köln",1.5\n'


def test_no_two_columns_have_one_name() -> None:
    data = pa.array([{"id": "a", "timestamp": "b", "data": "c"}])
    batch = pa.RecordBatch.from_arrays([pa.array(["e"]), pa.array([1.5]), data], names=["id", "timestamp", "data"])
    assert content(batch) == 'id,timestamp,data_id,data_timestamp,data_data\n"e",1.5,"a","b","c"\n'


def test_dictionary_encoded_columns_come_back_as_they_were() -> None:
    picked = pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.int32()), pa.array(['say "a"', "b\nc"]))
    struct = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int32()), pa.array([{"x": 'p"'}, {"x": "q"}]))
    batch = pa.RecordBatch.from_arrays([picked, struct], names=["picked", "nested"])
    assert rows(content(batch)) == [
        {"picked": "b\nc", "nested_x": 'p"'},
        {"picked": "", "nested_x": "q"},
        {"picked": 'say "a"', "nested_x": 'p"'},
    ]


def test_slices_give_their_own_rows() -> None:
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(NASTY),
            pa.array([{"x": text, "n": number} for number, text in enumerate(NASTY)]),
            pa.DictionaryArray.from_arrays(pa.array(range(len(NASTY)), pa.int32()), pa.array(NASTY)),
        ],
        names=["text", "nested", "picked"],
    )
    for start, count in ((1, 3), (5, 0), (7, 5)):
        assert rows(content(batch.slice(start, count))) == rows(content(batch))[start : start + count]


def test_no_rows_give_a_header_only() -> None:
    assert content(pa.RecordBatch.from_pydict({"a": pa.array([], pa.string()), "b": pa.array([], pa.int64())})) == (
        "a,b\n"
    )


@pytest.mark.parametrize("name", ["user-profile", "device-log", "transaction"])
def test_readers_agree_on_a_domains_rows(name: str) -> None:
    index = np.arange(2000)
    time_us = EventClock(1_795_000_000_000_000, 500).times(index)
    batch = enveloped("an id", time_us, all_domains()[name](world(20, 10_000), 7).records(index, time_us))
    text = content(batch)

    expected = [flat(row) for row in batch.to_pylist()]
    by_module = rows(text)
    assert [*by_module[0]] == [*expected[0]]
    assert [[*row.values()] for row in by_module] == [[printed(value) for value in row.values()] for row in expected]

    types = {key: pa.string() for key, value in expected[0].items() if isinstance(value, str)}
    types |= {key: pa.string() for row in expected for key, value in row.items() if value is None}
    options = pa.csv.ConvertOptions(column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False)
    by_arrow = pa.csv.read_csv(
        io.BytesIO(text.encode()), pa.csv.ReadOptions(), pa.csv.ParseOptions(newlines_in_values=True), options
    )
    assert by_arrow.to_pylist() == expected
