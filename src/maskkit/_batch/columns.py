"""The column of a Parquet table that holds images, whichever program wrote it."""

from typing import NamedTuple

import pyarrow as pa

from maskkit.exceptions import DataError

# The first of these columns that a table has is used, unless a column is given.
DEFAULT_COLUMNS = ("path", "image", "bytes")

# Many columns, and nested ones, would make an error of many lines.
_MAX_SHOWN_COLUMNS, _MAX_SHOWN_TYPE = 20, 80


class ImageColumn(NamedTuple):
    """A column of images: texts or bytes, or structs with ``bytes`` and ``path`` as in Hugging Face data sets.

    `holds_bytes` is whether cells may hold the bytes of images; otherwise they hold paths.
    """

    name: str
    holds_bytes: bool

    @staticmethod
    def read(cell: pa.Scalar) -> bytes | str | None:
        """Return the bytes or the path in a cell; None if it is empty."""
        value = cell.as_py()
        if isinstance(value, dict):
            value = value.get("bytes") or value.get("path")
        return value or None


def choose_column(schema: pa.Schema, column: str | None, table: str) -> ImageColumn:
    """Return the column with the images: the given one, else one with a default name, else the only candidate."""
    kinds = {field.name: _kind_of(field.type) for field in schema}
    candidates = [name for name, kind in kinds.items() if kind is not None]
    if column is not None and column not in candidates:
        raise DataError(f"{table}: has no column {column!r} of text, bytes or images; it has: {_list_columns(schema)}.")
    defaults = [name for name in (column, *DEFAULT_COLUMNS) if name in candidates]
    if not defaults and len(candidates) != 1:
        raise DataError(
            f"{table}: cannot choose the column with the images; pass its name as column. Want text, bytes or structs "
            f"with bytes or path, in one column or in {', '.join(DEFAULT_COLUMNS)}. It has: {_list_columns(schema)}."
        )
    name = str((defaults or candidates)[0])
    return ImageColumn(name, kinds[name] == "bytes")


def _kind_of(arrow_type: pa.DataType) -> str | None:
    """Return "bytes" or "text" for the type of a column of images, and None for any other."""
    if isinstance(arrow_type, pa.BaseExtensionType):
        return _kind_of(arrow_type.storage_type)
    if pa.types.is_dictionary(arrow_type):  # as of a categorical column of pandas
        return _kind_of(arrow_type.value_type)
    if pa.types.is_struct(arrow_type):
        kinds = {field.name: _kind_of(field.type) for field in arrow_type}
        fits = [kind for name, kind in (("bytes", "bytes"), ("path", "text")) if kinds.get(name) == kind]
        return fits[0] if fits else None
    if pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type) or pa.types.is_string_view(arrow_type):
        return "text"
    is_bytes = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return "bytes" if any(check(arrow_type) for check in is_bytes) else None


def _list_columns(schema: pa.Schema) -> str:
    kinds = [str(field.type) for field in schema]
    kinds = [kind if len(kind) <= _MAX_SHOWN_TYPE else f"{kind[: _MAX_SHOWN_TYPE - 3]}..." for kind in kinds]
    columns = [f"{name} ({kind})" for name, kind in zip(schema.names, kinds, strict=True)]
    n_more = len(columns) - _MAX_SHOWN_COLUMNS
    return ", ".join(columns[:_MAX_SHOWN_COLUMNS]) + (f" and {n_more} more" if n_more > 0 else "") or "no column"
