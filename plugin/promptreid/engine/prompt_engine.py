"""torchreid's triplet engine, extended by what it cannot do: prompt-level losses and exact protocols."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from promptreid import host
from promptreid.engine import checkpoint
from promptreid.engine.monitoring import PromptMonitor
from promptreid.engine.progress import EpochMeter, progress
from promptreid.evaluation.protocols import FeatureSet
from promptreid.evaluation.reranking import KReciprocal
from promptreid.evaluation.results import Results
from promptreid.losses.mip import MIPLoss
from promptreid.models.weights import load_matching, read_state_dict, strip_module

logger = logging.getLogger(__name__)


class PromptEngine(host.ImageTripletEngine):
    """Trains and tests prompted models; for ordinary models and data it does what torchreid's engine does.

    Args:
        datamanager, model, optimizer, scheduler, use_gpu, margin, weight_t, weight_x, label_smooth: torchreid's own.
        criterion: a loss on the model's ``PromptOutput`` that returns the total and a dict of its parts, such as
            ``promptreid.losses.MIPLoss``. Without one, torchreid's triplet + cross-entropy is used.
        protocols: names of the data set's protocols to test, or the first words of several; its standard ones when
            empty.
        chance: log what a random ranking would score beside each result.
        seed: each epoch starts from random states derived from (seed, epoch), so that a resumed run continues
            exactly like an uninterrupted one. None leaves the random state alone.
        amp: run the model under bfloat16 autocast; losses and ranking stay in float32.
    """

    def __init__(
        self,
        datamanager: Any,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        criterion: nn.Module | None = None,
        scheduler: Any = None,
        use_gpu: bool = True,
        protocols: Sequence[str] = (),
        chance: bool = True,
        seed: int | None = None,
        amp: bool = False,
        margin: float = 0.3,
        weight_t: float = 1.0,
        weight_x: float = 1.0,
        label_smooth: bool = True,
    ) -> None:
        super().__init__(
            datamanager,
            model,
            optimizer,
            margin=margin,
            weight_t=weight_t,
            weight_x=weight_x,
            scheduler=scheduler,
            use_gpu=use_gpu,
            label_smooth=label_smooth,
        )
        self.criterion = criterion.cuda() if criterion is not None and self.use_gpu else criterion
        self.protocols = tuple(protocols)
        self.chance = chance
        self.seed = seed
        self.amp = amp
        self.monitor = PromptMonitor()
        self.save_dir: Path | None = None
        self.rerank = False
        self.rank1 = 0.0
        self.results: dict[str, list[Results]] = {}

    def run(self, save_dir: str = "log", **kwargs: Any) -> None:
        """torchreid's pipeline; what it takes is there in ``Engine.run``."""
        self.save_dir = Path(save_dir)
        self.rerank = bool(kwargs.get("rerank"))
        super().run(save_dir=save_dir, **kwargs)

    def train(self, print_freq: int = 10, fixbase_epoch: int = 0, open_layers: Any = None) -> None:
        """One epoch, with a progress bar on a terminal and a log line every ``print_freq`` batches elsewhere."""
        if self.seed is not None:
            seed_everything(self.seed, self.epoch)
        self.set_model_mode("train")
        self.two_stepped_transfer_learning(self.epoch, fixbase_epoch, open_layers)
        if isinstance(self.criterion, MIPLoss):
            self.criterion.set_epoch(self.epoch + 1)
        if hasattr(self.datamanager, "set_epoch"):
            self.datamanager.set_epoch(self.epoch)
        self.num_batches = len(self.train_loader)
        if self.num_batches == 0:
            raise ValueError(
                f"train.batch_size: the train set ({len(self.train_loader.dataset)} images) does not fill one batch; "
                "use a smaller batch or more data"
            )
        meter = EpochMeter(self.epoch, self.max_epoch, self.num_batches, print_freq)
        for batch_idx, batch in enumerate(meter.watch(self.train_loader)):
            self.batch_idx = batch_idx
            summary = self.forward_backward(batch)
            meter.update(len(batch["pid"]), summary, self.get_current_lr())
            self._write_scalars(
                "Train",
                {**meter.averages(), "lr": self.get_current_lr()},
                self.epoch * self.num_batches + self.batch_idx,
            )
        self._write_scalars("Prompts", self.monitor.report(self.model), self.epoch)
        self.update_lr()
        if self.save_dir is not None:
            self.save_model(self.epoch, self.rank1, str(self.save_dir))

    def forward_backward(self, data: dict[str, Any]) -> dict[str, float]:
        """One optimisation step; the parts of the loss by name."""
        if self.criterion is None:
            return dict(super().forward_backward(data))
        images, pids = self.parse_data_for_train(data)
        if self.use_gpu:
            images, pids = images.cuda(), pids.cuda()
        with self._autocast():
            output = self.model(images)
        loss, parts = self.criterion(_in_float32(output), pids)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.monitor.keep(output, pids)
        summary = {"loss": loss.item(), **{name: float(part) for name, part in parts.items()}}
        summary["acc"] = host.metrics.accuracy(output["logits"], pids)[0].item()
        return summary

    def extract_features(self, input: Any) -> Tensor:
        with self._autocast():
            features: Tensor = self.model(input)
        return features.float()

    @torch.no_grad()
    def _evaluate(
        self,
        dataset_name: str = "",
        query_loader: Any = None,
        gallery_loader: Any = None,
        dist_metric: str = "euclidean",
        normalize_feature: bool = False,
        **kwargs: Any,
    ) -> tuple[float, float]:
        """Test under the data set's own protocols, from features extracted once per image.

        Returns:
            rank-1 and mAP, in [0, 1], of the first protocol, as torchreid expects.
        """
        protocols = self._protocols_of(query_loader.dataset)
        if not protocols or kwargs.get("visrank"):
            return super()._evaluate(
                dataset_name=dataset_name,
                query_loader=query_loader,
                gallery_loader=gallery_loader,
                dist_metric=dist_metric,
                normalize_feature=normalize_feature,
                **kwargs,
            )
        query = self.features_of(query_loader, normalize_feature, "query")
        gallery = self.features_of(gallery_loader, normalize_feature, "gallery")
        # torchreid forgets this setting in the tests of a training run.
        rerank = KReciprocal() if kwargs.get("rerank") or self.rerank else None
        results = [protocol.evaluate(query, gallery, metric=dist_metric, rerank=rerank) for protocol in protocols]
        self.results[dataset_name] = results
        for result in results:
            logger.info("%s", result.line())
            if self.chance:
                logger.info("  chance: R1 %.2f %%, mAP %.2f %%", 100 * result.chance.rank1, 100 * result.chance.mAP)
            self._write_scalars(f"Test/{dataset_name}/{_tag(result)}", _scalars(result), self.epoch)
        self._save_results(dataset_name)
        self.rank1 = results[0].rank(1)
        return self.rank1, results[0].mAP

    def features_of(self, loader: Any, normalize: bool, what: str) -> FeatureSet:
        """Features of a whole loader, (N, D) float32 on the CPU, with identities and evaluation cameras."""
        features, pids, camids = [], [], []
        for batch in progress(loader, f"extracting {what}"):
            images = batch["img"].cuda() if self.use_gpu else batch["img"]
            features.append(self.extract_features(images).cpu())
            pids.append(batch["pid"])
            camids.append(batch["camid"])
        stacked = torch.cat(features)
        return FeatureSet(
            features=F.normalize(stacked, dim=1) if normalize else stacked,
            pids=torch.cat(pids).numpy(),
            camids=torch.cat(camids).numpy(),
        )

    def save_model(self, epoch: int, rank1: float, save_dir: str, is_best: bool = False) -> None:
        """Write torchreid's checkpoint, atomically and in a form that it can read again."""
        for name in self.get_model_names():
            scheduler = self._scheds[name]
            state = {
                "state_dict": self._models[name].state_dict(),
                "epoch": epoch + 1,
                "rank1": float(rank1),
                "optimizer": self._optims[name].state_dict(),
                "scheduler": {} if scheduler is None else scheduler.state_dict(),
                "split": _split_of(self.train_loader.dataset),
            }
            checkpoint.save(state, Path(save_dir) / name)

    def load_weights(self, path: Path, strict: bool = True) -> None:
        """Load the weights of a checkpoint file, or of the newest readable one of a run's folder.

        Args:
            path: file or run folder.
            strict: refuse a file that does not fill all that descriptors are made with; the classifiers, which only
                training uses, may be for other identities. Otherwise the tensors that fit are taken and the others
                reported, as a model to be trained on other data needs it.
        """
        if path.is_dir():
            path, state = checkpoint.load_newest(path / "model")
        elif checkpoint.PATTERN.fullmatch(path.name):
            state = checkpoint.load(path)
        else:
            state = {"state_dict": read_state_dict(path)}
        self._check_split(state, path)
        optional = getattr(self.model, "training_only", ("classifier.",))
        load_matching(self.model, strip_module(state["state_dict"]), path, strict, optional)
        logger.info("weights from %s", path)

    def resume(self, path: Path) -> int:
        """Continue from a checkpoint file, or from the newest readable one of a run's folder.

        Returns:
            the epoch (0-based) to go on with.
        """
        path, state = (path, checkpoint.load(path)) if path.is_file() else checkpoint.load_newest(path / "model")
        self._check_split(state, path)
        try:
            self.model.load_state_dict(state["state_dict"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"{path}: belongs to another model or optimiser ({str(error).splitlines()[-1].strip()}); "
                "resume with the configuration that wrote it"
            ) from None
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        logger.info("resumed from %s after epoch %d", path, state["epoch"])
        return int(state["epoch"])

    def check_protocols(self) -> None:
        """Raise ``ValueError`` for a protocol that a target data set lacks: now, not after days of training."""
        for loaders in self.test_loader.values():
            self._protocols_of(loaders["query"].dataset)

    def _check_split(self, state: dict[str, Any], path: Path) -> None:
        """Refuse to test on the identities of another split: some of them were trained on."""
        trained = state.get("split", "")
        for loaders in self.test_loader.values():
            tested = _split_of(loaders["query"].dataset)
            if trained and tested and trained != tested:
                raise ValueError(
                    f"{path} was trained on {trained}, and {tested} tests identities of that training set: its numbers "
                    "would be far too good; set data.split_id to the model's own split"
                )

    def _protocols_of(self, dataset: Any) -> list[Any]:
        standard = {protocol.name: protocol for protocol in getattr(dataset, "protocols", ())}
        if not standard or not self.protocols:
            return list(standard.values())
        named = {protocol.name: protocol for protocol in getattr(dataset, "named_protocols", ())}
        known = standard | named
        chosen: list[Any] = []
        for wanted in self.protocols:
            found = [known[name] for name in known if name == wanted or name.startswith(f"{wanted} ")]
            if not found:
                missing = getattr(dataset, "missing_protocols", {})
                reason = next(
                    (missing[name] for name in missing if wanted.startswith(name)), f"not one of {sorted(known)}"
                )
                raise ValueError(f"test.protocols {wanted!r}: {reason}")
            chosen += [protocol for protocol in found if protocol not in chosen]
        return chosen

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast("cuda" if self.use_gpu else "cpu", dtype=torch.bfloat16, enabled=self.amp)

    def _write_scalars(self, prefix: str, scalars: dict[str, float], step: int) -> None:
        for name, value in scalars.items() if self.writer is not None else ():
            self.writer.add_scalar(f"{prefix}/{name}", value, step)

    def _save_results(self, dataset_name: str) -> None:
        if self.save_dir is None:
            return
        record = {
            "epoch": self.epoch,
            "time": time.strftime("%Y-%m-%dT%H:%M:%S"),
            "dataset": dataset_name,
            "results": [result.as_dict() for result in self.results[dataset_name]],
        }
        with checkpoint.atomic_write(self.save_dir / f"results-{dataset_name}.json") as file:
            file.write(json.dumps(record, indent=1).encode())


def seed_everything(seed: int, epoch: int = 0) -> None:
    """Seed Python, NumPy and torch for one epoch."""
    mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    random.seed(mixed)
    np.random.seed(mixed)
    torch.manual_seed(mixed)


def _in_float32(output: Any) -> Any:
    """The model's output with low-precision tensors, also those in lists, as float32."""
    if isinstance(output, Tensor):
        return output.float() if output.dtype in (torch.float16, torch.bfloat16) else output
    if isinstance(output, dict):
        return type(output)({key: _in_float32(value) for key, value in output.items()})
    return [_in_float32(value) for value in output] if isinstance(output, list) else output


def _scalars(result: Results) -> dict[str, float]:
    return {"rank1": result.rank(1), "mAP": result.mAP, "mINP": result.mINP}


def _split_of(dataset: Any) -> str:
    return str(getattr(dataset, "split", ""))


def _tag(result: Results) -> str:
    return result.protocol.replace(" ", "_")
