"""What each of the paper's tables takes: data, methods under the paper's names, metrics, and how its columns are read.

Wherever the paper leaves a reading open, a table's ``notes`` say which one is shown. Every data set has a stand-in in
the lab, whose scenes are drawn and whose models are small: it shows the same measurement, not the same numbers.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dexar_widgets.evaluation.configuration import Variant
from dexar_widgets.evaluation.layouts import Column, Preset, Row, Source
from dexar_widgets.evaluation.readings import Reading

__all__ = ["PRESETS"]

_IMAGENET = Source(
    title="ImageNet", reader="imagenet", stand_in="scenes of one object, told in the model's own caption",
    lab=({"objects": 1},),
)  # fmt: skip
_VQA = Source(
    title="VQAv2", reader="vqav2", stand_in="questions of five kinds about scenes, in turn",
    lab=tuple(
        {"kind": kind, "first": 30_000_000 + 1_000_000 * place}  # no scene is asked two questions
        for place, kind in enumerate(("colour", "which", "count", "yes-no", "side"))
    ),
)  # fmt: skip
_VOC = Source(
    title="PascalVOC", reader="voc", year="2012", options={"answer": "listing"},
    stand_in="scenes of one to four objects, told in the model's own caption, with exact masks",
    lab=({"objects": None},),
)  # fmt: skip
_VOC_QA = Source(
    title="PascalVOC-QA", reader="voc_qa", year="2012",
    stand_in="captions of scenes, where content and filler are known", lab=({"objects": None},),
)  # fmt: skip
_CORRUPTED = tuple(
    Source(
        title=name.replace("_", " "), reader="imagenet", options={"template": "I see a {name}"}, corruption=name,
        stand_in="captions of scenes of one object, corrupted", lab=({"objects": 1},),
    )
    for name in ("pixelate", "fog", "brightness", "zoom_blur", "gaussian_noise", "motion_blur")
)  # fmt: skip
_METHODS = (
    Row("Attention", Variant("attention", "attention"), "Attention"),
    Row("Rollout", Variant("rollout", "rollout"), "Rollout"),
    Row("GradCAM", Variant("grad_cam", "grad_cam"), "GradCAM"),
    Row("CheferCAM", Variant("chefer_cam", "chefer_cam"), "CheferCAM"),
    Row("AttnGrad", Variant("attn_grad", "attn_grad"), "AttnGrad"),
    Row("Int. Grad.", Variant("integrated_gradients", "integrated_gradients"), "Int.Grad"),
    Row("RISE", Variant("rise", "rise"), "RISE"),
    Row("IIA", Variant("iia", "iia"), "IIA"),
    Row("DEX-AR", Variant("dexar", "dexar"), "DEX-AR"),
)
_RELEASED = Row(
    "DEX-AR, released", Variant("dexar released", "dexar", {"preset": "released"}), families=("llava", "bakllava")
)
_CONTROL = Row("Random (control)", Variant("random", "random"))
_IN_TABLE_6 = {"AttnGrad": "Attn x CAM", "Int.Grad": "Integrated Grad."}


def _curve(source: str) -> tuple[Column, ...]:
    return (
        Column(f"{source}, Pos ↑", source, (source, "POS_AUC"), Reading("positive_perplexity")),
        Column(f"{source}, Neg ↓", source, (source, "NEG_AUC"), Reading("negative_perplexity")),
    )


def _dexar(title: str, published: str, **options: Any) -> Row:
    return Row(title, Variant(f"dexar {title}", "dexar", options), f"DEX-AR[{published}]")


def _head_filters() -> tuple[Row, ...]:
    fractions = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    return (
        _dexar("no filter", "head_filter=none", head_filter="none"),
        Row("max", Variant("dexar", "dexar"), "DEX-AR[head_filter=max]"),
        *(_dexar(f"{one:g}", f"head_filter=top_frac={one:g}", head_filter=one) for one in fractions),
        _dexar("avg", "head_filter=avg", head_filter="avg"),
    )


def _filler_filters() -> tuple[Row, ...]:
    lost = (f"top_row{row}(threshold_lost)" for row in range(1, 6))
    return (
        Row("max", Variant("dexar", "dexar"), "DEX-AR[filter=max]"),
        _dexar("avg", "filter=avg", filler_filter="avg"),
        *(Row(f"top {one:g}", Variant(f"dexar top {one:g}", "dexar", {"filler_filter": one})) for one in _TOP),
        *(Row(f"paper's top-k, row {row}", None, f"DEX-AR[filter={name}]") for row, name in enumerate(lost, 1)),
    )


_TOP = (0.05, 0.1, 0.2, 0.5, 0.9)
_PRESETS = (
    "“DEX-AR” is as the paper describes it. “DEX-AR, released” has the settings of the authors' code, which is for "
    "LLaVA-1.5 and BakLLaVA alone."
)
_PERPLEXITY = (
    _PRESETS,
    "Perplexity ratios are averaged as they are, and a few samples can decide the mean; the area runs over all of the "
    "image (flat is 1). The paper gives neither levels nor range: medians, the area to 0.9, and areas under the "
    "logarithm are among every number.",
)
_FURTHER = tuple(
    Reading(metric, part)
    for metric in ("positive_perplexity", "negative_perplexity") for part in ("auc09", "log_auc01")
)  # fmt: skip
_BOUNDED = tuple(Reading(metric, part) for metric in ("insertion", "deletion") for part in ("clipped", "nll"))
_SHOWN = (
    *_PERPLEXITY,
    "Seconds are measured on whatever machine this was; compare them with each other, not with the paper's.",
)
_TOKENS = (Reading("token_snr", "decibel"), Reading("token_snr", "weights"))
_ALL = (
    Preset(
        name="table1", title="Perturbation: positive and negative AUC of the perplexity ratio",
        sources=(_IMAGENET, _VQA),
        columns=(
            *_curve("ImageNet"), *_curve("VQAv2"),
            Column("s/img ↓", "ImageNet", ("ImageNet+VQAv2", "sec_per_img"), None),
        ),
        rows=(*_METHODS, _RELEASED, _CONTROL), also=("perplexity_gap",), further=_FURTHER, samples=20, notes=_SHOWN,
    ),
    Preset(
        name="table2", title="Segmentation: soft IoU, IoU and energy pointing game",
        sources=(_VOC,),
        columns=(
            Column("soft-IoU ↑, %", "PascalVOC", ("PascalVOC", "softIoU_pct"), Reading("soft_iou"), 100),
            Column("IoU ↑, %", "PascalVOC", ("PascalVOC", "IoUmax_pct"), Reading("iou"), 100),
            Column("EPG ↑, %", "PascalVOC", ("PascalVOC", "EPG_pct"),
                   Reading("energy_pointing_game", "on_minmaxed"), 100),
        ),
        rows=(*(row for row in _METHODS if row.title not in ("Int. Grad.", "RISE", "IIA")),
              _RELEASED, _CONTROL, Row("the masks (oracle)", Variant("oracle", "oracle"))),
        also=("iou_fixed", "pointing_game"), further=(Reading("iou", "otsu"), Reading("soft_iou", "clipped")),
        notes=(
            _PRESETS,
            "The whole answer's map is judged against each class by itself: the paper's lowest IoU is the share of one "
            "class's mask, though its text says all objects. Both other views are among every number.",
            "IoU takes the best threshold for each mask, so no map is below its floor, which is the mask's share.",
        ),
    ),
    Preset(
        name="table3", title="Head filter: which gradients of a head are read", sources=(_VOC,), closed=True,
        columns=(
            Column("SNR ↑", "PascalVOC", ("PascalVOC", "SNR"), Reading("snr")),
            Column("MSE ↓", "PascalVOC", ("PascalVOC", "MSE"), Reading("mse")),
        ),
        rows=_head_filters(), further=(Reading("snr", "raw"), Reading("snr", "decibel")),
        notes=("SNR is mean inside ÷ mean outside: the paper's formula has sums, but its numbers tend to 1 as the "
               "filter blunts, as those of means do.",),
    ),
    Preset(
        name="table4", title="Head filter and filler filter, on tokens", sources=(_VOC_QA,), closed=True,
        columns=(
            Column("SNR ↑", "PascalVOC-QA", ("PascalVOC-QA", "SNR_token"), Reading("token_snr")),
            Column("MSE ↓", "PascalVOC-QA", ("PascalVOC-QA", "MSE_token"), Reading("token_mse")),
            Column("EPG ↑, %", "PascalVOC-QA", ("PascalVOC-QA", "EPG_token_pct"), Reading("token_energy"), 100),
        ),
        rows=(
            _dexar("head ✗, filler ✗", "head=0,filler=0", head_filter="none", filler_filter="none"),
            _dexar("head ✓, filler ✗", "head=1,filler=0", filler_filter="none"),
            _dexar("head ✗, filler ✓", "head=0,filler=1", head_filter="none"),
            Row("head ✓, filler ✓", Variant("dexar", "dexar"), "DEX-AR[head=1,filler=1]"),
        ),
        also=("token_auroc",), further=_TOKENS,
        notes=("Of tokens, not pixels: an EPG of 95 % is impossible on pixels. SNR is a mean of ratios, which a few "
               "answers decide; an answer whose filler has no energy has none, and is skipped.",),
    ),
    Preset(
        name="table5", title="ReLU on the gradients, and intermediate layers", sources=(_VOC,), closed=True,
        columns=(Column("IoU ↑, %", "PascalVOC", ("PascalVOC", "IoUmax_pct"), Reading("iou"), 100),),
        rows=(
            _dexar("ReLU ✗, interm. ✓", "relu=0,interm=1", relu=False),
            _dexar("ReLU ✓, interm. ✗", "relu=1,interm=0", layers=-1),
            _dexar("ReLU ✗, interm. ✗", "relu=0,interm=0", relu=False, layers=-1),
            Row("ReLU ✓, interm. ✓", Variant("dexar", "dexar"), "DEX-AR[relu=1,interm=1]"),
        ),
        notes=("Without ReLU gradients are summed with their signs. Without intermediate layers the last is read "
               "alone.",),
    ),
    Preset(
        name="table6", title="Further metrics on ImageNet", sources=(_IMAGENET,),
        columns=(
            Column("POS ↑", "ImageNet", ("ImageNet", "POS_AUC"), Reading("positive_perplexity")),
            Column("NEG ↓", "ImageNet", ("ImageNet", "NEG_AUC"), Reading("negative_perplexity")),
            Column("IC ↑", "ImageNet", ("ImageNet", "PIC_AUC"), Reading("information_curve")),
            Column("Insert. ↓", "ImageNet", ("ImageNet", "Insertion_AUC"), Reading("insertion")),
            Column("Del. ↑", "ImageNet", ("ImageNet", "Deletion_AUC"), Reading("deletion")),
            Column("s/img ↓", "ImageNet", ("ImageNet", "sec_per_img"), None),
        ),
        rows=tuple(replace(row, published=_IN_TABLE_6.get(row.published, row.published))
                   for row in (*_METHODS[1:], _RELEASED, _CONTROL)),
        also=("perplexity_gap",), further=(*_FURTHER, *_BOUNDED), samples=20,
        notes=(*_SHOWN, "The paper's table names no model: its rows are BakLLaVA's. Its deviation of the insertion's "
               "blur is lost in the text; here it is 10 pixels of 224.",
               "IC is the mean of the images' areas; the area behind their median curve stands with the curves, below.",
               "Insertion and deletion are as they are: where a changed image is worse than the mean colour alone, "
               "deletion leaves 0 to 1, in which all of the paper's are, and a few samples can decide the mean. "
               "Clipped to that range, and of log-likelihoods, both are among every number. Insertion can be no lower "
               "than half of the first step of pixels, which on scenes of one object may bring all of the answer "
               "back."),
    ),
    Preset(
        name="table7", title="DEX-AR and TAM", sources=(_IMAGENET,), closed=True,
        columns=_curve("ImageNet"),
        rows=(Row("TAM", Variant("tam", "tam"), "TAM"), _METHODS[-1], _RELEASED, _CONTROL), also=("perplexity_gap",),
        further=_FURTHER, notes=_PERPLEXITY,
    ),
    Preset(
        name="table8", title="Filler filter under corruption (ImageNet-C, severity 5)", closed=True,
        sources=_CORRUPTED, rows=_filler_filters(), also=("token_auroc",), further=_TOKENS,
        columns=tuple(
            Column(f"{one.title} ↑", one.title, (f"ImageNet-C/{one.corruption}/sev5", "SNR_token"),
                   Reading("token_snr"))
            for one in _CORRUPTED
        ),
        notes=(
            "The paper's table names no model; its numbers stand beside LLaVA-1.5's, a guess. "
            "The thresholds of its top-k rows are lost in its text, so they stand apart from ours, and no "
            "order is compared. Which of the two filters was varied it does not say either: here the filler filter, "
            "with the head filter at max.",
            "The paper's SNR falls below 0, which no ratio of energies can: it is of another scale. ImageNet-C has no "
            "masks, so its SNR must be of tokens.",
        ),
    ),
)  # fmt: skip
PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _ALL}
"""Tables 1 to 8 by name."""
