"""Files of one explanation, by their suffix: written whole or not at all."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from dexar_widgets.explanation import Explanation

__all__ = ["KINDS", "TABLES", "kind_of", "refuse_folder", "table_bytes", "tidy", "write", "write_html"]

KINDS = (".html", ".png", ".csv", ".parquet", ".safetensors")
TABLES = (".csv", ".parquet")


def kind_of(output: Path, *, many: bool) -> str:
    """The suffix, checked before any work is done."""
    suffix = output.suffix.lower()
    if suffix not in KINDS:
        raise ValueError(f"-o {str(output)!r}: unknown suffix {suffix!r}; write one of {', '.join(KINDS)}.")
    if many and suffix not in TABLES:
        raise ValueError(f"-o {str(output)!r}: many images give a table, {' or '.join(TABLES)}, not {suffix}.")
    refuse_folder(output)
    if suffix == ".parquet":
        _pyarrow()
    return suffix


def refuse_folder(output: Path) -> None:
    """A path that cannot be written is an error before the work, not after it."""
    if output.is_dir():
        raise ValueError(f"-o {str(output)!r} is a folder; give a file name.")
    if not output.parent.is_dir():
        raise ValueError(f"-o {str(output)!r}: there is no folder {str(output.parent)!r}; make it first.")


def _pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ValueError("Parquet needs pyarrow: pip install 'dexar-widgets[eval]'; or write .csv.") from None


def write(e: "Explanation", output: Path, *, choice: dict[str, Any], table: str, sample: str) -> None:
    """Write one explanation in the form its suffix names."""
    from dexar_widgets.files import write_whole

    suffix = output.suffix.lower()
    if suffix == ".html":
        write_html(e, output)
    elif suffix == ".safetensors":
        e.save(output)
    elif suffix == ".png":
        write_whole(output, png_bytes(e, choice))
    else:
        rows = tidy(e, choice=choice, table=table, sample=sample)
        write_whole(output, table_bytes(rows, suffix, provenance={"choice": choice, **e.provenance}))


def tidy(e: "Explanation", *, choice: dict[str, Any], table: str, sample: str) -> "pd.DataFrame":
    """A table of an explanation; what was asked and where it comes from stand in every row, CSV has no other place."""
    rows = e.to_pandas(table, sample=sample, options=e.options(**choice))
    rows.insert(1, "prompt", e.example.prompt)
    versions = e.provenance.get("versions", {})
    origin = {"model": e.provenance.get("model"), "revision": e.provenance.get("revision"), "preset": e.preset}
    return rows.assign(**origin, dexar_widgets=versions.get("dexar_widgets"))


def write_html(e: "Explanation", output: Path) -> None:
    """The interactive page."""
    e.to_html(output)


def png_bytes(e: "Explanation", choice: dict[str, Any]) -> bytes:
    """The strip of word overlays, with its provenance."""
    from dexar_widgets.figures import png_metadata, strip

    buffer = io.BytesIO()
    strip(e, **choice).save(buffer, "PNG", pnginfo=png_metadata(e, choice))
    return buffer.getvalue()


def table_bytes(rows: "pd.DataFrame", suffix: str, *, provenance: dict[str, Any]) -> bytes:
    """Rows as CSV (floats so that they read back exactly) or Parquet (provenance under ``dexar_widgets``)."""
    if suffix == ".csv":
        return rows.to_csv(index=False, lineterminator="\n").encode()
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(rows, preserve_index=False)
    stamp = {b"dexar_widgets": json.dumps(provenance, default=str).encode()}
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **stamp}), buffer)
    return buffer.getvalue()
