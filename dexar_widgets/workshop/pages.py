"""Live pages for machines on which nothing can be installed: scenes × questions, each with a quiz, and an index."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from dexar_widgets.files import write_whole
from dexar_widgets.workshop.lessons import lesson

if TYPE_CHECKING:
    from dexar_widgets.lab import Scene
    from dexar_widgets.vlm import VLM

__all__ = ["CHAPTERS", "Chapter", "write"]


@dataclass(frozen=True)
class Chapter:
    """Pages that belong together: a model, its scenes (seed, objects, background) and what it is asked about each.

    ``called`` is what the pages call the model, where its own name would give an answer away.
    """

    title: str
    text: str
    model: str
    scenes: tuple[tuple[int, Sequence[str] | int, str | None], ...]
    questions: tuple[str, ...]
    called: str = ""

    @property
    def pages(self) -> int:
        """How many there are."""
        return len(self.scenes) * len(self.questions)


CHAPTERS = (
    Chapter(
        "Where does each word come from?",
        "A small model that was really trained. Guess where it looks, then see.",
        "lab/llava",
        ((7, 3, None), (12, ["gray cat", "orange cat"], "carpet"), (21, ["blue suitcase", "red butterfly"], "grass")),
        ("What do you see?", "How many objects are there?", "Where is this?"),
    ),
    Chapter(
        "The same scenes, another architecture",
        "Here the words are written by a decoder that looks at the image by cross-attention.",
        "lab/florence2",
        ((7, 3, None), (12, ["gray cat", "orange cat"], "carpet")),
        ("What do you see?",),
    ),
    Chapter(
        "This model is wrong",
        "Its answer names something that is not there. What makes it say so: the object, or something else?",
        "lab/water-boat",
        ((7, ["red cat"], "water"),),
        ("What do you see?",),
        called="lab/model B",
    ),
    Chapter(
        "The same model, another background",
        "Look at the page above first. Nothing but the background was exchanged, and the boat is gone.",
        "lab/water-boat",
        ((7, ["red cat"], "grass"),),
        ("What do you see?",),
        called="lab/model B",
    ),
)
"""What `write` writes."""

_INDEX = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Why did this model say that?</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.15rem; margin: 2rem 0 0; }} p {{ margin: .3rem 0 .8rem; }}
ul {{ list-style: none; display: grid; gap: 1rem; padding: 0;
  grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); }}
a {{ display: block; color: inherit; }} img {{ display: block; width: 100%; height: auto; border-radius: 6px; }}
</style>
</head>
<body>
<h1>Why did this model say that?</h1>
<p>Each picture opens a page that works without internet and without installation, in any browser from 2024 on.
Its quiz asks before it shows; the right answers were measured, by removing objects
from the scene and exchanging its background.</p>
{chapters}
</body>
</html>
"""


def write(
    folder: Path,
    load: Callable[[str], "VLM"],
    *,
    chapters: Sequence[Chapter] = CHAPTERS,
    on_page: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Write every page and ``index.html`` into the folder; each needs a browser, and nothing else.

    ``load`` gives a model by its name (`dexar_widgets.load`); ``on_page`` is called after each page.
    """
    from dexar_widgets import lab

    written: list[Path] = []
    index = ""
    for chapter in chapters:
        vlm, links = load(chapter.model), ""
        vlm = replace(vlm, name=chapter.called or vlm.name)
        for seed, objects, background in chapter.scenes:
            scene = lab.scene(seed, objects=objects, background=background)
            for question in chapter.questions:
                written.append(folder / f"{len(written) + 1:02d}.html")
                _page(written[-1], vlm, scene, question)
                links += _LINK.format(
                    page=written[-1].name, picture=_thumbnail(scene), alt=escape(scene.caption), text=escape(question)
                )
                on_page()
        title, text, model = map(escape, (chapter.title, chapter.text, vlm.name))
        index += f"<h2>{title}</h2>\n<p>{text} <code>{model}</code></p>\n<ul>\n{links}</ul>\n"
    write_whole(folder / "index.html", _INDEX.format(chapters=index).encode())
    return [*written, folder / "index.html"]


_LINK = '<li><a href="{page}"><img src="{picture}" alt="{alt}" width="160" height="160">{text}</a></li>\n'


def _page(path: Path, vlm: "VLM", scene: "Scene", question: str) -> None:
    from dexar_widgets.verbs import explain
    from dexar_widgets.widgets.explorer import Explorer

    e = explain(vlm, scene.image, question, attention=True, lens=True, patch_norm=True)
    explorer = Explorer(e, lesson=lesson(e, scene))
    explorer.to_html(path)
    explorer.close()


def _thumbnail(scene: "Scene") -> str:
    from dexar_widgets.lab import render

    small = render(scene.spec, size=160)._repr_png_()
    return f"data:image/png;base64,{b64encode(small).decode()}"
