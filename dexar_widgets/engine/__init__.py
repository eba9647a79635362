"""The only forward and backward passes on a model: answer, differentiate, score.

>>> request = encode(vlm, Example(image, "What is on the table?"))
>>> said = answer(vlm, request)
>>> for chunk in differentiate(vlm, request, said).chunks():
...     chunk.values  # step layer head token
"""

from dexar_widgets.engine.answers import Answer, answer, score
from dexar_widgets.engine.gradients import Pass, differentiate
from dexar_widgets.engine.requests import Decoding, Request, encode

__all__ = ["Answer", "Decoding", "Pass", "Request", "answer", "differentiate", "encode", "score"]
