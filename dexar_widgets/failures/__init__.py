"""Failure cases, each with a verdict by intervention: register patches, spurious causes, silenced and blind words.

Every verb returns a `Finding`: a sentence to read, a table, and marks for the Explorer. What the map alone would say is
told beside it, and decides nothing. Scenes with planted faults say how often the verdicts are right (`false_alarms`,
`map_verdicts`).
"""

from dexar_widgets.failures.causes import spurious
from dexar_widgets.failures.evaluation import Separation, false_alarms, map_verdicts
from dexar_widgets.failures.findings import Finding
from dexar_widgets.failures.patches import registers
from dexar_widgets.failures.words import silenced

__all__ = ["Finding", "Separation", "false_alarms", "map_verdicts", "registers", "silenced", "spurious"]
