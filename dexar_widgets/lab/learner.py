"""One model in training: losses, optimiser, state. Everything a step does, apart from the loop around it."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from dexar_widgets.lab.batches import IGNORE, Batch, Packer
from dexar_widgets.lab.model import IMAGE_MEAN, IMAGE_STD
from dexar_widgets.lab.recipes import Recipe, builder
from dexar_widgets.lab.world import CLASSES, COLOURS

__all__ = ["Learner", "Report"]

_BLOCKED = -3e4
_BACKGROUND_WEIGHT = 0.3


class Report(NamedTuple):
    """What one step measured; token figures are 0 in the warm-up."""

    loss: float
    answer: float
    patch_class: float
    patch_colour: float


class PatchHeads(nn.Module):
    """Linear readers of class and colour from each patch feature; they exist in training only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.names = nn.Linear(width, len(CLASSES) + 1)
        self.colours = nn.Linear(width, len(COLOURS) + 1)

    def losses(
        self, features: Float[Tensor, "scene patch width"], batch: Batch
    ) -> tuple[Float[Tensor, ""], float, float]:
        """Loss, and accuracy of class and colour on the patches that show an object."""
        hidden = self.norm(features.float())
        total, accuracies = features.new_zeros((), dtype=torch.float32), []
        for head, truth in ((self.names, batch.patch_class), (self.colours, batch.patch_colour)):
            target = torch.from_numpy(truth)
            logits = head(hidden)
            weight = torch.ones(logits.shape[-1])
            weight[0] = _BACKGROUND_WEIGHT
            total = total + functional.cross_entropy(logits.flatten(0, 1), target.flatten(), weight=weight)
            accuracies.append((logits.argmax(-1) == target)[target > 0].float().mean().item())
        return total, accuracies[0], accuracies[1]


class Learner:
    """Model, patch heads and optimiser of one recipe."""

    def __init__(self, name: str, recipe: Recipe) -> None:
        self.recipe = recipe
        self.model, self.processor = builder(name)(recipe)
        self.packer = Packer(self.processor.tokenizer)
        self.heads = PatchHeads(self.model.config.vision_config.hidden_size)
        vision = [*self.model.model.vision_tower.parameters(), *self.heads.parameters()]
        seen = {id(weight) for weight in vision}
        text = [weight for weight in self.model.parameters() if id(weight) not in seen]
        groups = [
            {"params": [w for w in weights if (w.dim() >= 2) == decays], "weight_decay": rate * decays, "vision": role}
            for weights, role in ((vision, True), (text, False))
            for decays, rate in ((True, recipe.weight_decay), (False, 0.0))
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), fused=True)
        self.weights = [*vision, *text]

    def rate(self, step: int) -> float:
        """Learning rate: a ramp, then a cosine to 2 %, in each phase."""
        first = self.recipe.warm_up_steps
        ramp = min(1.0, (step + 1 if step < first else step - first + 1) / 100)
        fall = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * self.recipe.progress(step)))
        return self.recipe.learning_rate * ramp * fall

    def step(self, step: int, batch: Batch) -> Report:
        """One update."""
        warm = step < self.recipe.warm_up_steps
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(step) * (self.recipe.vision_rate if group["vision"] and not warm else 1.0)
        with torch.autocast("cpu", torch.bfloat16):
            features = self._features(batch)
            answer, right = (None, 0.0) if warm else self._answers(features, batch)
        patch, names, colours = self.heads.losses(features, batch)
        loss = patch if answer is None else answer + self.recipe.patch_loss * patch
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([weight for weight in self.weights if weight.grad is not None], 1.0)
        self.optimiser.step()
        return Report(patch.item() if answer is None else answer.item(), right, names, colours)

    def _features(self, batch: Batch) -> Float[Tensor, "scene patch width"]:
        pixels = torch.from_numpy(batch.pixels).permute(0, 3, 1, 2).float() / 255
        seen = self.model.model.vision_tower((pixels - IMAGE_MEAN) / IMAGE_STD, output_hidden_states=True)
        patches: Tensor = seen.hidden_states[-1][:, 1:]  # without CLS, as the family drops it
        return patches

    def _hidden(self, features: Float[Tensor, "scene patch width"], batch: Batch) -> Float[Tensor, "scene token width"]:
        embedded = self.model.get_input_embeddings()(torch.from_numpy(batch.ids))
        first, after = self.packer.first_image, self.packer.first_image + features.shape[1]
        image = self.model.model.multi_modal_projector(features).to(embedded.dtype)
        embedded = torch.cat([embedded[:, :first], image, embedded[:, after:]], 1)
        seen = self.model.model.language_model(
            inputs_embeds=embedded,
            attention_mask=_segment_mask(batch.segment),
            position_ids=torch.from_numpy(batch.positions),
            use_cache=False,
            shared_prefix=len(self.packer.prefix),
        )
        hidden: Tensor = seen.last_hidden_state
        return hidden

    def _answers(self, features: Float[Tensor, "scene patch width"], batch: Batch) -> tuple[Float[Tensor, ""], float]:
        hidden = self._hidden(features, batch)
        labels = torch.from_numpy(batch.labels)[:, 1:]
        answered = labels != IGNORE
        targets, weights = labels[answered], torch.from_numpy(batch.weights)[:, 1:][answered]
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
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self._hidden(self._features(batch), batch)
            guess = self.model.lm_head(hidden[:, :-1]).argmax(-1).numpy()
        wrong = (guess != batch.labels[:, 1:]) & (batch.labels[:, 1:] != IGNORE)
        counts: dict[str, tuple[int, int]] = {}
        for row, kinds in enumerate(batch.kinds):
            for number, kind in enumerate(kinds, 1):
                right, asked = counts.get(kind, (0, 0))
                failed = wrong[row, batch.segment[row, 1:] == number].any()
                counts[kind] = (right + int(not failed), asked + 1)
        return counts

    def state(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        self.optimiser.load_state_dict(state["optimiser"])


def _segment_mask(segment: Int64[np.ndarray, "scene token"]) -> Float[Tensor, "scene 1 token token"]:
    """Additive mask: causal, and only the image prefix and one's own segment."""
    own: Bool[np.ndarray, "scene token token"] = segment[:, :, None] == segment[:, None, :]
    seen = (own | (segment[:, None, :] == 0)) & np.tri(segment.shape[1], dtype=bool)
    mask = torch.zeros(seen.shape, dtype=torch.bfloat16).masked_fill_(torch.from_numpy(~seen), _BLOCKED)
    return mask[:, None]
