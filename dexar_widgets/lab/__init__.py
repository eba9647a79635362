"""The lab: a synthetic world with exact masks, and small vision-language models really trained on it.

Nothing here imports torch until a model is trained or evaluated; `scene` needs Pillow and numpy.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dexar_widgets.lab.recognise import is_lab_scene
    from dexar_widgets.lab.scenes import Background, Prop, Scene, SceneObject, Specification, render, scene
    from dexar_widgets.lab.stories import STORIES, crowd, story

__all__ = [
    "CHECKPOINTS",
    "STORIES",
    "Background",
    "Prop",
    "Scene",
    "SceneObject",
    "Specification",
    "crowd",
    "is_lab_scene",
    "render",
    "scene",
    "story",
]

CHECKPOINTS = Path(__file__).parent / "checkpoints"
"""One folder per shipped model, in the layout of ``save_pretrained``."""

_MODULES = {
    "STORIES": "stories",
    "Background": "scenes",
    "Prop": "scenes",
    "Scene": "scenes",
    "SceneObject": "scenes",
    "Specification": "scenes",
    "is_lab_scene": "recognise",
    "render": "scenes",
    "scene": "scenes",
    "crowd": "stories",
    "story": "stories",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
