"""One's own pictures as a data set: a folder of them, or a table with the columns image, prompt and answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dexar_widgets.evaluation.data._reading import BadFilesError, csv_rows
from dexar_widgets.evaluation.samples import BrokenSampleError, Dataset, Sample
from dexar_widgets.images import SUFFIXES, open_image

__all__ = ["open_pictures"]


class _Pictures:
    """The rows, by the images' names; nothing is known of what an image shows."""

    name = "pictures"

    def __init__(self, rows: Mapping[str, tuple[Path, str | None, str | None]]) -> None:
        self._rows = rows
        self.settings: Mapping[str, Any] = {"ids": list(rows)}

    @property
    def ids(self) -> Sequence[str]:
        """In the folder's or the table's order."""
        return tuple(self._rows)

    def load(self, id_: str) -> Sample:
        """Read one image."""
        path, prompt, answer = self._rows[id_]
        try:
            return Sample(id_, open_image(path).image, prompt, answer)
        except (ValueError, OSError) as error:
            raise BrokenSampleError(str(error)) from error


def open_pictures(root: Path) -> Dataset:
    """The images of a folder by their names, each asked the family's own question; or the rows of a CSV file.

    Raises
    ------
    ValueError
        If there are none.
    """
    place = root.expanduser()
    if place.is_dir():
        files = sorted(file for file in place.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
        rows: dict[str, tuple[Path, str | None, str | None]] = {file.name: (file, None, None) for file in files}
    elif place.suffix.lower() == ".csv":
        try:
            listed = csv_rows(place, ("image",))
        except BadFilesError as error:
            raise ValueError(f"{error} It needs the column image; prompt and answer may stand beside it.") from error
        rows = {
            f"{number} {row['image']}": (
                place.parent / row["image"],
                row.get("prompt") or None,
                row.get("answer") or None,
            )
            for number, row in enumerate(listed, 1)
        }
    else:
        raise ValueError(f"pictures:{str(root)!r} is no folder and no CSV file with the columns image, prompt, answer.")
    if not rows:
        raise ValueError(f"pictures:{str(root)!r} holds no image ({', '.join(SUFFIXES)}).")
    return _Pictures(rows)
