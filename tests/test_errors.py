"""What an error says to a user."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from promptreid.errors import message_of


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
