"""The paper's own numbers, read from its Tables 1 to 8, and which model of the paper another one stands for.

Source: DEX-AR: A Dynamic Explainability Method for Autoregressive Vision-Language Models, Tables 1 to 8. The files of
``paper/`` hold one number a row, as the text has them: facts, for comparison. Table 6 names no model; its rows are
those of BakLLaVA in Table 1. The thresholds of Table 8's top-k rows are lost in the text, and so is its model.
"""

import re
from functools import cache
from pathlib import Path

import pandas as pd

__all__ = ["FAMILIES", "family_of", "published"]

FOLDER = Path(__file__).with_name("paper")
FAMILIES = {"llava": "LLaVA-1.5", "bakllava": "BakLLaVA", "paligemma": "PaliGemma", "florence2": "Florence-2"}
"""The paper's models by family, in its order."""
_SPELT = {
    "bakllava": r"bakllava",
    "llava": r"^llava$|(?<![a-z])llava[-_ ]?v?1[._-]?5(?!b)",
    "paligemma": r"(?<![a-z])paligemma(?![-_ ]?2(?!\d))",
    "florence2": r"(?<![a-z])florence[-_ ]?2(?![.\d])",
}
"""How their names are spelt, without those of their kin and successors, which the paper has not measured."""


def family_of(model: str) -> str | None:
    """The family of `FAMILIES` that a model's name speaks of, ours or the paper's; None if it does not say."""
    name = model.rstrip("/").rsplit("/", 1)[-1].lower()  # an organisation may have a model's name, too
    return next((family for family, spelt in _SPELT.items() if re.search(spelt, name)), None)


@cache
def published(table: str) -> pd.DataFrame:
    """The numbers of "table1" … "table8": family, method, dataset, metric, direction, value.

    Raises
    ------
    ValueError
        If the paper has no such table.
    """
    found = sorted(FOLDER.glob(f"{table}_*.csv"))
    if len(found) != 1:
        raise ValueError(f"The paper has no table {table!r}; it has table1 to table8.")
    numbers = pd.read_csv(found[0])
    numbers.insert(0, "family", [family_of(model) for model in numbers.pop("model")])
    return numbers
