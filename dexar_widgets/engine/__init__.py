"""The only forward and backward passes on a model: answer, differentiate, record, score.

>>> request = encode(vlm, Example(image, "What is on the table?"))
>>> said = answer(vlm, request)
>>> for chunk in differentiate(vlm, request, said).chunks():
...     chunk.values  # step layer head token
"""

from dexar_widgets.engine.answers import Answer, answer, resume, score
from dexar_widgets.engine.gradients import Pass, differentiate
from dexar_widgets.engine.knockouts import cuttable_layers, score_cuts
from dexar_widgets.engine.memory import enough_memory
from dexar_widgets.engine.meter import Meter, metered, total
from dexar_widgets.engine.recordings import Recording, Sublayer, record
from dexar_widgets.engine.requests import Decoding, Request, encode
from dexar_widgets.engine.rows import final_states, logits_at, read_attention, shows_attention
from dexar_widgets.engine.variants import pixels_of, score_variants

__all__ = [
    "Answer",
    "Decoding",
    "Meter",
    "Pass",
    "Recording",
    "Request",
    "Sublayer",
    "answer",
    "cuttable_layers",
    "differentiate",
    "encode",
    "enough_memory",
    "final_states",
    "logits_at",
    "metered",
    "pixels_of",
    "read_attention",
    "record",
    "resume",
    "score",
    "score_cuts",
    "score_variants",
    "shows_attention",
    "total",
]
