"""torchreid's own scripts, run with promptreid's names registered."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from command_line import REPO, python
from PIL import Image

pytestmark = pytest.mark.slow

STANDIN = REPO / "tests" / "standin" / "main.py"


def run_host(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return python(REPO / "tools" / "run_host.py", *args, cwd=cwd)


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """A Market-1501 of eight identities: 1-4 are trained, 5-8 tested, cameras 1 and 2."""
    folder = tmp_path / "market1501" / "Market-1501-v15.09.15"
    shots = [("bounding_box_train", pid, camera) for pid in range(1, 5) for camera in (1, 2)]
    shots += [(split, pid, camera) for split, camera in (("query", 1), ("bounding_box_test", 2)) for pid in range(5, 9)]
    for split, pid, camera in shots:
        (folder / split).mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (16, 32), (pid * 30, camera * 60, 0))
        image.save(folder / split / f"{pid:04d}_c{camera}s1_000001.jpg")
    return tmp_path


def train_unmodified(name: str, model: str, root: Path) -> str:
    """One epoch and a test under the stand-in launcher; what it printed."""
    opts = {
        "model.name": model,
        "model.pretrained": "False",
        "data.height": "64",
        "data.width": "32",
        "data.workers": "0",
        "data.save_dir": str(root / "log"),
        "loss.name": "triplet",
        "loss.triplet.weight_x": "1.0",
        "sampler.train_sampler": "RandomIdentitySampler",
        "sampler.num_instances": "2",
        "train.batch_size": "4",
        "train.max_epoch": "1",
        "train.print_freq": "1",
        "test.ranks": "[1]",
    }
    pairs = [text for pair in opts.items() for text in pair]
    done = run_host(STANDIN, "-s", name, "-t", name, "--root", root, *pairs, cwd=root)
    assert done.returncode == 0, done.stderr
    assert (root / "log" / "model" / "model.pth.tar-1").is_file()
    return done.stdout


def test_an_unmodified_launcher_trains_and_tests_what_torchreid_has(market: Path):
    printed = train_unmodified("market1501", "osnet_x0_25", market)
    assert "epoch: [1/1]" in printed
    assert "Rank-1" in printed


def test_an_unmodified_launcher_trains_and_tests_what_promptreid_has(noise_tree: Path):
    printed = train_unmodified("sysu_mm01", "mip_vit_tiny_patch16", noise_tree.parent)
    assert "epoch: [1/1]" in printed
    assert "obtained 8-by-960 matrix" in printed  # five features of 192 of each infrared query
    assert "Rank-1" in printed


def test_an_unmodified_launcher_trains_a_model_of_torchreids_on_data_of_promptreids(noise_tree: Path):
    printed = train_unmodified("sysu_mm01", "osnet_x0_25", noise_tree.parent)
    assert "obtained 8-by-512 matrix" in printed
    assert "Rank-1" in printed


def test_a_script_sees_its_neighbours_arguments_names_and_torchreids_modules(tmp_path: Path):
    (tmp_path / "neighbour.py").write_text("WORD = 'found'\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, torchreid, torchreid.utils, torchreid.data.datasets\n"
        "from torchreid.utils import set_random_seed\n"
        "from neighbour import WORD\n"
        "same = torchreid.utils is getattr(torchreid, 'reid', torchreid).utils is sys.modules['torchreid.utils']\n"
        "print(__name__, WORD, same, 'sysu_mm01' in vars(torchreid.data.datasets)['__image_datasets'], sys.argv)\n"
        "sys.exit(5)\n"
    )
    done = run_host("script.py", "--help", "-s", "a", cwd=tmp_path)
    last = done.stdout.splitlines()[-1] if done.stdout else done.stderr
    assert last == "__main__ found True True ['script.py', '--help', '-s', 'a']"
    assert done.returncode == 5


def test_a_missing_script_is_one_line_and_exit_code_two(tmp_path: Path):
    done = run_host("scripts/main.py", "-s", "sysu_mm01", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["error: no such script: scripts/main.py"]
    assert done.stdout == ""


def test_no_script_at_all_is_one_line_that_names_the_help(tmp_path: Path):
    done = run_host(cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: the following arguments are required: SCRIPT (run_host.py --help says more)\n"


def test_an_error_of_the_script_keeps_its_traceback(tmp_path: Path):
    (tmp_path / "script.py").write_text("raise ValueError('its own')\n")
    done = run_host("script.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr and done.stderr.endswith("ValueError: its own\n")
