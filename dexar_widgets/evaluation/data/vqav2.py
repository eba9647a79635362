"""VQAv2: questions about photographs of COCO; the answer is the one that most people gave.

Source: Goyal et al. (CVPR 2017); DEX-AR, section 4.1: 1,000 pairs of val, drawn at random, "spanning various question
types". Differs: drawn evenly over the types that the annotations name (``spread="none"`` draws without regard to them).
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dexar_widgets.evaluation.data._listed import Listed, drawn, settings_of
from dexar_widgets.evaluation.data._options import one_of, whole_number
from dexar_widgets.evaluation.data._reading import BadFilesError, first_file, json_of, picture, rows_of
from dexar_widgets.evaluation.samples import CLUSTER, BrokenSampleError, Dataset, Sample

TITLE = "VQAv2"
EXPECTS = (
    "v2_OpenEnded_mscoco_val2014_questions.json, v2_mscoco_val2014_annotations.json and the folder val2014/ with "
    "COCO_val2014_*.jpg (or all of them with train2014)."
)
SOURCE = "Questions and annotations are at visualqa.org, the images (val2014) at cocodataset.org."

SPLITS = ("val2014", "train2014")
SPREADS = ("question_type", "answer_type", "none")


@dataclass(frozen=True, kw_only=True)
class Options:
    """``count`` questions (None: all), by ``seed``, as many of each type as of any other.

    ``spread``: ``question_type``, the first words of the question (65 of them); ``answer_type``, yes/no, number or
    other; or ``none``.
    """

    count: int | None = 1000
    seed: int = 0
    spread: str = "question_type"
    split: str = "val2014"

    def __post_init__(self) -> None:
        whole_number("count", self.count, 1, or_none=True)
        whole_number("seed", self.seed, 0)
        one_of("spread", self.spread, SPREADS)
        one_of("split", self.split, SPLITS)


@dataclass(frozen=True)
class Row:
    """One question and its answer."""

    image: int
    question: str
    answer: str
    question_type: str
    answer_type: str


def read(root: Path, options: Options) -> Dataset:
    """The questions that were drawn, by their numbers."""
    folder = first_file(root, (options.split,))
    rows = drawn(
        sorted(_rows(root, options.split).items()),
        options.count,
        options.seed,
        key=lambda item: str(item[0]),
        group=lambda item: getattr(item[1], options.spread, ""),
    )
    listed = [[number, *vars(row).values()] for number, row in rows]
    return Listed(
        "vqav2",
        settings_of(options, listed),
        {str(number): row for number, row in rows},
        partial(_sample, folder=folder, split=options.split),
    )


def _rows(root: Path, split: str) -> dict[int, Row]:
    asked = first_file(root, (f"v2_OpenEnded_mscoco_{split}_questions.json",))
    told = first_file(root, (f"v2_mscoco_{split}_annotations.json",))
    questions = {
        row["question_id"]: row
        for row in rows_of(asked, json_of(asked), "questions", {"question_id": int, "image_id": int, "question": str})
    }
    kinds = {"question_id": int, "multiple_choice_answer": str, "question_type": str, "answer_type": str}
    found = {}
    for row in rows_of(told, json_of(told), "annotations", kinds):
        number = row["question_id"]
        if number not in questions:
            raise BadFilesError(f"{str(told)!r} answers question {number}, which {asked.name} does not ask.")
        found[number] = Row(
            questions[number]["image_id"],
            questions[number]["question"].strip(),
            row["multiple_choice_answer"].strip(),
            row["question_type"],
            row["answer_type"],
        )
    return found


def _sample(id_: str, row: Row, *, folder: Path, split: str) -> Sample:
    if not row.question or not row.answer:
        raise BrokenSampleError(f"Question {id_} of VQAv2 has no {'answer' if row.question else 'text'}.")
    return Sample(
        id_,
        picture(folder / f"COCO_{split}_{row.image:012d}.jpg"),
        prompt=row.question,
        answer=row.answer,
        facts={"question_type": row.question_type, "answer_type": row.answer_type, CLUSTER: str(row.image)},
    )
