"""The data set that results are of, opened again from what their configuration tells: to show its images."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from dexar_widgets.evaluation import data
from dexar_widgets.evaluation.corruptions import Corrupted
from dexar_widgets.evaluation.gathered import Gathered
from dexar_widgets.evaluation.samples import Dataset

__all__ = ["reopened"]


def reopened(name: str, settings: Mapping[str, Any], roots: Mapping[str, Path]) -> Dataset | None:
    """The data set of that name and settings, if it can be had: the lab's always, others below ``roots`` by reader.

    None where its reader or folder is unknown, or where the files there are not those that were measured.
    """
    try:
        found = _opened(name, settings, roots)
    except ValueError:
        return None
    return found if found is not None and dict(found.settings) == dict(settings) else None


def _opened(name: str, settings: Mapping[str, Any], roots: Mapping[str, Path]) -> Dataset | None:
    if "gathered" in settings:
        parts = [_opened(part, told, roots) for part, told in settings["gathered"].items()]
        known = [part for part in parts if part is not None]
        return Gathered(name, known) if len(known) == len(parts) else None
    if "corruption" in settings:
        inner = {key: value for key, value in settings["of"].items() if key != "name"}
        found = _opened(settings["of"]["name"], inner, roots)
        told = settings["corruption"], settings["severity"]
        return None if found is None else Corrupted(found, *told, seed=settings["seed"])
    reader = _reader_of(name, data.names())
    if reader is None or (reader != "lab" and reader not in roots):
        return None
    known_options = {field.name for field in fields(data.get(reader).Options)}
    options = {key: value for key, value in settings.items() if key in known_options}
    return data.open(reader, roots.get(reader), **options)


def _reader_of(name: str, readers: Sequence[str]) -> str | None:
    """The reader whose name a data set's begins with, as "voc_qa2012" does; the longest of several."""
    return max((reader for reader in readers if name.startswith(reader)), key=len, default=None)
