"""What a view has the model tested on, as jobs: regions, top cells, cuts; and what it was given to show."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from traitlets import TraitError

from dexar_widgets import causal, jobs, perturb
from dexar_widgets.explanation import Explanation
from dexar_widgets.options import Step
from dexar_widgets.widgets import regions, results
from dexar_widgets.widgets.live import Live

__all__ = ["Measuring"]


class Measuring(Live):
    """A view that tests an answer by intervention. Results stay with it until another answer is shown."""

    _results: traitlets.List[results.Result] = traitlets.List().tag(sync=True, echo_update=False)

    def check(
        self,
        steps: Step | Sequence[Step] | None = None,
        region: perturb.Region | str | None = None,
        *,
        how: perturb.How = "mean",
        id: str | None = None,
    ) -> jobs.Job[causal.Checks]:
        """Hide a region and see what each word loses (`dexar_widgets.causal.checks`); `wait` waits for it.

        By default the words and the region that are selected. ``steps`` is a word, or several, each a word or a group
        of steps; ``region`` a box, a polygon or the name of a given one. (A mask has no outline to be shown: give it
        a name, in ``regions=`` of the Explorer, or take `dexar_widgets.checks`.)
        """
        vlm, e = self._model(), self.shown()
        if isinstance(region, np.ndarray) and region.ndim > 1 and region.shape == e.example.image.shape[:2]:
            raise ValueError(
                "A mask has no outline that the view could show; give it a name, Explorer(…, regions={name: mask}), "
                "and check that, or call dx.checks(e, region=mask)."
            )
        mask = self.region if region is None else self.region_of(region)
        if mask is None:
            raise ValueError("No region is selected; draw one, set selection=, or give region=.")
        where = self.selection if region is None else region
        each = [steps] if isinstance(steps, str | int | slice) else steps or [self.steps or e.steps]
        words = [e.steps_of(word) for word in each]

        def work() -> causal.Checks:
            found = causal.checks(e, steps=words, region=mask, how=how, vlm=vlm)
            self._keep(e, results.of_checks(where if isinstance(where, str) else regions.outline_of(where), found))
            return found

        return self._submit(vlm, work, id)

    def deletion(
        self,
        step: Step | None = None,
        *,
        how: perturb.How = "mean",
        state: Mapping[str, Any] | None = None,
        id: str | None = None,
    ) -> jobs.Job[causal.Deletion]:
        """Hide the top cells of a word's map, more and more of them (`dexar_widgets.causal.deletion`).

        By default of the words that are selected; without one, and with ``step=()``, of the whole answer by its
        sequence map. It is the map in view; ``state`` are traits of another one, as `state` gives them. `wait` waits.
        """
        vlm, e = self._model(), self.shown()
        try:
            given = self.checked_state(state or {})
        except (TypeError, TraitError) as error:
            raise ValueError(str(error)) from error
        method, options = given.get("method", self.method), self.options(given)
        whole = method in e.attributions and e.attributions[method].whole
        chosen: Any = self.steps if step is None and not whole else step
        steps = () if chosen is None or not np.size(chosen) else e.steps_of(chosen)

        def work() -> causal.Deletion:
            maps: dict[str, Any] = options.as_dict() if method == "dexar" else {}
            which: dict[str, Any] = {"step": steps} if steps else {"whole": True}
            found = causal.deletion(e, **which, how=how, method=method, vlm=vlm, **maps)
            about = {"steps": list(steps), **results.settings(method, options)}
            self._keep(e, results.of_deletion(found, about))
            return found

        return self._submit(vlm, work, id)

    def knockout(
        self, cut: perturb.Cut, *, window: int | None = None, id: str | None = None
    ) -> jobs.Job[causal.Knockout]:
        """Cut one part off from another and see what each word loses (`dexar_widgets.causal.knockout`).

        `wait` waits for it.
        """
        vlm, e, cut = self._model(), self.shown(), _cut(cut)

        def work() -> causal.Knockout:
            found = causal.knockout(e, cut=cut, window=window, vlm=vlm)
            self._keep(e, results.of_knockout(found))
            return found

        return self._submit(vlm, work, id)

    def show(self, *findings: Any) -> None:
        """Show what failure-case tools (`dexar_widgets.failures`) found, in place of what was shown of them before.

        The Failures tab tells it, and marks its cells, regions and words; without findings it tells none.
        """
        new = [results.of_finding(finding, self.shown()) for finding in findings]
        with self._results_lock:
            kept = [one for one in self._results if one["kind"] != "finding"]
            self._results = results.joined(kept, new)
        if new:
            self.display = self.display | {"tab": "Failures"}

    def _keep(self, e: Explanation, result: results.Result) -> None:
        """Show a result, if its answer is still in view."""
        jobs.check()
        with self._results_lock:
            with self._lock:
                there = self.comm is not None and bool(self.sources) and self.sources[0].generation is e.generation
            if there:
                self._results = results.joined(self._results, [result])


def _cut(value: Any) -> perturb.Cut:
    found = tuple(value) if isinstance(value, list | tuple) else value
    if found not in perturb.CUTS:
        known = ", ".join(map(str, perturb.CUTS))
        raise ValueError(f"cut={value!r} is unknown; accepted, as (source, target): {known}.")
    return found
