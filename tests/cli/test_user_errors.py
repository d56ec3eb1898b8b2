"""What becomes of an error."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from promptreid.cli.user_errors import USER_ERRORS, message_of, run_tool


class Broken(Dataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> torch.Tensor:
        raise ValueError("x.jpg: no image")


def test_the_message_of_a_loaders_worker_is_the_original_one() -> None:
    with pytest.raises(ValueError) as caught:
        next(iter(DataLoader(Broken(), num_workers=1)))
    assert "Traceback" in str(caught.value)
    assert message_of(caught.value) == "x.jpg: no image"


@pytest.mark.parametrize("kind", USER_ERRORS)
def test_an_error_of_the_users_is_one_line(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise kind("wrong")

    with pytest.raises(SystemExit) as ended:
        run_tool(fail)
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", "error: wrong\n")


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_a_verbs_value_is_the_exit_code(returned: int | None, code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        run_tool(lambda: returned)
    assert ended.value.code == code
