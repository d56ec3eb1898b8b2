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


def _with_drop(row: Row, name: str) -> Row:
    return Row(f"{row.key}_drop", name, row.config, {**row.overrides, **DROP})


_TABLES = (
    Table(
        "baselines_vi",
        "Visible-infrared: MIP and what it is built on",
        (
            _vi_row("vit", "plain ViT", {"model.name": "vit_tiny_patch16_reid", **_AFTER_BN}),
            TRANSREID,
            MIP_PAPER,
            MIP_RELEASE,
        ),
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
            Row("linear_probe", "linear probe", RGBNT, {**_BARE_TOWER, "train.lr": 0.01, "train.warmup_lr": 0.002}),
            Row(
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
            ),
            replace(DMPT_S, name="VPT-deep (S)"),
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
            DMPT,
        ),
        reference="fine_tuning",
        note="Descriptors are those after BNNeck; before it, the linear probe's is the untrained tower's.",
    ),
    Table("dmpt_ladder", "The paper's ablation of DMPT", (DMPT_S, DMPT_S_BIND, DMPT_S_BIND_M, DMPT)),
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
