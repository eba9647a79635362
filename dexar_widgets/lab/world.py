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
    "football",
    "footprint",
    "person",
    "hat",
    "clock",
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
"""Most objects in a scene that is drawn at random, and in training; test scenes hold up to `CROWD`."""
CROWD = 8

SUBWORDS = {
    "suitcase": ("suit", "case"),
    "butterfly": ("butter", "fly"),
    "football": ("foot", "ball"),
    "footprint": ("foot", "print"),
}
"""Classes whose word is two tokens. "case" and "fly" follow from the token before; "ball" and "print" do not."""

GROUPS = {
    "animals": ("cat", "dog", "sheep", "bird", "fish", "butterfly"),
    "shapes": ("circle", "square", "triangle", "star"),
    "vehicles": ("boat", "train", "car"),
    "old things": ("suitcase", "sofa", "hat", "clock"),
}
"""Words for several objects at once."""

PROPS = ("tracks", "face", "checker", "swatch")
"""Things that a scene may show and no caption names: rails, a face-like drawing, a chequered or a plain patch."""

LOOKALIKES = (
    ("cat", "dog", "sheep"),
    ("train", "car", "sofa", "suitcase", "square"),
    ("bird", "fish", "butterfly"),
    ("boat", "triangle", "tree", "star"),
    ("circle", "tree", "dog", "football", "clock"),
    ("football", "footprint"),
    ("person", "hat", "tree"),
)
"""Classes that share an outline; an absent one of these is the hard "no"."""

MODEL_SIZE = 96
"""Side of the image as the embedded models see it, in pixels; scene geometry is a multiple of 1/96."""


def plural(name: str) -> str:
    """The plural of a class word."""
    return {"sheep": "sheep", "fish": "fish", "butterfly": "butterflies", "person": "persons"}.get(name, name + "s")
