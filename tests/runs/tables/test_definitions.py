"""Every row of every table is a valid configuration that builds, and is what its name says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from promptreid import host
from promptreid.engine.optimizers import build_optimizer
from promptreid.methods.dmpt.options import dmpt_plus
from promptreid.models.parameter_count import count_parameters
from promptreid.runs.build import build_criterion, build_model
from promptreid.runs.tables.definitions import TABLES, Row, find_table
from promptreid.runs.tables.rows import row_config

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
ROWS = {row.key: row for table in TABLES.values() for row in table.rows}


def config(row: Row) -> Any:
    return row_config(row, CONFIGS, Path("out"))


def build(row: Row) -> Any:
    cfg = config(row)
    factory = host.dataset_factory(cfg.data.sources[0])
    dataset = SimpleNamespace(
        num_cameras=6,
        modalities=factory.modalities,  # type: ignore[attr-defined]
        images_per_sample=factory.images_per_sample,  # type: ignore[attr-defined]
    )
    data = SimpleNamespace(num_train_pids=4, num_train_cams=6, train_loader=SimpleNamespace(dataset=dataset))
    return build_model(cfg, data, use_gpu=False)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_it_builds_with_its_loss_and_optimiser(row: Row) -> None:
    cfg, model = config(row), build(row)
    build_criterion(cfg, model)
    build_optimizer(model, cfg)
    assert cfg.data.save_dir == f"out/runs/{Path(row.config).stem}/{row.key}"


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_rows_differ_and_share_their_runs_only_with_their_like(table: Any) -> None:
    assert len({row.key for row in table.rows}) == len({row.name for row in table.rows}) == len(table.rows)
    settings = [(row.config, dict(row.overrides), row.trained) for row in table.rows]
    assert all(one not in settings[:place] for place, one in enumerate(settings))
    for row in table.rows:
        assert (row.config, row.overrides, row.trained) == (
            ROWS[row.key].config, ROWS[row.key].overrides, ROWS[row.key].trained,
        )  # fmt: skip
    assert table.reference in {"", *(row.key for row in table.rows)}


def test_the_parts_of_mip_come_one_by_one() -> None:
    built = [build(row) for row in TABLES["mip_ablation"].rows]
    parts = [(m.options.modality_prompts, m.options.instance_prompts, m.options.iael) for m in built]
    assert parts == [
        (False, False, False), (True, False, False), (False, True, False), (True, True, False), (True, True, True),
        (True, True, False),
    ]  # fmt: skip
    assert {model.options.jpm for model in built} == {True}
    assert [model.options.queries for model in built[-2:]] == ["learned", "zero"]
    msel = [config(row).loss.prompt.use_msel for row in TABLES["mip_ablation"].rows]
    assert msel == [False] * 5 + [True]


def test_the_ladder_is_the_papers() -> None:
    built = [build(row) for row in TABLES["dmpt_ladder"].rows]
    parts = [(m.options.semantic, m.options.bind, m.options.words, m.options.alignment) for m in built]
    assert parts == [(True, *(step > place for place in range(3))) for step in range(4)]


def test_the_sweep_and_the_missing_modalities_change_one_thing() -> None:
    lengths = [build(row).options.semantic_length for row in TABLES["semantic_length"].rows]
    assert lengths == [2, 4, 8, 16, 32]
    rows = TABLES["missing_modality"].rows
    assert [build(row).options.bind for row in rows] == [True, True, False, False]
    assert [config(row).data.augment.drop_modality > 0 for row in rows] == [False, True, False, True]


def test_the_baselines_train_what_they_say() -> None:
    rows = {row.key: row for row in TABLES["baselines_rgbnt"].rows}
    assert not rows["zero_shot"].trained
    trained = {key: {name for name, _ in build(row).named_parameters()} for key, row in rows.items()}
    assert trained["linear_probe"] == {"classifier.0.weight", "necks.0.weight"}
    assert build(rows["linear_probe"]).options.after_bn
    assert any("semantic" in name for name in trained["dmpt_s"])
    assert not any(name.startswith("backbone") for name in trained["dmpt"])
    assert any(name.startswith("backbone") for name in trained["fine_tuning"])
    tuning = config(rows["fine_tuning"]).train
    assert tuning.staged_lr
    assert tuning.new_layers == ["necks", "classifier"]
    assert tuning.lr * tuning.base_lr_mult < config(rows["dmpt"]).train.lr


def test_frozen_mip_trains_its_own_parts_and_the_probe_none() -> None:
    probe, frozen, mip, vit = (build(row) for row in TABLES["mip_frozen"].rows)
    assert {name for name, _ in probe.named_parameters()} == {"classifier.0.weight", "necks.0.weight"}
    parts = {name.partition(".")[0] for name, _ in frozen.named_parameters()}
    assert parts == {name.partition(".")[0] for name, _ in mip.named_parameters()} - {"backbone"}
    assert any(name.startswith("backbone.blocks") for name, _ in vit.named_parameters())
    assert not config(TABLES["mip_frozen"].rows[0]).train.staged_lr


def test_the_backbone_is_said_once() -> None:
    backbones = {row.config: set() for row in ROWS.values()}
    for row in ROWS.values():
        assert not {"backbone.name"} & set(row.overrides)
        backbones[row.config].add(config(row).backbone.name)
    assert {len(found) for found in backbones.values()} == {1}


def test_an_unknown_table_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="'mip_ablations'; did you mean 'mip_ablation'"):
        find_table("mip_ablations")
    assert find_table("dmpt_ladder").name == "dmpt_ladder"


def test_each_option_beyond_the_paper_stands_alone() -> None:
    rows = TABLES["dmpt_plus"].rows
    options = {row.key: build(row).options for row in rows}
    bound = options["dmpt_s_bind"]
    changed = {
        key: {name for name, value in vars(of).items() if value != getattr(bound, name)} for key, of in options.items()
    }
    alone = {
        "dmpt_adapter": {"adapter"}, "dmpt_adapter_unbound": {"adapter", "bind"},
        "dmpt_adapter_wide": {"adapter", "bind"}, "dmpt_adapter_apart": {"adapter", "adapter_shared"},
        "dmpt_exchange": {"exchange"}, "dmpt_exchange_unbound": {"exchange", "bind"},
        "dmpt_lora": {"lora"}, "dmpt_fusion": {"fusion"},
        "dmpt_s_bind": set(), "dmpt_s": {"bind"},
    }  # fmt: skip
    assert {key: changed[key] for key in alone} == alone
    assert set(changed) - set(alone) == {"dmpt", "linear_probe", "fine_tuning", "dmpt_plus"}
    assert options["dmpt_plus"] == dmpt_plus(after_bn=True, adapter=72)


def trained_without_heads(row: Row) -> int:
    counts = count_parameters(build(row))
    return sum(part.trainable for name, part in counts.items() if name not in ("necks", "classifier"))


def test_dmpt_plus_trains_no_more_than_the_papers_share_of_the_small_tower() -> None:
    rows = {row.key: row for row in TABLES["dmpt_plus"].rows}
    tower = trained_without_heads(rows["fine_tuning"])
    assert trained_without_heads(rows["dmpt_plus"]) <= 0.065 * tower
    wider = replace(rows["dmpt_plus"], overrides={**rows["dmpt_plus"].overrides, "dmpt.adapter": 80})
    assert trained_without_heads(wider) > 0.065 * tower, "the next multiple of eight"
