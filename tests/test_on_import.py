"""``import promptreid`` alone adds everything to torchreid, before or after it, and imports nothing heavy."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from command_line import printed_by, python

import promptreid
from promptreid import host

BUILDS = "torchreid.models.build_model('mip_vit_tiny_patch16', 4, pretrained=False)"


def test_the_import_alone_is_light() -> None:
    heavy = ["torch", "torchvision", "torchreid", "numpy", "yaml"]
    assert printed_by(f"import promptreid, sys; print([name for name in {heavy} if name in sys.modules])") == "[]\n"


@pytest.mark.parametrize(
    "imports",
    [
        "import promptreid, torchreid",
        "import promptreid; import torchreid",
        "from promptreid import compat; compat.declare_torchvision_operators(); import torchreid, promptreid",
        "import promptreid; import torchreid.reid.utils; import torchreid",
        "import promptreid, torch, torchvision, timm, torchreid",
        "import promptreid.host; import torchreid",
        "from promptreid import MODELS; import torchreid",
        "from promptreid.data.dataset import ModalDataset; import torchreid",
        "import promptreid.registration; import torchreid",
        "from promptreid.runs.run import run; import torchreid",
        "import promptreid; assert 'mip_vit_tiny_patch16' in promptreid.host.model_names(); import torchreid",
        "import promptreid; assert promptreid.synthetic.write_tree; import torchreid",
    ],
)
def test_whatever_comes_first_torchreid_builds_our_models(imports: str) -> None:
    if "torchreid.reid" in imports and host.LAYOUT == "github":
        pytest.skip("no such module in GitHub's layout")
    checks = f"type({BUILDS}).__name__, 'sysu_mm01' in vars(torchreid.data.datasets)['__image_datasets']"
    code = f"{imports}; print({checks}, hasattr(torchreid.losses, 'IAEL'), file=__import__('sys').stderr)"
    assert printed_by(code).splitlines()[-1] == "MIP True True"


def test_torchreid_first_then_promptreid_registers_at_once() -> None:
    """A stand-in for torchvision's operators is there, as on a machine with them."""
    code = f"""
        import torch
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor d, Tensor s, float t) -> Tensor")
        library.define("qnms(Tensor d, Tensor s, float t) -> Tensor")
        import torchreid
        assert "mip_vit_tiny_patch16" not in vars(torchreid.models)["__model_factory"]
        import promptreid
        print(type({BUILDS}).__name__)
        """
    assert printed_by(code).splitlines()[-1] == "MIP"


def test_a_model_of_ones_own() -> None:
    code = """
        import promptreid
        promptreid.host.register_model("mine", lambda **given: given["num_classes"])
        import torchreid
        print(torchreid.models.build_model("mine", 4), len(vars(torchreid.models)["__model_factory"]) > 50)
        """
    assert printed_by(code) == "4 True\n"


def test_modules_keep_their_own_loaders() -> None:
    code = """
        import promptreid, torchreid, torchvision, promptreid.data.batch, importlib.util, inspect
        for module in (torchreid, torchvision, promptreid.data.batch):
            assert type(module.__loader__).__name__ == type(module.__spec__.loader).__name__ == "SourceFileLoader"
        found = importlib.util.find_spec("promptreid.pretraining.loop")
        print("class" in found.loader.get_source(found.name), inspect.getsource(promptreid.data.batch)[:3])
        """
    assert printed_by(code) == 'True """\n'


def test_a_host_that_cannot_be_imported_leaves_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "torchreid").mkdir()
    (tmp_path / "torchreid" / "__init__.py").write_text("raise RuntimeError('broken')\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import promptreid, torchreid"
    assert printed_by(code).endswith("RuntimeError: broken\n")


def test_a_name_that_torchreid_has_already_is_told_when_it_is_imported() -> None:
    code = """
        import promptreid
        from promptreid.losses.registry import LOSSES
        LOSSES["TripletLoss"] = type("TripletLoss", (next(iter(LOSSES.values())),), {})
        import torchreid
        """
    assert "torchreid.losses already has 'TripletLoss'" in printed_by(code)


def test_batches_cross_to_spawned_workers_and_bundles_are_pickled(small_root: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import pickle
import promptreid
from torch.utils.data import DataLoader

if __name__ == "__main__":
    import torchreid
    data = torchreid.data.ImageDataManager(
        root={str(small_root)!r}, sources="sysu_mm01", height=32, width=16, batch_size_train=8, workers=0,
        use_gpu=False)
    loader = DataLoader(data.train_loader.dataset, batch_size=8, num_workers=1, multiprocessing_context="spawn")
    batch = next(iter(loader))["img"]
    path = data.train_set.train[0][0]
    again = pickle.loads(pickle.dumps(path))
    print(type(batch).__name__, batch["images"].shape[0], type(again).__name__, again.paths == path.paths)
    assert isinstance(batch, promptreid.ModalBatch) and isinstance(again, promptreid.PathBundle)
"""
    )
    done = python(script)
    assert done.stdout.splitlines()[-1] == "ModalBatch 8 PathBundle True", done.stderr


def test_a_bundle_is_unpickled_where_nothing_was_imported() -> None:
    dumped = pickle.dumps(promptreid.PathBundle({"visible": "a.jpg", "infrared": None}, camera=2))
    code = f"import pickle; path = pickle.loads({dumped!r}); print(path, path.paths['infrared'], path.camera)"
    assert printed_by(code) == "a.jpg None 2\n"


def test_public_names_are_those_of_their_modules() -> None:
    from promptreid.data.batch import ModalBatch
    from promptreid.models.registry import MODELS

    assert promptreid.MODELS is MODELS and promptreid.ModalBatch is ModalBatch
    assert set(promptreid.__all__) <= set(dir(promptreid))
    for name in promptreid.__all__:
        assert getattr(promptreid, name) is not None
    with pytest.raises(AttributeError, match="module 'promptreid' has no attribute 'nothing'"):
        _ = promptreid.nothing
    with pytest.raises(ImportError):
        from promptreid import nothing  # noqa: F401
