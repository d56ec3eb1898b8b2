from __future__ import annotations

import logging

import pytest
import torch

from promptreid.models.sie import SideInformation


def test_rows_are_looked_up_and_scaled():
    sie = SideInformation(3, 4, weight=3.0)
    result = sie(torch.tensor([2, 0]))
    assert result.shape == (2, 1, 4)
    torch.testing.assert_close(result[:, 0], 3.0 * sie.table[[2, 0]])


@pytest.mark.parametrize("training", [True, False])
def test_an_unknown_camera_gets_the_mean_of_the_table(training):
    sie = SideInformation(3, 4).train(training)
    torch.testing.assert_close(sie(torch.tensor([-1]))[0, 0], 3.0 * sie.table.mean(dim=0))


def test_a_new_camera_is_an_error_in_training():
    with pytest.raises(ValueError, match=r"camera ids \[-2, 3\] are outside the table of 3"):
        SideInformation(3, 4)(torch.tensor([0, 3, -2]))


def test_a_new_camera_is_neutral_in_evaluation_with_one_warning(caplog):
    sie = SideInformation(3, 4).eval()
    with caplog.at_level(logging.WARNING):
        result = sie(torch.tensor([0, 5]))
        sie(torch.tensor([7]))
    assert torch.equal(result[1], sie(torch.tensor([-1]))[0])
    assert len(caplog.records) == 1
    assert "camera ids [5]" in caplog.records[0].getMessage()


def test_an_empty_table_is_refused():
    with pytest.raises(ValueError, match="count=0"):
        SideInformation(0, 4)
