"""The words and colours of the lab's world. No dependencies, so that every other lab module may import it."""

CLASSES = (
    "circle",
    "square",
    "triangle",
    "star",
    "cat",
    "dog",
    "boat",
    "train",
    "sheep",
    "bird",
    "sofa",
    "car",
    "suitcase",
    "butterfly",
    "fish",
    "tree",
)
COLOURS = {
    "red": (212, 38, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 215),
    "yellow": (240, 222, 50),
    "orange": (246, 138, 28),
    "purple": (138, 52, 170),
    "white": (244, 244, 244),
    "black": (28, 28, 32),
    "gray": (132, 132, 138),
    "pink": (246, 140, 192),
}
BACKGROUNDS = ("water", "sky", "grass", "sand", "wall", "carpet")
NUMBERS = ("zero", "one", "two", "three", "four")
MAX_OBJECTS = 4

SUBWORDS = {"suitcase": ("suit", "case"), "butterfly": ("butter", "fly")}
"""Classes whose word is two tokens: the second half can be told from the first without the image."""

LOOKALIKES = (
    ("cat", "dog", "sheep"),
    ("train", "car", "sofa", "suitcase", "square"),
    ("bird", "fish", "butterfly"),
    ("boat", "triangle", "tree", "star"),
    ("circle", "tree", "dog"),
)
"""Classes that share an outline; an absent one of these is the hard "no"."""

MODEL_SIZE = 96
"""Side of the image as the embedded models see it, in pixels; scene geometry is a multiple of 1/96."""


def plural(name: str) -> str:
    """The plural of a class word."""
    return {"sheep": "sheep", "fish": "fish", "butterfly": "butterflies"}.get(name, name + "s")
