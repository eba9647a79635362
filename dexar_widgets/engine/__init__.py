"""The only forward and backward passes on a model: answer, differentiate, score.

>>> request = encode(vlm, Example(image, "What is on the table?"))
>>> said = answer(vlm, request)
>>> for chunk in differentiate(vlm, request, said).chunks():
...     chunk.values  # step layer head token
"""

from dexar_widgets.engine.answering import Answer, Decoding, Request, answer, encode, score
from dexar_widgets.engine.gradients import Pass, differentiate

__all__ = ["Answer", "Decoding", "Pass", "Request", "answer", "differentiate", "encode", "score"]
