"""When an Explorer closes: with its cell's next run, with ``close()``, or with the last reference to it."""

import gc
import weakref
from types import SimpleNamespace

import pytest
from IPython.core.events import EventManager, available_events
from ipywidgets.widgets import widget as registry

import dexar_widgets as dx
from dexar_widgets.widgets import cells
from tests.golden.cases import build

pytestmark = pytest.mark.slow


class Shell:
    """What of a notebook's shell the cells are known by."""

    def __init__(self) -> None:
        self.events = EventManager(self, available_events, print_on_error=False)
        self.parent: dict = {}
        self.kernel = SimpleNamespace(get_parent=lambda: self.parent)
        self.runs = 0

    def run(self, cell: str | None, *work, deleted: tuple[str, ...] = ()) -> None:
        """Run one cell as a front end would have it run."""
        self.runs += 1
        metadata = {"deletedCells": list(deleted)} | ({"cellId": cell} if cell else {})
        self.parent = {"header": {"msg_id": f"request {self.runs}"}, "metadata": metadata}
        self.events.trigger("pre_run_cell", SimpleNamespace(cell_id=cell))
        for step in work:
            step()

    @property
    def listens(self) -> bool:
        return bool(self.events.callbacks["pre_run_cell"])

    def showtraceback(self) -> None:
        raise


@pytest.fixture(autouse=True)
def nothing_travels(monkeypatch):
    """What is sent to the browser takes most of the time, and is tested elsewhere."""
    monkeypatch.setattr("dexar_widgets.widgets.wire.document", lambda *_, **__: ({"sources": []}, b"numbers"))


@pytest.fixture
def shell(monkeypatch):
    shell = Shell()
    monkeypatch.setattr(cells, "_shell", lambda: shell)
    before = set(registry._instances)
    yield shell
    for model_id in set(registry._instances) - before:
        if model_id in registry._instances:  # a widget closes its layout too
            registry._instances[model_id].close()
    assert not shell.listens


def living() -> list[dx.Explorer]:
    return [widget for widget in list(registry._instances.values()) if isinstance(widget, dx.Explorer)]


def test_a_cell_that_runs_again_closes_what_its_earlier_run_made(shell):
    made = []

    def make():
        made.append(dx.Explorer(build()))

    shell.run("a", make)
    shell.run("b", make, make)
    shell.run("c")
    assert [explorer.comm is not None for explorer in made] == [True, True, True]
    shell.run("a", make)
    assert [explorer.comm is not None for explorer in made] == [False, True, True, True]
    shell.run("b")
    assert [explorer.comm is not None for explorer in made] == [False, False, False, True]
    shell.run("c", deleted=("a", "x"))
    assert living() == []


def test_a_cell_run_inside_a_cell_closes_nothing(shell):
    def make_and_run_another():
        dx.Explorer(build())
        shell.events.trigger("pre_run_cell", SimpleNamespace(cell_id=None))  # as %run does

    shell.run("a", make_and_run_another)
    assert len(living()) == 1


def test_nothing_listens_to_the_shell_before_the_first_or_after_the_last(shell):
    assert not shell.listens
    made = []
    shell.run("a", lambda: made.append(dx.Explorer(build())), lambda: made.append(dx.Explorer(build())))
    assert len(shell.events.callbacks["pre_run_cell"]) == 1
    made[0].close()
    assert shell.listens
    made[1].close()
    assert not shell.listens


def test_a_hundred_runs_of_a_cell_leave_one_explorer_and_one_explanation(shell):
    made = []
    widgets = len(registry._instances)

    def show():
        e = build()
        made.extend([weakref.ref(e), weakref.ref(dx.Explorer(e))])

    for _ in range(100):
        shell.run("a", show)
    gc.collect()
    assert [ref() is not None for ref in made] == [False] * 198 + [True] * 2
    assert len(living()) == 1
    assert len(registry._instances) == widgets + 2, "the Explorer and its layout"
    assert len(cells._made) == len(shell.events.callbacks["pre_run_cell"]) == 1


def test_what_a_cell_shows_lives_without_a_name(shell):
    shell.run("a", lambda: dx.Explorer(build()))
    gc.collect()
    assert len(living()) == 1


def test_ten_live_together_and_each_is_its_own(shell):
    shell.run("a", *[lambda step=step: dx.Explorer(build(), step=step % 5) for step in range(10)])
    explorers = living()
    assert [explorer.step for explorer in explorers] == [step % 5 for step in range(10)]
    assert len({explorer._id for explorer in explorers}) == 10


def test_without_a_cell_garbage_collection_closes(monkeypatch):
    closed = []
    explorer = dx.Explorer(build(), step=1)
    model_id, comm, layout = explorer.model_id, explorer.comm, explorer.layout.model_id
    monkeypatch.setattr(comm, "close", lambda **_: closed.append(model_id))
    assert registry._instances[model_id].step == 1, "a page that reloads still finds it"
    e, seen = weakref.ref(explorer.explanation), weakref.ref(explorer)
    del explorer
    gc.collect()
    assert (seen(), e(), closed) == (None, None, [model_id])
    assert not {model_id, layout} & set(registry._instances)


def test_a_message_to_one_that_was_collected_is_dropped():
    explorer = dx.Explorer(build())
    comm = explorer.comm
    del explorer
    gc.collect()
    assert living() == []
    comm.handle_msg({"content": {"data": {"method": "custom", "content": {}}}, "buffers": []})


def test_shown_by_a_kernel_that_names_no_cells_it_lives_until_it_is_closed(shell):
    shell.run(None, lambda: dx.Explorer(build())._repr_mimebundle_())
    gc.collect()
    (explorer,) = living()
    explorer.close()
    assert living() == []


def test_closing_lets_go_of_everything_and_may_be_done_twice():
    e = build()
    explorer = dx.Explorer(e, build(seed=3), regions={"left": (0, 0, 9, 9)})
    explorer.part(0, "open")
    held, model_id = weakref.ref(e), explorer.model_id
    del e
    explorer.close()
    explorer.close()
    gc.collect()
    assert held() is None
    assert model_id not in registry._instances
    assert explorer._payload == b"" and explorer._document == ""


def test_a_layout_that_was_given_is_not_closed_with_it():
    from ipywidgets import Layout

    layout = Layout(width="50%")
    dx.Explorer(build(), layout=layout).close()
    assert layout.comm is not None
    layout.close()


def test_one_that_could_not_be_built_leaves_nothing():
    before = set(registry._instances)
    for wrong in ({"layers": 99}, {"lesson": [{}]}, {"regions": {"x": (0, 0, 40, 30)}}, {"zoom": 1}):
        with pytest.raises(Exception, match=r"layers|lesson|regions|zoom"):
            dx.Explorer(build(), **wrong)
    gc.collect()
    left = set(registry._instances) - before
    assert not [model_id for model_id in left if isinstance(registry._instances[model_id], dx.Explorer)]
