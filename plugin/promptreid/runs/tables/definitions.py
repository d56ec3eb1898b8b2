"""The tables that show whether the methods work: which trainings are compared in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from promptreid.config.keys import did_you_mean
from promptreid.config.load import SUFFIXES
from promptreid.runs.tables.own_table import read_table
from promptreid.runs.tables.table import Row, Table

VI = "worlds/synth_vi.yaml"
RGBNT = "worlds/synth_rgbnt.yaml"


_BARE_MIP = {"mip.modality_prompts": False, "mip.instance_prompts": False, "mip.iael": False}
_BARE_TOWER = {"dmpt.preset": "dmpt_s", "dmpt.semantic": False}

_HEADS = ("necks", "classifier")
_AFTER_BN = {"baselines.after_bn": True}  # as the world has it for MIP


def _vi_row(key: str, name: str, overrides: Mapping[str, Any], *parts: str) -> Row:
    """A row of the visible-infrared world, where new layers, ``parts`` among them, have rates of their own."""
    return Row(key, name, VI, {**overrides, "train.new_layers": [*_HEADS, *parts]})


VIT = _vi_row("vit", "plain ViT", {"model.name": "vit_tiny_patch16_reid", **_AFTER_BN})
TRANSREID = _vi_row("transreid", "TransReID", {"model.name": "transreid_vit_tiny_patch16", **_AFTER_BN})
MIP_PAPER = Row("mip_paper", "MIP, paper", VI, {"mip.preset": "mip_paper"})
MIP_RELEASE = _vi_row(
    "mip_release",
    "MIP, release",
    # MSEL joins in the second of four epochs; in the released recipe, in the tenth.
    {"mip.preset": "mip_release", "loss.prompt.use_msel": True, "loss.prompt.msel_start_epoch": 2},
    "modality_prompts",
    "instance_prompts",
)
DMPT = Row("dmpt", "DMPT", RGBNT, {"dmpt.preset": "dmpt"})
DMPT_S = Row("dmpt_s", "S", RGBNT, {"dmpt.preset": "dmpt_s"})
DMPT_S_BIND = Row("dmpt_s_bind", "S + bind", RGBNT, {"dmpt.preset": "dmpt_s_bind"})
DMPT_S_BIND_M = Row("dmpt_s_bind_m", "S + bind + M", RGBNT, {"dmpt.preset": "dmpt_s_bind_m"})
UNBOUND = Row("dmpt_without_bind", "without bind", RGBNT, {"dmpt.preset": "dmpt", "dmpt.bind": False})
DROP = {"data.augment.drop_modality": 0.3}


def _of_length(length: int) -> Row:
    """DMPT with another number of semantic prompts."""
    settings = {**DMPT.overrides, "dmpt.semantic_length": length}
    return Row(f"dmpt_semantic_{length}", f"S = {length}", RGBNT, settings)


def _reading(key: str, name: str, settings: Mapping[str, Any], preset: str = "dmpt_s_bind_m") -> Row:
    """DMPT with another reading of a sentence of the paper, or a mechanism that it does not have."""
    named = {f"dmpt.{option}": value for option, value in settings.items() if "." not in option}
    others = {option: value for option, value in settings.items() if "." in option}
    return Row(f"dmpt_{key}", name, RGBNT, {"dmpt.preset": preset, **named, **others})


_ADDED_WORDS = {"word_deep": True, "word_maps": "each", "word_output": "semantic", "word_length": 8, "word_std": 0.02}
_OF_IDENTITIES = {"alignment_of": "identity", "context_words": 4, "temperature": 0.07}
_GATED = {"word_first_layer": 5, "prompt_gates": True, "attention_temperature": True}
LAYERS = _reading("layers", "M per block, from the text's layers", {"word_deep": True, "word_source": "layers"})
APART = _reading("apart", "prompts with a softmax of their own", {"prompt_attention": "apart"})
ADDED = _reading("added", "M per block, added to S by gates", _ADDED_WORDS)
PATCHES = _reading(
    "patches", "M without words, S and M from patches", {"word_source": "learned", "prompt_init": "patches"}
)
IDENTITY = _reading("identity", "W_t on identities", _OF_IDENTITIES, "dmpt")
ON_WORDS = _reading("on_words", "W_t on the outputs of M", {"alignment_on": "modality_prompts"}, "dmpt")
READINGS = (
    DMPT_S_BIND_M,
    _reading("medium", "bind as a medium", {"bind_direction": "medium", "bind_keys": "all"}),
    _reading("residual", "bind in a chain", {"bind_residual": True}),
    _reading("offsets", "M told apart by offsets", {"word_offsets": True}),
    _reading("end", "M from the end of the text", {"word_source": "end"}),
    LAYERS,
    _reading("low_rank", "M per block, maps of low rank apart", {"word_deep": True, "word_maps": "low_rank"}),
    ADDED,
    _reading("content", "M from content", {"word_content": 16}),
    _reading("free", "M without words", {"word_source": "learned"}),
    PATCHES,
    APART,
    _reading("gated", "M in the last two blocks, gates, temperatures", _GATED),
    DMPT,
    _reading("context", "W_t with learned context", {"context_words": 4}, "dmpt"),
    IDENTITY,
    ON_WORDS,
    _reading("symmetric", "W_t symmetric", {"alignment_symmetric": True}, "dmpt"),
)

LINEAR_PROBE = Row("linear_probe", "linear probe", RGBNT, {**_BARE_TOWER, "train.lr": 0.01, "train.warmup_lr": 0.002})
FINE_TUNING = Row(
    "fine_tuning",
    "full fine-tuning",
    RGBNT,
    {
        **_BARE_TOWER,
        "dmpt.frozen": False,
        "train.lr": 0.01,
        "train.staged_lr": True,
        "train.new_layers": list(_HEADS),
        "train.base_lr_mult": 0.05,
    },
)


def _beyond(key: str, name: str, settings: Mapping[str, Any]) -> Row:
    """S + bind with an option beyond the paper."""
    return _reading(key, f"S + bind{name}", settings, "dmpt_s_bind")


BEYOND = (
    DMPT,
    LINEAR_PROBE,
    DMPT_S,
    DMPT_S_BIND,
    FINE_TUNING,
    _beyond("adapter", " + adapter", {"adapter": 40}),
    Row("dmpt_adapter_unbound", "S + adapter", RGBNT, {"dmpt.preset": "dmpt_s", "dmpt.adapter": 40}),
    # As many trained parameters as S + bind + adapter: the bind's are in the bottleneck.
    Row("dmpt_adapter_wide", "S + wide adapter", RGBNT, {"dmpt.preset": "dmpt_s", "dmpt.adapter": 168}),
    _beyond("adapter_apart", " + an adapter per modality", {"adapter": 40, "adapter_shared": False}),
    _beyond("exchange", " + exchange", {"exchange": 8}),
    Row("dmpt_exchange_unbound", "S + exchange", RGBNT, {"dmpt.preset": "dmpt_s", "dmpt.exchange": 8}),
    _beyond("lora", " + LoRA", {"lora": 8}),
    _beyond("fusion", " + fusion", {"fusion": True}),
    # The preset's width would be a quarter of the small tower; with this one its parts are 6.2 % of it.
    Row("dmpt_plus", "dmpt_plus", RGBNT, {"dmpt.preset": "dmpt_plus", "dmpt.adapter": 72}),
)

_EIGHT = {"train.max_epoch": 8}
# Five and fifteen times the rate of what was pretrained, which is a twentieth of the heads'.
_RELEASED_RATES = {"train.lr_mult.prompts": 0.25, "train.lr_mult.generator": 0.75}


def _with_drop(row: Row, name: str) -> Row:
    return Row(f"{row.key}_drop", name, row.config, {**row.overrides, **DROP})


_TABLES = (
    Table(
        "baselines_vi",
        "Visible-infrared: MIP and what it is built on",
        (
            VIT,
            TRANSREID,
            MIP_PAPER,
            MIP_RELEASE,
        ),
    ),
    Table(
        "mip_frozen",
        "Visible-infrared: MIP on a frozen tower",
        (
            _vi_row(
                "vit_frozen",
                "plain ViT, linear probe",
                {**VIT.overrides, "baselines.frozen": True, "train.staged_lr": False},
            ),
            Row("mip_frozen", "MIP, frozen", VI, {"mip.preset": "mip_paper", "mip.frozen": True}),
            MIP_PAPER,
            VIT,
        ),
        note="MIP, frozen: its head blocks, copies of the tower's last one, are trained; the linear probe's is not.",
    ),
    Table(
        "mip_ablation",
        "The parts of MIP",
        (
            replace(TRANSREID, name="base (TransReID)"),
            _vi_row("mip_mpl", "+ MPL", {**_BARE_MIP, "mip.modality_prompts": True}, "modality_prompts"),
            _vi_row("mip_ipg", "+ IPG", {**_BARE_MIP, "mip.instance_prompts": True}, "instance_prompts"),
            _vi_row("mip_mpl_ipg", "+ MPL + IPG", {"mip.iael": False}, "modality_prompts", "instance_prompts"),
            replace(MIP_PAPER, name="+ MPL + IPG + IAEL (mip_paper)"),
            replace(MIP_RELEASE, name="mip_release"),
        ),
    ),
    Table(
        "baselines_rgbnt",
        "RGB + NIR + TIR: DMPT and other uses of the same tower",
        (
            Row("zero_shot", "frozen tower, untrained", RGBNT, _BARE_TOWER, trained=False),
            LINEAR_PROBE,
            FINE_TUNING,
            replace(DMPT_S, name="VPT-deep (S)", against="linear_probe"),
            Row(
                "three_osnet",
                "three OSNet x0.25, from scratch",
                RGBNT,
                {
                    "model.name": "three_osnet_x0_25",
                    "model.pretrained": False,
                    "loss.name": "softmax",
                    "sampler.train_sampler": "RandomSampler",
                    "train.optim": "amsgrad",
                    "train.lr": 1.5e-3,
                    "test.dist_metric": "cosine",
                },
            ),
            replace(DMPT, against="dmpt_s"),
        ),
        reference="fine_tuning",
        note="Descriptors are those after BNNeck; before it, the linear probe's is the untrained tower's.",
    ),
    Table(
        "dmpt_ladder",
        "The paper's ablation of DMPT",
        (
            DMPT_S,
            replace(DMPT_S_BIND, against="dmpt_s"),
            replace(DMPT_S_BIND_M, against="dmpt_s_bind"),
            replace(DMPT, against="dmpt_s_bind_m"),
        ),
    ),
    Table("dmpt_over_s", "DMPT over S in many worlds", (DMPT_S, DMPT)),
    Table(
        "semantic_length",
        "DMPT: how many semantic prompts",
        (*map(_of_length, (2, 4)), replace(DMPT, name="S = 8"), *map(_of_length, (16, 32))),
    ),
    Table(
        "missing_modality",
        "DMPT under missing modalities",
        (
            DMPT,
            _with_drop(DMPT, "DMPT, drop"),
            UNBOUND,
            _with_drop(UNBOUND, "without bind, drop"),
        ),
        note="drop: in training, each modality of a sample is left out with probability 0.3.",
        missing=True,
    ),
    Table(
        "dmpt_hypotheses",
        "DMPT: hypotheses about prompts and sentences",
        (DMPT_S_BIND_M, ADDED, PATCHES, LAYERS, APART, DMPT, IDENTITY, ON_WORDS),
        reference="dmpt_s_bind_m",
    ),
    Table("dmpt_readings", "DMPT: other readings of the paper, other mechanisms", READINGS),
    Table(
        "dmpt_plus",
        "DMPT: options beyond the paper",
        BEYOND,
        note="dmpt_plus is S + adapter, within 6.5 % of this tower as the preset is of a ViT-B/16.",
        reference="dmpt_s_bind",
    ),
    Table(
        "mip_rates",
        "MIP with the released code's ratios of learning rates",
        (
            _vi_row("vit_8", "plain ViT", {"model.name": "vit_tiny_patch16_reid", **_AFTER_BN, **_EIGHT}),
            Row("mip_8", "MIP", VI, _EIGHT),
            Row("mip_8_rates", "prompts x 5, generator x 15", VI, {**_EIGHT, **_RELEASED_RATES}),
            Row("mip_8_rates_16", "and 16 prompts", VI, {**_EIGHT, **_RELEASED_RATES, "mip.prompt_length": 16}),
        ),
        note="Eight epochs instead of four.",
    ),
)
TABLES = {table.name: table for table in _TABLES}


def find_table(name: str) -> Table:
    """The table of that name, or the one that a YAML file describes.

    Raises:
        FileNotFoundError: no such file.
        ValueError: there is none of that name, or a file that describes none.
    """
    if Path(name).suffix in SUFFIXES:
        return read_table(Path(name))
    if name not in TABLES:
        raise ValueError(f"there is no table {name!r}{did_you_mean(name, TABLES)} (one of {', '.join(TABLES)})")
    return TABLES[name]
