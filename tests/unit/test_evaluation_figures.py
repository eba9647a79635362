"""The paper's figures, made again with few cases: files, rules of selection, and numbers, each measured once more."""

import csv
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import dexar_widgets as dx
from dexar_widgets import cli
from dexar_widgets.evaluation import data
from dexar_widgets.evaluation.figures import FIGURES, clutter, corrupted, failures, repeats
from dexar_widgets.evaluation.figures.choosing import among, answered, first_scenes, only, samples_of, says_once
from dexar_widgets.evaluation.figures.drawing import laid_out, png, svg, wrapped
from dexar_widgets.evaluation.figures.pictures import open_pictures
from dexar_widgets.evaluation.figures.plates import Figure, Plate, Row
from dexar_widgets.evaluation.figures.views import BOTH, PAPER, RELEASED, mapped, pictured, shared, views_of
from dexar_widgets.evaluation.figures.writing import write
from dexar_widgets.evaluation.reproductions import REPRODUCIBLE, Request
from dexar_widgets.evaluation.samples import Given, Sample
from dexar_widgets.lab import crowd, scene, story
from dexar_widgets.lab.stories import STORIES
from dexar_widgets.registers import outliers_of
from dexar_widgets.types import Grid, HeatMap

pytestmark = pytest.mark.slow

FEW = {
    "figure3": {"limit": 2},
    "figure5": {"limit": 1, "models": ("lab/llava", "lab/paligemma")},
    "figure6": {"limit": 1},
    "figure7": {"limit": 1},
    "figure8": {"limit": 1},
    "figure9": {"limit": 1},
    "figure10": {"limit": 1, "models": ("lab/registers", "lab/florence2")},
}
VOC = {"bird": 3, "boat": 4, "car": 7, "cat": 8, "dog": 12, "person": 15, "sheep": 17, "sofa": 18, "train": 19}
SHARE = "share on the object ÷ its area"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Each figure with few cases, made when it is first asked for."""
    folder, files = tmp_path_factory.mktemp("figures"), {}

    def make(name):
        if name not in files:
            done = FIGURES[name].carry_out(Request(out=folder, **FEW[name]))
            assert done.without_result == 0
            files[name] = done.files
        return files[name]

    return make


def numbers(files):
    """By row, column and measure, of the first plate that has them."""
    found = {}
    for row in csv.DictReader(io.StringIO(files["csv"].read_text())):
        found.setdefault((row["row"], row["column"], row["measure"]), row["value"])
    return found


def share(heat, mask):
    """By hand: the positive part's share on a mask, cell by cell, over the mask's share of the cells."""
    rows, cols = heat.values.shape
    height, width = mask.shape
    cover = mask.reshape(rows, height // rows, cols, width // cols).mean((1, 3))
    energy = np.maximum(heat.values.astype(float), 0)
    return (energy * cover).sum() / energy.sum() / cover.mean()


def flat(**more):
    grid = Grid(4, 4, (0.0, 0.0, 80.0, 80.0), (80, 80))
    values = np.zeros((4, 4), np.float32)
    values[1, 1] = 1
    return HeatMap(values, grid, "dexar", (0,), **more)


def drawn(*, title="a < b & “c”", head="one", **more):
    image = np.full((80, 80, 3), 200, np.uint8)
    mask = np.zeros((80, 80), bool)
    mask[20:40, 20:40] = True
    pictures = [pictured(image, {"named": mask}), mapped(image, flat(), {"suspect": mask, "ring": mask}, **more)]
    return Figure(
        "figure0", title, ["as it comes"], [Plate("plate", [head, "two"], [Row("row\nmore", pictures, "seen")])]
    )


# files


def test_the_figures_stand_among_what_can_be_reproduced():
    assert list(REPRODUCIBLE)[8:] == ["figure3", "figure5", "figure6", "figure7", "figure8", "figure9", "figure10"]
    assert all(entry.title and "pictures" not in data.names() for entry in FIGURES.values())


def test_an_svg_has_its_text_as_text_and_asks_for_nothing():
    page = svg(laid_out(drawn(lines=("3.0×, ω −1",))))
    tree = ElementTree.fromstring(page)
    texts = [one.text for one in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a < b & “c”", "plate", "one", "two", "row", "more", "3.0×, ω −1"} <= {*texts}
    assert "what is suspected" in texts
    links = [one.get("href") for one in tree.iter("{http://www.w3.org/2000/svg}image")]
    assert len(links) == 3  # two pictures, and the legend's colours
    assert all(link.startswith("data:image/png;base64,") for link in links)


def test_a_png_is_as_large_as_the_layout_says_at_300_dots_per_inch():
    sheet = laid_out(drawn())
    image = Image.open(io.BytesIO(png(sheet)))
    assert image.size == (round(sheet.width * 300 / 72), round(sheet.height * 300 / 72))
    assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_text_is_wrapped_to_its_room_and_a_word_that_is_too_long_is_cut():
    assert wrapped("a b\nc", 100, 7) == ["a b", "c"]
    lines = wrapped("several words that need more than a line", 60, 7)
    assert len(lines) > 1
    assert " ".join(lines) == "several words that need more than a line"
    (cut,) = wrapped("x" * 200, 60, 7)
    assert cut.endswith("…") and len(cut) < 40
    assert wrapped("one two three four", 20, 7, most=2) == ["one", "two …"]


def test_a_page_holds_pictures_sentences_and_numbers_and_text_stays_text(tmp_path):
    figure = drawn(title="<script>pwned</script>", head="<b>bold</b>", numbers={"x": 1.5})
    files = write(figure, tmp_path)
    page = files["html"].read_text()
    assert "<script>" not in page and "<b>bold" not in page
    assert "row, more: seen" in page
    assert page.count("data:image/png;base64,") == 2
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)
    assert "default-src 'none'" in page
    assert files["csv"].read_text().splitlines() == ["plate,row,column,measure,value", "plate,row more,two,x,1.5"]


def test_rows_that_are_cases_have_their_sentence_right_above_them(tmp_path):
    figure = drawn()
    (plate,) = figure.plates
    apart = Plate(plate.title, plate.heads, plate.rows, ["chosen so"], apart=True)
    page = write(Figure("figure0", "title", [], [apart]), tmp_path)["html"].read_text()
    assert page.index("chosen so") < page.index("<h2>row, more</h2><p>seen</p>") < page.index("<table")


def test_a_row_that_does_not_fit_its_plate_is_an_error():
    with pytest.raises(ValueError, match="'r' has 1 pictures for 2 columns"):
        Plate("p", ["a", "b"], [Row("r", [None])])


def test_a_map_that_shows_nothing_says_so_and_one_with_signs_is_explained():
    image = np.full((80, 80, 3), 200, np.uint8)
    silenced = HeatMap(np.zeros((4, 4), np.float32), flat().grid, "dexar", (0,), status="silenced")
    assert mapped(image, silenced, {}, lines=("x",)).lines == ("silenced", "x")
    signed = HeatMap(flat().values - 0.5, flat().grid, "grad_cam", (0,))
    assert mapped(image, signed, {}).marks == {"signed"}
    assert np.isnan(shared(silenced, np.ones((80, 80), bool)))


def test_outlines_are_drawn_inside_the_region_and_rings_around_each_of_its_parts():
    image = np.full((300, 300, 3), 200, np.uint8)
    mask = np.zeros((300, 300), bool)
    mask[100:150, 100:150] = True
    outlined = pictured(image, {"named": mask}).pixels
    changed = (outlined != image).any(-1)
    assert changed[100, 120] and not changed[125, 125] and not changed[~mask].any()
    mask[200:250, 200:250] = True
    ringed = (pictured(image, {"ring": mask}).pixels != image).any(-1)
    assert ringed[:175, :175].any() and ringed[175:, 175:].any() and not ringed[mask].any()


# requests


@pytest.mark.parametrize("name", FIGURES)
def test_a_data_set_that_a_figure_cannot_show_is_refused_with_those_it_can(name, tmp_path):
    with pytest.raises(ValueError, match=f"{name} does not read 'voc_qa'; it reads .*voc"):
        FIGURES[name].carry_out(Request(out=tmp_path, roots={"voc_qa": tmp_path}))
    with pytest.raises(ValueError, match="leave --jobs, --shard and --engine out"):
        FIGURES[name].carry_out(Request(out=tmp_path, jobs=2))
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("name", "root", "said"),
    [
        ("figure3", "voc:{}", "VOCdevkit"),
        ("figure3", "pictures:{}", "holds no image"),
        ("figure3", "pictures:{}/nowhere", "is no folder and no CSV file"),
        ("figure8", "imagenet:{}", "it reads voc, coco"),
        ("figure10", "vqav2:{}", "v2_OpenEnded"),
    ],
)
def test_bad_requests_are_one_line_and_status_2(name, root, said, tmp_path, capsys):
    assert cli.main(["reproduce", name, "-o", str(tmp_path / "o"), "--data", root.format(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.strip().count("\n") == 0


def test_pictures_are_a_folder_or_a_table_beside_them(tmp_path):
    for name in ("b.png", "a.jpg"):
        Image.new("RGB", (8, 6), (9, 9, 9)).save(tmp_path / name)
    (tmp_path / "note.txt").write_text("no image")
    (tmp_path / "broken.png").write_text("no image")
    folder = open_pictures(tmp_path)
    assert folder.ids == ("a.jpg", "b.png", "broken.png")
    assert folder.load("a.jpg").image.shape == (6, 8, 3)
    assert (folder.load("a.jpg").prompt, folder.load("a.jpg").answer) == (None, None)
    with pytest.raises(ValueError, match=r"broken\.png"):
        folder.load("broken.png")
    table = tmp_path / "list.csv"
    table.write_text("image,prompt,answer\nb.png,What?,A box.\nb.png,Why?,\n")
    rows = [open_pictures(table).load(id_) for id_ in open_pictures(table).ids]
    assert [(one.id, one.prompt, one.answer) for one in rows] == [
        ("1 b.png", "What?", "A box."), ("2 b.png", "Why?", None)
    ]  # fmt: skip
    table.write_text("picture\nb.png\n")
    with pytest.raises(ValueError, match="needs the column image"):
        open_pictures(table)


# selection


def test_the_first_scenes_that_fit_are_taken_and_the_next_seed_is_told():
    asked = []
    found, seed = first_scenes(40, lambda one: bool(asked.append(one.id)) or int(one.id) % 2 == 1, 2, objects=1)
    assert [one.id for one in found] == ["41", "43"]
    assert asked == ["40", "41", "42", "43"]
    assert seed == 44
    assert first_scenes(40, lambda _: False, 1, most=3, objects=1) == ([], 43)


def test_samples_that_are_looked_at_are_told_as_many_as_there_are(tmp_path):
    black = np.zeros((4, 4, 3), np.uint8)
    few, many = (data_of(black, count, name) for count, name in ((3, "few"), (7, "many")))
    assert among({"few": few, "many": many}, 5) == "the first 3 of 3 in few and the first 5 of 7 in many"
    asked = []
    found = samples_of({"few": few, "many": many}, 9, [], lambda one: bool(asked.append(one.id)) or True, most=5)
    assert len(found) == len(asked) == 3 + 5
    assert [one.id for one in samples_of({"many": many}, 2, [], lambda one: int(one.id) > 3, most=5)] == ["4"]


def data_of(image, count, name):
    return Given([Sample(str(number), image) for number in range(count)], name)


def test_fewer_scenes_than_wanted_are_shown_and_told(monkeypatch):
    assert only(1, 2, 40) == " Below seed 40 there are only 1."
    assert not only(2, 2, 40)
    vlm = dx.load("lab/llava")
    monkeypatch.setattr(repeats, "_SEEDS", 3)
    cases, note = repeats._cats(vlm, 50)
    assert 0 < len(cases) <= 3
    assert note.endswith(f"without a mistake. Below seed 3 there are only {len(cases)}.")
    monkeypatch.setattr(repeats, "own_answer", lambda *_: "Nothing.")
    with pytest.raises(ValueError, match="tells none of 3 scenes"):
        repeats._cats(vlm, 50)


def test_a_story_that_no_model_tells_is_told_and_its_plate_left_out(monkeypatch):
    told = []
    monkeypatch.setattr(clutter, "_SEEDS", 2)
    monkeypatch.setattr(clutter, "own_answer", lambda *_: "Nothing.")
    assert not [*clutter._group(dx.load("lab/llava"), told)]
    assert told == ["lab/llava says “They are old things.” of none of the first 2 scenes of the story “old things”."]


def test_a_story_that_is_shown_though_not_every_model_tells_it_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(failures, "_SEEDS", 0)
    (note,) = failures._stories(Request(out=tmp_path, models=("lab/llava",), limit=1)).notes
    assert note.endswith(f" There is none below 0 of {next(iter(STORIES))}: what is shown is seed 0.")


def test_a_word_is_said_once_where_it_stands_alone():
    assert says_once("A boat and a football.", "boat")
    assert not says_once("A boat and two boats.", "boat")
    assert not says_once("A football.", "ball")


@pytest.mark.slow
def test_released_is_for_the_family_of_the_authors_code():
    assert views_of(dx.load("lab/llava"), BOTH) == [PAPER, RELEASED]
    assert views_of(dx.load("lab/paligemma"), BOTH) == [PAPER, None]


# the figures on the lab


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_what_its_files_claim(name, made):
    files = made(name)
    assert {kind: path.name for kind, path in files.items()} == {
        kind: f"{name}.{kind}" for kind in ("html", "png", "svg", "csv")
    }
    image = Image.open(files["png"])
    assert image.format == "PNG" and min(image.size) > 800
    tree = ElementTree.parse(files["svg"]).getroot()
    texts = " ".join(one.text or "" for one in tree.iter("{http://www.w3.org/2000/svg}text"))
    assert "DEX-AR paper" in texts and "scale of its own" in texts
    page = files["html"].read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:)|url\(|@import""", page)
    assert "preset released" in page or "filtered, released" in page
    assert "<p></p>" not in page
    assert "by seed from" in page or "seed from 0 on" in page


@pytest.mark.slow
def test_figure_3_shows_the_first_scenes_answered_rightly_and_its_numbers_are_those_of_the_methods(made):
    found, vlm = numbers(made("figure3")), dx.load("lab/llava")
    samples, seed = [], 30_000_000
    for kind in ("which", "colour"):
        some, seed = first_scenes(seed, lambda one: bool(one.targets) and answered([vlm], one), 1, kind=kind, objects=2)
        samples += some
    for sample in samples:
        column = f"{sample.prompt} “{sample.answer}”"
        mask = np.any([target.mask for target in sample.targets], axis=0)
        e = dx.explain(vlm, sample.image, sample.prompt)
        assert e.generation.text == sample.answer
        bare = e.sequence_map(head_filter="none", filler_filter="none")
        assert float(found["DEX-AR, preset paper", column, SHARE]) == pytest.approx(share(e.sequence_map(), mask))
        assert float(found["DEX-AR, no filtering", column, SHARE]) == pytest.approx(share(bare, mask))
        for title, method in (("Attention", "attention"), ("AttnGrad", "attn_grad"), ("GradCAM", "grad_cam")):
            heat = dx.attribute(vlm, sample.image, sample.prompt, method=method).sequence_map()
            assert float(found[title, column, SHARE]) == pytest.approx(share(heat, mask), rel=1e-5)
        released = e.sequence_map(preset="released")
        assert float(found["DEX-AR, preset released", column, SHARE]) == pytest.approx(share(released, mask))


@pytest.mark.slow
def test_figure_5_counts_on_how_many_queries_filters_raise_the_share(made):
    files = made("figure5")
    found = numbers(files)
    rows = {row: float(value) for (row, _, measure), value in found.items() if measure == SHARE}
    assert len(rows) == 6  # two presets of one model, one of the other, each with and without filters
    page = files["html"].read_text()
    for model in ("lab/llava", "lab/paligemma"):
        more = int(rows[f"{model} filtered, paper"] > rows[f"{model} unfiltered, paper"])
        said = page.split(f"{model}, filtered, paper: ")[1].split("</p>")[0]
        assert f"more than without filters on {more} of 1." in said


@pytest.mark.slow
def test_figure_6_says_of_planted_faults_alone_that_they_are_spurious(made):
    files = made("figure6")
    verdicts = {key[:2]: value for key, value in numbers(files).items() if key[2] == "verdict"}
    planted = {value for (row, column), value in verdicts.items() if column.startswith("planted")}
    beside = {value for (row, column), value in verdicts.items() if row.startswith("lab/") and "llava" in column}
    stories = {value for (row, _), value in verdicts.items() if not row.startswith("lab/")}
    assert planted == {"spurious"}
    assert beside == {"not said"}
    assert stories == {"clear"}


@pytest.mark.slow
def test_figure_6_tells_the_nats_of_a_real_removal(made):
    found, vlm = numbers(made("figure6")), dx.load("lab/llava")
    models = [dx.load(f"lab/{name}") for name in ("llava", "bakllava", "paligemma", "florence2")]

    def said_by_all(seed):  # the rule that the page states
        image = story("boat on water", seed).image
        return all(says_once(dx.explain(one, image).generation.text, "boat") for one in models)

    seed = next(seed for seed in range(20) if said_by_all(seed))
    shown = story("boat on water", seed)
    e = dx.explain(vlm, shown.image, shown.prompt)
    (index,) = shown.spec.find("boat")
    check = dx.check(e, step="boat", region=index, how="scene", scene=shown)
    lost = float(found["boat on water", "lab/llava preset paper", "nats lost without boat"])
    assert lost == pytest.approx(check.drop, abs=1e-3)
    told = float(found["boat on water", "lab/llava preset paper", "share on boat ÷ its area"])
    assert told == pytest.approx(share(e.heatmap("boat"), shown.visible[index]))


@pytest.mark.slow
def test_figure_7_shows_the_pieces_with_their_weights_and_what_they_lose(made):
    files = made("figure7")
    found, vlm = numbers(files), dx.load("lab/llava")
    seed = int(re.search(r"Seed (\d+)", files["html"].read_text())[1])
    shown = crowd(seed, objects=4)
    e = dx.explain(vlm, shown.image, shown.prompt)
    assert e.generation.text == shown.caption
    names = {thing.name for thing in shown.spec.objects}
    assert names & {"suitcase", "butterfly"} and names & {"football", "footprint"}
    split = [word for word in e.generation.words if len(word.steps) == 2]
    assert len(split) == 2
    for word in split:
        (index,) = shown.spec.find(word.text.strip(" .,"))
        for step in word.steps:
            column = f"“{e.generation.pieces[step].strip()}” (piece {step + 1})"
            weight = float(found["DEX-AR, preset paper", column, "weight ω"])
            assert weight == pytest.approx(e.step_weights()[step])
            check = dx.check(e, step=step, region=index, how="scene", scene=shown)
            assert float(found["DEX-AR, preset paper", column, "nats lost without the object"]) == pytest.approx(
                check.drop, abs=1e-3
            )


@pytest.mark.slow
def test_figure_8_correlates_both_maps_and_those_of_tam_before_its_corrections_are_one(made):
    found, vlm = numbers(made("figure8")), dx.load("lab/llava")
    shown = scene(0, objects=["gray cat", "orange cat"])
    e = dx.explain(vlm, shown.image, shown.prompt)
    assert e.generation.text == shown.caption  # so the first seed is shown
    first, second = (word.steps for word in e.generation.words if word.text.strip(" .") == "cat")
    column = f"seed 0 “{shown.caption}”"
    likeness = np.corrcoef(e.heatmap(first).values.ravel(), e.heatmap(second).values.ravel())[0, 1]
    assert float(found["DEX-AR, preset paper", column, "alike"]) == pytest.approx(likeness)
    assert float(found["TAM, before its corrections", column, "alike"]) == pytest.approx(1)
    here, there = (shown.visible[index] for index in shown.spec.left_to_right)
    own, other = (share(e.heatmap(first), mask) for mask in (here, there))
    assert float(found["DEX-AR, preset paper", "first “cat”", "own share"]) == pytest.approx(own / (own + other))


def test_the_likeness_of_a_constant_map_is_not_known():
    constant = HeatMap(np.zeros((4, 4), np.float32), flat().grid, "dexar", (0,))
    assert np.isnan(repeats.alike(flat(), constant))
    assert repeats.alike(flat(), flat()) == pytest.approx(1)
    assert np.isnan(repeats.own_share(constant, np.ones((80, 80), bool), np.ones((80, 80), bool)))


@pytest.mark.slow
def test_figure_9_keeps_the_answer_and_tells_how_probable_it_still_is(made):
    found, vlm = numbers(made("figure9")), dx.load("lab/llava")
    (sample,), _ = first_scenes(30_000_000, lambda one: answered([vlm], one), 1, objects=1)
    from dexar_widgets.evaluation.corruptions import corrupt

    fog = corrupt(sample.image, "fog", 5, sample=sample.id)
    e = dx.explain(vlm, fog, sample.prompt, answer=sample.answer)
    words = [word for word in e.generation.words if word.text.strip(" .") in sample.targets[0].name.split()]
    content = tuple(step for word in words for step in word.steps)
    wanted = np.exp(e.generation.log_probs[list(content)].sum())
    assert float(found["fog", "severity 5", "probability"]) == pytest.approx(wanted, rel=1e-3)
    weights = e.step_weights()
    rest = [step for step in e.steps if step not in content]
    ratio = weights[list(content)].mean() / weights[rest].mean()
    assert corrupted.filtered(e, content, PAPER) == pytest.approx(ratio)
    page = made("figure9")["html"].read_text()
    course = [f"{float(found['fog', f'severity {severity}', 'probability']):.2g}" for severity in (1, 3, 5)]
    assert f"<h2>fog</h2><p>the content words&#x27; probability is {' → '.join(course)}; DEX-AR, preset paper:" in page


@pytest.mark.slow
def test_figure_10_circles_what_the_norms_say_and_tells_both_shares(made):
    files = made("figure10")
    found, vlm = numbers(files), dx.load("lab/registers")
    id_ = re.search(r"<h2>(\d+): ", files["html"].read_text())[1]
    sample = data.open("lab", first=int(id_), count=1, objects=1).load(id_)
    e = dx.explain(vlm, sample.image, sample.prompt, patch_norm=True)
    cells = outliers_of(e).cells
    assert len(cells) == float(found["lab/registers", "image", "circled"]) > 0
    for column, heat in (
        ("Attention", dx.attribute(e, method="attention").sequence_map()),
        ("DEX-AR, preset paper", e.sequence_map()),
    ):
        energy = np.maximum(heat.values.astype(float), 0).ravel()
        wanted = energy[cells].sum() / energy.sum() / (len(cells) / energy.size)
        told = float(found["lab/registers", column, "share on the circled ÷ their area"])
        assert told == pytest.approx(wanted, rel=1e-4)
    assert float(found["lab/florence2", "image", "circled"]) == 0
    assert "lab/florence2: no patch of little detail has a high norm." in files["html"].read_text()


# the figures on other data


def voc(root, *scenes):
    """Drawn scenes in PascalVOC's layout: an embedded model can tell them, and the masks are its classes'."""
    from tests.unit.test_data_voc import made as voc_of

    masks, images = {}, {}
    for number, shown in enumerate(scenes):
        values = np.zeros(shown.image.shape[:2], np.uint8)
        for thing, mask in zip(shown.spec.objects, shown.visible, strict=True):
            values[mask] = VOC.get(thing.name, 0)
        masks[f"scene{number}"], images[f"scene{number}"] = values, shown.image
    voc_of(root, **masks)
    for name, image in images.items():
        Image.fromarray(image).save(root / f"VOC2012/JPEGImages/{name}.jpg", "PNG")
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "scenes", "says"),
    [
        ("figure3", [lambda: scene(1, objects=["red cat", "blue dog"])], "the first samples of each data set"),
        ("figure6", [lambda: scene(3, objects=["red train"])], "Left out, since only a drawn scene allows it"),
        (
            "figure7",
            [lambda: scene(1, objects=["red cat", "blue dog"]),
             lambda: scene(0, objects=["red cat", "blue dog", "green car", "white suitcase"])],
            "Chosen: the first, among the first 2 of 2 in voc (of PascalVOC",
        ),
        ("figure8", [lambda: scene(0, objects=["gray cat", "orange cat"])], "“own” is left out"),
        ("figure9", [lambda: scene(1, objects=["red cat"])], "the first samples of each data set"),
        ("figure10", [lambda: scene(1, objects=["red cat"])], "has no such patch on any among the first 1 of 1 in voc"),
    ],
)  # fmt: skip
def test_a_figure_is_made_of_ones_own_data(name, scenes, says, tmp_path):
    root = voc(tmp_path / "data", *(one() for one in scenes))
    made = FIGURES[name].carry_out(Request(out=tmp_path / "out", models=("lab/llava",), roots={"voc": root}, limit=1))
    assert made.without_result == 0
    page = made.files["html"].read_text()
    assert says in page
    assert "scene" in page
    assert ("Not shown, since none of these is such a sample: “boat” by lab/llava" in page) == (name == "figure6")


@pytest.mark.slow
def test_pictures_without_masks_have_no_shares_and_a_broken_one_is_told(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    Image.fromarray(scene(1, objects=["red cat"]).image).save(folder / "b.png")
    (folder / "a.png").write_text("no image")
    request = Request(out=tmp_path / "out", models=("lab/llava",), roots={"pictures": folder})
    made = FIGURES["figure5"].carry_out(request)
    assert made.without_result == 1
    assert "pictures a.png:" in made.files["html"].read_text()
    assert made.files["csv"].read_text().count("\n") == 1
    with pytest.raises(ValueError, match=r"There is nothing to show\..*a\.png"):
        (folder / "b.png").unlink()
        FIGURES["figure3"].carry_out(request)
