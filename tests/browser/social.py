"""The picture and the animation that show the Explorer elsewhere: ``python -m tests.browser.social FOLDER``."""

import io
import sys
import tempfile
from base64 import b64encode
from pathlib import Path
from string import Template

from PIL import Image, ImageDraw, ImageFont

import dexar_widgets as dx
from tests.browser.conftest import launched
from tests.browser.view import View

KEPT = Path(__file__).parents[2] / "notebooks"
"""Where README finds both."""
SOCIAL, ANIMATION = "social.png", "explorer.webp"
SOCIAL_SIZE = (1280, 640)
SCREEN = {"width": 1000, "height": 1000}
CAPTION, WIDTH = 64, 800  # pixels: of the line above each frame, before it is made as small as WIDTH
WORD, BOX = "football", (0.29, 0.06, 0.62, 0.39)  # left, top, right, bottom of what is drawn, as shares of the image
MOVE_MS, FRAMES_OF_A_MOVE = 50, 8
POINTER = ((0, 0), (0, 26), (6, 20), (11, 31), (16, 29), (11, 18), (20, 18))

_SOCIAL = Template("""<!doctype html><meta charset="utf-8"><style>
* { box-sizing: border-box; margin: 0 }
body { width: 1280px; height: 640px; padding: 36px; display: flex; gap: 36px; background: #f6f6f3; color: #1a1d22;
  font: 24px/1.3 system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif }
.words { flex: 1; display: flex; flex-direction: column; justify-content: space-between }
h1 { font-size: 52px; line-height: 1.08; letter-spacing: -.02em } p { color: #5d646e }
img { display: block; width: 100% } .words img { border: 1px solid #dfe0dc; border-radius: 12px; background: #fff;
  padding: 10px 14px } .words img.curve { padding-bottom: 0 } .map { width: 568px; height: 568px; border-radius: 14px }
</style><div class="words"><h1>Why did this vision-language model say that?</h1>
<img src="$words"><img class="curve" src="$curve"><p><b>dexar_widgets</b>: word by word, layer by layer</p>
</div><img class="map" src="$map">""")


def main(folder: Path) -> None:
    """Make both in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as own, launched() as chromium:
        file = page_in(Path(own))
        social(chromium, file, folder / SOCIAL)
        animation(chromium, file, folder / ANIMATION)


def page_in(folder: Path) -> Path:
    """The Explorer of an answer, as a file."""
    file = folder / "page.html"
    dx.explain(dx.load(), dx.lab.scene(7).image, "what do you see?").to_html(file)
    return file


def opened(chromium: object, file: Path, width: int, scale: int) -> View:
    """The page, in which nothing moves by itself."""
    page = chromium.new_page(
        viewport=SCREEN | {"width": width}, device_scale_factor=scale, color_scheme="light", reduced_motion="reduce"
    )
    page.goto(file.as_uri())
    page.locator(".stage canvas[data-sum]").first.wait_for()
    return View(page, [])


def social(chromium: object, file: Path, out: Path) -> None:
    """Title, words, layer curve and map, large: people see it small."""
    view = opened(chromium, file, 560, 2)
    word_of(view).click()
    view.page.mouse.move(0, 0)
    drawn(view)
    view.root.locator(".layers details").first.evaluate("lines => { lines.hidden = true; }")  # the same in words
    parts = {"words": ".wordlist", "curve": ".layers figure", "map": ".stage"}
    shots = {name: view.root.locator(place).first.screenshot() for name, place in parts.items()}
    urls = {name: f"data:image/png;base64,{b64encode(shot).decode()}" for name, shot in shots.items()}
    page = chromium.new_page(viewport=dict(zip(("width", "height"), SOCIAL_SIZE, strict=True)))
    page.set_content(_SOCIAL.substitute(urls))
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(256).save(out, "PNG", optimize=True)


def animation(chromium: object, file: Path, out: Path) -> None:
    """Choose a word, go through the layers, switch the head filter off and on, draw a box."""
    film = Film(opened(chromium, file, SCREEN["width"], 1))
    film.show("The answer's words, shaded by what the image gave", 1200)
    film.move(*centre_of(word_of(film.view)))
    film.click()
    film.show(f"Choose a word: where does “{WORD}” come from?", 1400)
    film.press("]", "Scrub the layers", 600, times=4)
    film.press("a", "All layers", 700)
    film.press("h", "Head filter off: every head counts", 1200)
    film.press("h", "Head filter on: heads that read the image", 1000)
    film.move(*centre_of(film.view.root.get_by_role("radiogroup", name="Draw on the image").get_by_text("Box")))
    film.click()
    film.caption = "Draw a box: how much lies in it?"
    stage = film.view.root.locator(".stage").bounding_box()
    left, top, right, bottom = (
        stage[start] + stage[size] * share
        for share, (start, size) in zip(BOX, (("x", "width"), ("y", "height")) * 2, strict=True)
    )
    film.move(left, top)
    film.view.page.mouse.down()
    film.move(right, bottom)
    film.view.page.mouse.up()
    film.show(film.caption, 2200)
    film.save(out)


def drawn(view: View) -> None:
    """Wait until what changed is drawn."""
    view.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def word_of(view: View) -> object:
    """The word that is looked at."""
    return view.root.locator(".wordlist").get_by_role("option", name=WORD)


def centre_of(place: object) -> tuple[float, float]:
    """Where a person would click."""
    box = place.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


class Film:
    """Frames of a page, a caption above each, with a pointer where the mouse is."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.caption = ""
        self.place = (SCREEN["width"] * 0.5, SCREEN["height"] * 0.6)
        self.frames: list[Image.Image] = []
        self.milliseconds: list[int] = []

    def show(self, caption: str, milliseconds: int) -> None:
        """A frame that stays so long."""
        self.caption = caption
        drawn(self.view)
        page = Image.open(io.BytesIO(self.view.page.screenshot())).convert("RGB")
        frame = Image.new("RGB", (page.width, page.height + CAPTION), "#1a5fb4")
        frame.paste(page, (0, CAPTION))
        draw = ImageDraw.Draw(frame)
        draw.text((20, CAPTION / 2), caption, "white", ImageFont.load_default(32), anchor="lm")
        corners = [(x + self.place[0], y + self.place[1] + CAPTION) for x, y in POINTER]
        draw.polygon(corners, "black", "white", 2)
        small = (WIDTH, round(frame.height * WIDTH / frame.width))
        self.frames.append(frame.resize(small, Image.Resampling.LANCZOS))
        self.milliseconds.append(milliseconds)

    def move(self, x: float, y: float) -> None:
        """The mouse goes there, frame by frame."""
        from_x, from_y = self.place
        for step in range(1, FRAMES_OF_A_MOVE + 1):
            share = step / FRAMES_OF_A_MOVE
            self.place = (from_x + (x - from_x) * share, from_y + (y - from_y) * share)
            self.view.page.mouse.move(*self.place)
            self.show(self.caption, MOVE_MS)

    def click(self) -> None:
        """Where the mouse is."""
        self.view.page.mouse.down()
        self.view.page.mouse.up()

    def press(self, key: str, caption: str, milliseconds: int, *, times: int = 1) -> None:
        """A key, with a frame after each time."""
        for _ in range(times):
            self.view.page.keyboard.press(key)
            self.show(f"{caption} · key {key.upper()}", milliseconds)

    def save(self, out: Path) -> None:
        """As a WebP that begins again when it ends."""
        first, *rest = self.frames
        how = {"duration": self.milliseconds, "loop": 0, "quality": 65, "method": 6, "minimize_size": True}
        first.save(out, "WEBP", save_all=True, append_images=rest, **how)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
