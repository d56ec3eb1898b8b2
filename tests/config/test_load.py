from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from promptreid.config.defaults import default_config
from promptreid.config.keys import flatten
from promptreid.config.load import dump_config, load_config
from promptreid.config.validate import validate

OSNET = Path(__file__).with_name("osnet_softmax.yaml")


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs" / "mip"
    folder.mkdir(parents=True)
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_it_is_the_defaults():
    assert load_config() == default_config()


def test_a_torchreid_file_loads_unchanged():
    expected = {
        "model.name": "osnet_x1_0",
        "data.save_dir": "log/osnet_x1_0_market1501_softmax",
        "train.optim": "amsgrad",
        "train.lr": 0.0015,
        "train.max_epoch": 150,
        "train.batch_size": 64,
        "train.fixbase_epoch": 10,
        "train.stepsize": [60],
        "test.batch_size": 300,
    }
    assert flatten(load_config(OSNET)) == {**flatten(default_config()), **expected}


def test_later_sources_win(configs: Path):
    path = write(configs / "a.yaml", "train: {lr: 0.1, max_epoch: 2, seed: 3}\n")
    cfg = load_config(path, ["train.lr", "0.3"], {"train.lr": 0.2, "train.max_epoch": 5})
    assert (cfg.train.lr, cfg.train.max_epoch, cfg.train.seed) == (0.3, 5, 3)


def test_overlays_lie_between_the_file_and_what_is_given(configs: Path):
    path = write(configs / "a.yaml", "train: {lr: 0.1, max_epoch: 2, seed: 3, batch_size: 8}\n")
    small = write(configs.parent / "small.yaml", "_BASE_: base.yaml\ntrain: {lr: 0.2}\n")
    write(configs.parent / "base.yaml", "train: {lr: 9.0, max_epoch: 5, seed: 5}\n")
    last = write(configs / "last.yaml", "train: {batch_size: 4}\n")
    cfg = load_config(path, ["train.seed", "7"], {"train.max_epoch": 6}, [small, last])
    assert (cfg.train.lr, cfg.train.max_epoch, cfg.train.seed, cfg.train.batch_size) == (0.2, 6, 7, 4)
    assert load_config(overlays=[last]).train.batch_size == 4


def test_an_overlay_keeps_only_what_is_read(configs: Path, caplog: pytest.LogCaptureFixture):
    overlay = write(configs / "profile.yaml", "train: {amp: True}\ndmpt: {frozen_dtype: bfloat16}\nmip: {jpm: False}\n")
    for name, read, dtype, jpm in (
        ("mip_vit_base_patch16", "mip", "float32", False),
        ("dmpt_vit_base_patch16", "dmpt", "bfloat16", True),
        ("osnet_x1_0", "", "float32", True),
    ):
        cfg = load_config(overrides={"model.name": name}, overlays=[overlay])
        assert (cfg.train.amp, cfg.dmpt.frozen_dtype, cfg.mip.jpm) == (True, dtype, jpm), read
        caplog.clear()
        validate(cfg, training=False)
        assert "dmpt" not in caplog.text and "mip" not in caplog.text


def test_a_wrong_key_of_an_overlay_is_an_error_of_that_file(configs: Path):
    overlay = write(configs / "profile.yaml", "dmpt: {frozen_dtyp: bfloat16}\n")
    with pytest.raises(ValueError, match=r"profile\.yaml: unknown key 'dmpt\.frozen_dtyp'; did you mean"):
        load_config(overlays=[overlay])
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        load_config(overlays=[configs / "none.yaml"])


def test_the_result_is_frozen():
    with pytest.raises(AttributeError):
        load_config().train.lr = 1.0


def test_numbers_that_yacs_would_refuse(configs: Path):
    path = write(configs / "a.yaml", "train: {lr: 1, weight_decay: 1e-4}\n")
    assert flatten(load_config(path))["train.lr"] == 1.0
    assert flatten(load_config(path))["train.weight_decay"] == 1e-4


def test_an_empty_file_is_the_defaults(configs: Path):
    assert load_config(write(configs / "a.yaml", "# nothing\n")) == default_config()


def test_opts_have_to_come_in_pairs():
    with pytest.raises(ValueError, match=r"'train\.lr' stands alone"):
        load_config(opts=["data.root", "here", "train.lr"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {lrr: 1}", r"a\.yaml: unknown key 'train\.lrr'; did you mean 'train\.lr'\?"),
        ("loss: {triplet: {margn: 1}}", r"unknown key 'loss\.triplet\.margn'; did you mean 'loss\.triplet\.margin'\?"),
        ("train: {lr: {start: 1}}", r"unknown key 'train\.lr\.start'"),
        ("train: {lr: fast}", r"a\.yaml: train\.lr: expected float, got 'fast'"),
        ("train:", "train holds other keys"),
        ("train: {lr: 1\n", r"a\.yaml: not valid YAML.*line"),
        ("train: {lr: 1}\ntrain: {seed: 1}", "'train' stands twice"),
        ("train.lr: 1", "'train.lr' is no name; nest"),
        ("1: 2", "unknown key '1'"),
        ("? [a]\n: 1", "is no name"),
        ("- 1", "expected keys with values, got list"),
        ("train: !!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_a_wrong_file_names_what_is_wrong(configs: Path, text: str, message: str):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        load_config(write(configs / "a.yaml", text))


def test_a_wrong_option_says_where_it_comes_from():
    with pytest.raises(ValueError, match=r"command line: unknown key 'train\.epochs'"):
        load_config(opts=["train.epochs", "3"])
    with pytest.raises(ValueError, match=r"overrides: data\.workers: expected int"):
        load_config(overrides={"data.workers": 0.5})


def test_bytes_that_are_no_text(configs: Path):
    path = configs / "a.yaml"
    path.write_bytes(b"train: \xff\xfe")
    with pytest.raises(ValueError, match=r"a\.yaml: not valid YAML"):
        load_config(path)


def test_a_missing_file(configs: Path):
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        load_config(configs / "none.yaml")


@pytest.mark.parametrize("name", ["a.py", "a.json", "a"])
def test_only_yaml_is_read_and_nothing_is_run(configs: Path, name: str):
    marker = configs / "ran"
    path = write(configs / name, f"open({str(marker)!r}, 'w')\ncfg = {{}}\n")
    with pytest.raises(ValueError, match=r"a \.yaml or \.yml file"):
        load_config(path)
    assert not marker.exists()


def test_base_files_come_first(configs: Path):
    write(configs / "root.yml", "train: {lr: 0.1, seed: 1, max_epoch: 1}\n")
    write(configs.parent / "shared.yaml", "_BASE_: mip/root.yml\ntrain: {seed: 2, max_epoch: 2}\n")
    cfg = load_config(write(configs / "a.yaml", "_BASE_: ../shared.yaml\ntrain: {max_epoch: 3}\n"))
    assert (cfg.train.lr, cfg.train.seed, cfg.train.max_epoch) == (0.1, 2, 3)


def test_a_fault_in_a_base_names_the_base(configs: Path):
    write(configs / "base.yaml", "train: {lrr: 0.1}\n")
    with pytest.raises(ValueError, match=r"base\.yaml: unknown key 'train\.lrr'"):
        load_config(write(configs / "a.yaml", "_BASE_: base.yaml\n"))


def test_bases_in_a_circle(configs: Path):
    write(configs / "b.yaml", "_BASE_: c.yaml\n")
    write(configs / "c.yaml", "_BASE_: b.yaml\n")
    with pytest.raises(ValueError, match=r"circle: a\.yaml -> b\.yaml -> c\.yaml -> b\.yaml$"):
        load_config(write(configs / "a.yaml", "_BASE_: b.yaml\n"))


def test_a_file_that_is_its_own_base(configs: Path):
    with pytest.raises(ValueError, match=r"circle: a\.yaml -> a\.yaml$"):
        load_config(write(configs / "a.yaml", "_BASE_: ./a.yaml\n"))


def test_a_base_outside_configs_is_refused(configs: Path):
    write(configs.parents[1] / "secret.yaml", "train: {seed: 2}\n")
    with pytest.raises(ValueError, match="lies outside"):
        load_config(write(configs / "a.yaml", "_BASE_: ../../secret.yaml\n"))


def test_outside_a_configs_folder_the_own_folder_is_the_border(tmp_path: Path):
    write(tmp_path / "secret.yaml", "train: {seed: 2}\n")
    write(tmp_path / "mine" / "base.yaml", "train: {seed: 3}\n")
    assert load_config(write(tmp_path / "mine" / "a.yaml", "_BASE_: base.yaml\n")).train.seed == 3
    with pytest.raises(ValueError, match="lies outside"):
        load_config(write(tmp_path / "mine" / "b.yaml", "_BASE_: ../secret.yaml\n"))


def test_a_link_out_of_the_folder_is_refused(configs: Path):
    target = write(configs.parents[1] / "secret.yaml", "train: {seed: 2}\n")
    (configs / "link.yaml").symlink_to(target)
    with pytest.raises(ValueError, match="lies outside"):
        load_config(write(configs / "a.yaml", "_BASE_: link.yaml\n"))


@pytest.mark.parametrize("base", ["/etc/passwd", "https://example.org/a.yaml", "[b.yaml]", "3"])
def test_a_base_is_one_relative_path(configs: Path, base: str):
    with pytest.raises(ValueError, match="must be the path of one file, relative to this one"):
        load_config(write(configs / "a.yaml", f"_BASE_: {base}\n"))


@pytest.mark.parametrize(("base", "error"), [("none.yaml", FileNotFoundError), ("code.py", ValueError)])
def test_a_base_is_a_yaml_file_that_exists(configs: Path, base: str, error: type[Exception]):
    write(configs / "code.py", "cfg = {}\n")
    with pytest.raises(error, match=base):
        load_config(write(configs / "a.yaml", f"_BASE_: {base}\n"))


def test_base_is_no_option():
    with pytest.raises(ValueError, match="_BASE_"):
        load_config(opts=["_BASE_", "b.yaml"])


def reloaded(cfg, path: Path):
    return load_config(write(path, dump_config(cfg)))


def test_dump_and_load_give_the_same_tree(tmp_path: Path):
    for cfg in (load_config(), load_config(OSNET)):
        back = reloaded(cfg, tmp_path / "resolved.yaml")
        assert back == cfg
        assert {k: type(v) for k, v in flatten(back).items()} == {k: type(v) for k, v in flatten(cfg).items()}


@given(
    text=st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))),
    number=st.floats(allow_nan=False),
    names=st.lists(st.text(st.characters(codec="ascii", exclude_categories=("Cc",)))),
    depth=st.none() | st.integers(),
)
@example(text="", number=0.0, names=['""', "'a'"], depth=None)
def test_any_value_survives_dump_and_load(tmp_path_factory, text, number, names, depth):
    values = {"data.save_dir": text, "train.lr": number, "test.protocols": names, "mip.depth": depth}
    cfg = default_config()
    cfg.data.save_dir, cfg.train.lr, cfg.test.protocols, cfg.mip.depth = values.values()
    back = flatten(reloaded(cfg, tmp_path_factory.mktemp("run") / "resolved.yaml"))
    assert {key: back[key] for key in values} == values


def test_dump_keeps_the_order_of_the_tree():
    nodes = [line.rstrip(":") for line in dump_config(default_config()).splitlines() if not line.startswith(" ")]
    assert nodes[:4] == ["model", "data", "market1501", "cuhk03"]


@pytest.mark.parametrize("value", ["[mip_vit_base_patch16]", "{a: 1}", "7"])
def test_a_name_of_a_model_that_is_no_text_is_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"model: {{name: {value}}}\n")
    with pytest.raises(ValueError, match=r"a\.yaml.*model\.name"):
        load_config(path)
