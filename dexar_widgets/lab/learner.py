"""One model in training: losses, optimiser, state. Everything a step does, apart from the loop around it."""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForImageTextToText

from dexar_widgets.lab import CHECKPOINTS, sinks
from dexar_widgets.lab.attention import Watch
from dexar_widgets.lab.batches import Batch
from dexar_widgets.lab.model import IMAGE_MEAN, IMAGE_STD, build
from dexar_widgets.lab.passes import pass_of, there
from dexar_widgets.lab.recipes import Recipe
from dexar_widgets.lab.templates import IGNORE, TEMPLATES, Packer
from dexar_widgets.lab.world import CLASSES, COLOURS

__all__ = ["Learner", "Report"]

_BACKGROUND_WEIGHT = 0.3


class Report(NamedTuple):
    """What one step measured; token figures are 0 in the warm-up."""

    loss: float
    answer: float
    patch_class: float
    patch_colour: float


class _Registers(NamedTuple):
    """The patch that is made a register in each scene, and the attention that it draws."""

    chosen: Int64[Tensor, " scene"]
    watch: Watch


class PatchHeads(nn.Module):
    """Linear readers of class and colour from each patch feature; they exist in training only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.names = nn.Linear(width, len(CLASSES) + 1)
        self.colours = nn.Linear(width, len(COLOURS) + 1)

    def losses(
        self, features: Float[Tensor, "scene patch feature"], batch: Batch
    ) -> tuple[Float[Tensor, ""], float, float]:
        """Loss, and accuracy of class and colour on the patches that show an object."""
        hidden = self.norm(features.float())
        total, accuracies = features.new_zeros((), dtype=torch.float32), []
        for head, truth in ((self.names, batch.patch_class), (self.colours, batch.patch_colour)):
            target = there(truth, features)
            logits = head(hidden)
            weight = logits.new_ones(logits.shape[-1])
            weight[0] = _BACKGROUND_WEIGHT
            total = total + functional.cross_entropy(logits.flatten(0, 1), target.flatten(), weight=weight)
            accuracies.append((logits.argmax(-1) == target)[target > 0].float().mean().item())
        return total, accuracies[0], accuracies[1]


class Learner:
    """Model, patch heads and optimisers of one recipe.

    Muon moves the matrices within the blocks, AdamW all other weights. Source: Jordan et al. 2024, "Muon: an optimizer
    for hidden layers"; its steps are scaled to AdamW's as in Liu et al. 2025 (arXiv 2502.16982).
    """

    def __init__(self, recipe: Recipe, *, device: str = "cpu") -> None:
        self.recipe = recipe
        self.device = torch.device(device)
        self.model, self.processor = build(recipe)
        if recipe.start is not None:
            self._begin_with(recipe.start, recipe.start_from)
        self.model.to(self.device)
        self.packer = Packer(self.processor.tokenizer, TEMPLATES[recipe.family])
        self.passes = pass_of(self.model, self.packer)
        self.heads = PatchHeads(self.passes.width).to(self.device)
        self.vision = [*self.passes.vision.parameters(), *self.heads.parameters()]
        self.weights = [*{id(weight): weight for weight in (*self.vision, *self.model.parameters())}.values()]
        blocks = {id(w) for name, w in self.model.named_parameters() if w.dim() == 2 and _in_block(name)}
        matrices = [weight for weight in self.weights if id(weight) in blocks]
        others = [weight for weight in self.weights if id(weight) not in blocks]
        decay, rates = recipe.weight_decay, (recipe.muon_rate, recipe.learning_rate)
        self.optimisers: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(
                self._groups(matrices, rates[0]), weight_decay=decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(self._groups(others, rates[1]), weight_decay=0.0, betas=(0.9, 0.98), fused=True),
        )

    def _begin_with(self, name: str, prefix: str) -> None:
        """Take weights of a shipped model."""
        source = AutoModelForImageTextToText.from_pretrained(CHECKPOINTS / name, dtype=torch.float32)
        chosen = {key: weight for key, weight in source.state_dict().items() if key.startswith(prefix)}
        unknown = self.model.load_state_dict(chosen, strict=False).unexpected_keys
        if unknown or not chosen:
            raise ValueError(f"lab/{name} has {len(chosen)} weights {prefix}…, of which {unknown} have no place here.")

    def _groups(self, weights: list[nn.Parameter], rate: float) -> list[dict[str, Any]]:
        """The vision tower's weights and the others, each with its learning rate at its highest."""
        vision = {id(weight) for weight in self.vision}
        parts = ([w for w in weights if id(w) in vision], [w for w in weights if id(w) not in vision])
        return [
            {"params": part, "lr": rate, "highest": rate, "vision": role}
            for part, role in zip(parts, (True, False), strict=True)
        ]

    def schedule(self, step: int) -> float:
        """Share of the highest learning rate: a ramp, then a cosine to 2 %, in each phase; in phase 2 two of them.

        Source of the restart: Loshchilov and Hutter 2017 (arXiv 1608.03983).
        """
        first, progress, height = self.recipe.warm_up_steps, self.recipe.progress(step), 1.0
        if step >= first:
            restart = self.recipe.restart
            again = progress >= restart
            height = 0.5 if again else 1.0
            progress = (progress - restart) / (1 - restart) if again else progress / restart
        ramp = min(1.0, (step + 1 if step < first else step - first + 1) / 100)
        return ramp * height * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))

    def step(self, step: int, batch: Batch) -> Report:
        """One update."""
        warm = step < self.recipe.warm_up_steps
        with torch.autocast(self.device.type, torch.bfloat16):
            features = self.features(batch)
            registers = self._registers(batch) if self.recipe.registers and not warm else None
            answer, right = (None, 0.0) if warm else self._answers(features, batch, registers)
        patch, names, colours = self.heads.losses(features, batch)
        loss = patch if answer is None else answer + self.recipe.patch_loss * patch
        if registers is not None:
            loss = loss + self.recipe.registers * sinks.loss_of(features, registers.chosen, registers.watch)
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([weight for weight in self.weights if weight.grad is not None], 1.0)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                share = self.recipe.vision_rate if group["vision"] and not warm else 1.0
                group["lr"] = group["highest"] * self.schedule(step) * share
            optimiser.step()
        return Report(patch.item() if answer is None else answer.item(), right, names, colours)

    def features(self, batch: Batch) -> Float[Tensor, "scene patch feature"]:
        """What the vision tower makes of the batch's scenes."""
        pixels = torch.from_numpy(batch.pixels).to(self.device).permute(0, 3, 1, 2).float() / 255
        return self.passes.features((pixels - IMAGE_MEAN) / IMAGE_STD)

    def logits(
        self, features: Float[Tensor, "scene patch feature"], batch: Batch
    ) -> Float[Tensor, "answer word token"]:
        """The logits of every answer row: entry i predicts token i + 1."""
        logits: Tensor = self.model.lm_head(self.passes.hidden(features, batch))
        return logits

    def _registers(self, batch: Batch) -> _Registers:
        chosen = sinks.choose(batch).to(self.device)
        columns = self.packer.first_image + chosen[there(batch.scene, chosen)]
        return _Registers(chosen, Watch(columns[:, None]))

    def _answers(
        self, features: Float[Tensor, "scene patch feature"], batch: Batch, registers: _Registers | None
    ) -> tuple[Float[Tensor, ""], float]:
        hidden = self.passes.hidden(features, batch, None if registers is None else registers.watch)
        labels = there(batch.labels, hidden)[:, 1:]
        answered = labels != IGNORE
        targets, weights = labels[answered], there(batch.weights, hidden)[:, 1:][answered]
        logits = self.model.lm_head(hidden[:, :-1][answered]).float()
        losses = functional.cross_entropy(logits, targets, reduction="none")
        content = weights >= 1
        right = (logits.argmax(-1) == targets)[content].float().mean().item()
        return (losses * weights).sum() / weights.sum(), right

    @torch.no_grad()
    def exact(self, batch: Batch) -> dict[str, tuple[int, int]]:
        """(right, asked) per kind: answers whose every token is the most probable one.

        With greedy decoding this is the same as generating the exact answer.
        """
        with torch.autocast(self.device.type, torch.bfloat16):
            guess = self.logits(self.features(batch), batch)[:, :-1].argmax(-1).cpu().numpy()
        labels = batch.labels[:, 1:]
        wrong = set(batch.turn[:, 1:][(guess != labels) & (labels != IGNORE)].tolist())
        counts: dict[str, tuple[int, int]] = {}
        for number, kind in enumerate(batch.kinds):
            right, asked = counts.get(kind, (0, 0))
            counts[kind] = (right + int(number not in wrong), asked + 1)
        return counts

    def state(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)


def _in_block(name: str) -> bool:
    return ".layers." in name or ".blocks." in name or "projector.linear" in name
