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
        words: Sequence[Step] | None = None,
        region: perturb.Region | str | None = None,
        *,
        how: perturb.How = "mean",
        id: str | None = None,
    ) -> jobs.Job[list[causal.Check]]:
        """Hide a region and see what each word loses (`dexar_widgets.causal.checks`); `wait` waits for it.

        By default the words and the region that are selected; ``region`` may be the name of a given one.
        """
        vlm, e = self._model(), self.explanation
        mask = self.region if region is None else self.region_of(region)
        if mask is None:
            raise ValueError("No region is selected; draw one, set selection=, or give region=.")
        where = self.selection if region is None else region
        steps = [e.steps_of(word) for word in words or [self.steps or e.steps]]

        def work() -> list[causal.Check]:
            found = causal.checks(e, steps=steps, region=mask, how=how, vlm=vlm)
            if np.shape(where) != mask.shape:  # a mask has no outline to show
                shown = where if isinstance(where, str) else regions.outline_of(where)
                self._keep(e, results.of_checks(shown, found))
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

        By default of the words that are selected, or of the whole answer, by the map in view; ``state`` are traits of
        another one, as `state` gives them. `wait` waits for it.
        """
        vlm, e = self._model(), self.shown()
        try:
            given = self.checked_state(state or {})
        except (TypeError, TraitError) as error:
            raise ValueError(str(error)) from error
        method, options = given.get("method", self.method), self.options(given)
        whole = method in e.attributions and e.attributions[method].whole
        steps = e.steps_of(step if step is not None else e.steps if whole else self.steps or e.steps)

        def work() -> causal.Deletion:
            maps = options.as_dict() if method == "dexar" else {}
            found = causal.deletion(e, step=steps, how=how, method=method, vlm=vlm, **maps)  # type: ignore[arg-type]
            self._keep(e, results.of_deletion(found, results.settings(method, options)))
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
        with self._lock:
            kept = [one for one in self._results if one["kind"] != "finding"]
        self._results = results.joined(kept, new)
        if new:
            self.display = self.display | {"tab": "Failures"}

    def _keep(self, e: Explanation, result: results.Result) -> None:
        """Show a result, if its answer is still in view."""
        jobs.check()
        with self._lock:
            there = self.comm is not None and bool(self.sources) and self.sources[0].generation is e.generation
            known = list(self._results)
        if there:
            self._results = results.joined(known, [result])


def _cut(value: Any) -> perturb.Cut:
    found = tuple(value) if isinstance(value, list | tuple) else value
    if found not in perturb.CUTS:
        known = ", ".join(map(str, perturb.CUTS))
        raise ValueError(f"cut={value!r} is unknown; accepted, as (source, target): {known}.")
    return found
