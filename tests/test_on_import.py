"""``import promptreid`` alone adds everything to torchreid, before or after it, and imports nothing heavy."""

from __future__ import annotations

import json
import pickle
from importlib import import_module
from pathlib import Path

import pytest
from command_line import printed_by, python

import promptreid
from promptreid import host

ORDERS = [
    "import promptreid, torchvision, timm, torchreid",
    "import promptreid; assert promptreid.synthetic.write_tree; from promptreid import MODELS; import torchreid",
    "from promptreid.data.dataset import ModalDataset; import torchreid",
    "import promptreid; assert 'mip_vit_tiny_patch16' in promptreid.host.model_names(); import torchreid",
]
if host.LAYOUT == "registry":
    ORDERS.append("import promptreid; from torchreid.reid.utils import FeatureExtractor; import torchreid")
REGISTERED = """
assert "mip_vit_tiny_patch16" in vars(torchreid.models)["__model_factory"]
assert "sysu_mm01" in vars(torchreid.data.datasets)["__image_datasets"]
from promptreid import LOSSES
assert all(getattr(torchreid.losses, loss.__name__) is loss for loss in LOSSES.values())
"""
OTHERS = {
    # torchvision's operators are there, or where they do not load, a stand-in for them.
    "torchreid comes first": f"""
import importlib.util, pathlib
for path in pathlib.Path(importlib.util.find_spec("torchvision").origin).parent.glob("_C*"):
    try:
        torch.ops.load_library(str(path))
    except OSError:
        continue
if not hasattr(torch.ops.torchvision, "nms"):
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor d, Tensor s, float t) -> Tensor")
    library.define("qnms(Tensor d, Tensor s, float t) -> Tensor")
import torchreid
assert "mip_vit_tiny_patch16" not in vars(torchreid.models)["__model_factory"]
import promptreid
{REGISTERED}
""",
    "torchreid builds our models": """
import promptreid, torchreid
model = torchreid.models.build_model("mip_vit_tiny_patch16", 4, pretrained=False)
assert type(model).__name__ == "MIP"
""",
    "a model of one's own": """
import promptreid
promptreid.host.register_model("mine", lambda **given: given["num_classes"])
import torchreid
assert torchreid.models.build_model("mine", 4) == 4
""",
    "modules keep their own loaders": """
import promptreid, torchreid, torchvision, promptreid.data.batch, importlib.util, inspect
for module in (torchreid, torchvision, promptreid.data.batch):
    assert type(module.__loader__).__name__ == type(module.__spec__.loader).__name__ == "SourceFileLoader"
found = importlib.util.find_spec("promptreid.pretraining.loop")
assert "def " in found.loader.get_source(found.name)
assert inspect.getsource(promptreid.data.batch).startswith('"')
""",
    "a module may be asked for before it is imported": """
import promptreid, importlib.util
assert importlib.util.find_spec("torchreid").loader.get_source("torchreid")
assert importlib.util.find_spec("torchvision").loader.get_filename("torchvision")
assert not {"torchreid", "torchvision"} & set(sys.modules)
""",
    "a host that cannot be imported has its own error": """
import tempfile
from pathlib import Path
folder = Path(tempfile.mkdtemp()) / "torchreid"
folder.mkdir()
(folder / "__init__.py").write_text("raise RuntimeError('broken')")
sys.path.insert(0, str(folder.parent))
import promptreid
for _ in range(2):
    try:
        import torchreid
    except RuntimeError as error:
        assert str(error) == "broken"
    else:
        raise AssertionError
(folder / "__init__.py").write_text("")
sys.path.remove(str(folder.parent))
sys.path_importer_cache.clear()
import torchreid
"""
    + REGISTERED,
    "a name that torchreid has already": """
import promptreid
from promptreid.losses.registry import LOSSES
LOSSES["TripletLoss"] = type("TripletLoss", (next(iter(LOSSES.values())),), {})
try:
    import torchreid
except ValueError as error:
    assert "torchreid.losses already has 'TripletLoss'" in str(error)
else:
    raise AssertionError
""",
    "a name that is nowhere": """
import promptreid
assert not hasattr(promptreid, "nothing") and not hasattr(promptreid, "__wrapped__")
try:
    from promptreid import nothing
except ImportError:
    pass
else:
    raise AssertionError
assert "torchreid" not in sys.modules
""",
}
SCENARIOS = {**{order: f"{order}\n{REGISTERED}" for order in ORDERS}, **OTHERS}
FORKING = """
import json, os, sys, traceback
import cv2, gdown, scipy.spatial, sympy, torch, torch.utils.tensorboard
assert not {"torchreid", "torchvision", "timm", "promptreid"} & set(sys.modules)
for name, code in json.loads(sys.argv[1]).items():
    child = os.fork()
    if child == 0:
        try:
            exec(code, {"sys": sys, "torch": torch})
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print("ENDED", json.dumps([name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]), flush=True)
"""


@pytest.fixture(scope="module")
def ended() -> tuple[dict[str, int], str]:
    """Exit codes of the scenarios, and what was written to stderr.

    Each ran in a process of its own that had imported torch, but not torchreid, torchvision, timm or promptreid.
    """
    done = python("-c", FORKING, json.dumps(SCENARIOS))
    lines = [line.removeprefix("ENDED ") for line in done.stdout.splitlines() if line.startswith("ENDED ")]
    return dict(json.loads(line) for line in lines), done.stderr


def test_the_import_alone_is_light() -> None:
    heavy = ["torch", "torchvision", "torchreid", "numpy", "yaml"]
    assert printed_by(f"import promptreid, sys; print([name for name in {heavy} if name in sys.modules])") == "[]\n"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_in_a_fresh_process(scenario: str, ended: tuple[dict[str, int], str]) -> None:
    codes, errors = ended
    assert codes[scenario] == 0, errors


@pytest.mark.slow
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
    path = loader.dataset.data[0][0]
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
    for name in {*promptreid.__all__} - {"compat", "host"}:
        assert getattr(promptreid, name) is getattr(import_module(promptreid._HOMES[name]), name)
    assert promptreid.host is host and promptreid.compat is import_module("promptreid.compat")
    assert set(promptreid.__all__) <= set(dir(promptreid))
    with pytest.raises(AttributeError, match="module 'promptreid' has no attribute 'nothing'"):
        _ = promptreid.nothing
