"""Parquet files as columns of texts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from models.datasets.formats import LEFT_OUT, Options
from models.datasets.raw_table import (
    RawTable,
    Texts,
    check_counts,
    check_size,
    named,
    plainer,
    stripped,
)
from models.remarks import Kind, Remark

LIST_SIGNS = (";", "|", ",")
"""Between the values of a list, as a person would write them: the first that no value has."""


def read_parquet(path: Path, options: Options) -> RawTable:
    """A Parquet file; the index that pandas keeps in one is no column. Target columns may hold
    lists of texts, the labels of each sample.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        metadata = file.metadata
        check_counts(metadata.num_rows, metadata.num_columns)
        groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
        if sum(group.total_byte_size for group in groups) > 4 * 2**30:
            raise ValueError("the file unpacks to more than 4 GiB")
        table = file.read(use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"not a Parquet file: {plainer(str(error))}") from None
    remarks = []
    table = _with_named_index(table, options)
    for name in _pandas_index(table):
        if name in _named_columns(options):
            continue
        remarks.append(
            Remark("index_ignored", "the index of pandas is no column of the data", name)
        )
        table = table.drop_columns([name])
    table = named(table)
    check_size(table)
    texts, kinds, separators = {}, {}, {}
    for name in table.column_names:
        column = table.column(name)
        if name in options.targets and _is_list(column.type):
            texts[name], separators[name] = _joined(name, column, options.labels_separator)
            continue
        if options.columns.get(name) in LEFT_OUT and _is_nested(column.type):
            texts[name] = pa.chunked_array([[""] * len(column)], type=pa.string())
            continue
        texts[name], kind = _of_arrow(name, column)
        if kind is not None:
            kinds[name] = kind
    return RawTable(texts, kinds, ".", remarks, separators)


def _of_arrow(name: str, column: Any) -> tuple[Texts, Kind | None]:
    """A typed column as texts, and what its type says of it."""
    import pyarrow as pa

    kind: Kind | None = None
    if pa.types.is_dictionary(column.type):
        column, kind = column.cast(column.type.value_type), Kind.CATEGORY
    of = column.type
    if pa.types.is_boolean(of):
        kind = Kind.BOOLEAN
    elif pa.types.is_timestamp(of) and of.tz is not None:
        column, kind = _zoned(name, column), Kind.DATE
    elif pa.types.is_timestamp(of) or pa.types.is_date(of):
        column = column.cast(pa.timestamp("us"), safe=False)
        kind = Kind.DATE
    elif pa.types.is_integer(of) or pa.types.is_floating(of) or pa.types.is_decimal(of):
        if pa.types.is_float16(of):
            column = column.cast(pa.float32())
        if not pa.types.is_integer(of):
            kind = kind or Kind.NUMBER
    elif pa.types.is_time(of):
        column = column.cast(pa.time64("us"), safe=False).cast(pa.time32("s"), safe=False)
    elif pa.types.is_duration(of):
        passed = column.cast(pa.duration("us"), safe=False).to_pylist()
        column = pa.chunked_array([["" if d is None else str(d) for d in passed]], pa.string())
    elif pa.types.is_binary(of) or pa.types.is_large_binary(of):
        try:
            column = column.cast(pa.string())
        except pa.ArrowInvalid:
            raise ValueError(f"column {name!r} holds bytes that are no UTF-8") from None
    elif not (pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_null(of)):
        raise ValueError(
            f"column {name!r} holds {of}; numbers, texts, dates and booleans are allowed, and "
            "options.columns leaves it out by ignore"
        )
    return stripped(column.cast(pa.string()).fill_null("")), kind


def _zoned(name: str, column: Any) -> Texts:
    """Times with a zone as local ones with their distance to UTC, as data frames show them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    seconds = column.cast(pa.timestamp("s", column.type.tz), safe=False)
    is_whole = pc.all(pc.equal(seconds.cast(column.type), column)).as_py()
    times = seconds if is_whole else column.cast(pa.timestamp("us", column.type.tz), safe=False)
    try:
        texts = pc.strftime(times, "%Y-%m-%d %H:%M:%S%z")
    except pa.ArrowInvalid:
        raise ValueError(
            f"column {name!r} has times of {column.type.tz}, a zone that is not known here"
        ) from None
    return pc.replace_substring_regex(texts, r"([-+]\d{2})(\d{2})$", r"\1:\2")


def _is_nested(of: Any) -> bool:
    """Whether it has no texts for its cells."""
    import pyarrow as pa

    return bool(pa.types.is_nested(of) or pa.types.is_binary(of))


def _is_list(of: Any) -> bool:
    """Whether it is a type of lists of texts or integers."""
    import pyarrow as pa

    if not (pa.types.is_list(of) or pa.types.is_large_list(of)):
        return False
    kind = of.value_type.value_type if pa.types.is_dictionary(of.value_type) else of.value_type
    able = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_null)
    return any(is_able(kind) for is_able in able)


def _joined(name: str, column: Any, wanted: str | None) -> tuple[Texts, str]:
    """Lists as texts of their values, and the sign between these, which no value has."""
    import pyarrow as pa

    lists = [[str(v).strip() for v in found or () if v is not None] for found in column.to_pylist()]
    able = (wanted,) if wanted else LIST_SIGNS
    unused = [sign for sign in able if not any(sign in v for found in lists for v in found)]
    if not unused:
        raise ValueError(
            f"column {name!r} holds lists, of which a value has {' and another '.join(able)}; "
            "options.labels_separator names a sign that none has"
        )
    texts = pa.chunked_array([[unused[0].join(found) for found in lists]], type=pa.string())
    return texts, unused[0]


def _named_columns(options: Options) -> set[str]:
    """Those that options give a meaning of their own, which an index may have as well."""
    names = {options.text, options.split_column, options.group_column} - {None}
    names |= {*options.time_columns, *options.series_columns, *options.targets}
    return {str(name) for name in names}


def _with_named_index(table: Any, options: Options) -> Any:
    """With the only index that has no name called `index`, where an option calls it so."""
    unnamed = [name for name in table.column_names if name.startswith("__index_level_")]
    if len(unnamed) != 1 or "index" not in _named_columns(options) - {*table.column_names}:
        return table
    names = ["index" if name == unnamed[0] else name for name in table.column_names]
    return table.rename_columns(names)


def _pandas_index(table: Any) -> list[str]:
    """The columns that pandas wrote for its index."""
    names = [name for name in table.column_names if re.fullmatch(r"__index_level_\d+__", name)]
    try:
        said = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))["index_columns"]
    except (ValueError, KeyError, TypeError):
        return names
    listed = [name for name in said if isinstance(name, str)] if isinstance(said, list) else []
    return [*names, *(n for n in listed if n in table.column_names and n not in names)]


def is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"
