"""torchreid's triplet engine, tested under the data sets' own protocols."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from promptreid import host
from promptreid.config.own_keys import BAD_IMAGE
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.checkpoints.best_weights import Origin, SelectionOptions, Selector
from promptreid.engine.checkpoints.position import Position
from promptreid.engine.checkpoints.provenance import check_configuration, place_cameras, state_of_header
from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.engine.checkpoints.stop_signals import StopRequest
from promptreid.engine.distributed.process_group import first_does, share_buffers
from promptreid.engine.distributed.sharded_extraction import shared_features_of
from promptreid.engine.evaluation_options import EvaluationOptions
from promptreid.engine.feature_extraction import check_split, features_of, mirrored, protocols_of, split_of
from promptreid.engine.run_watch import Tested, tag_of
from promptreid.engine.target_features import TargetFeatures
from promptreid.engine.unreadable import warn_of_left_out
from promptreid.engine.update_step import StepOptions
from promptreid.evaluation.protocols import FeatureSet
from promptreid.evaluation.ranking.rank_lists import RankLists
from promptreid.evaluation.results import Results
from promptreid.models.weights import load_matching, read_state_dict, strip_module

logger = logging.getLogger(__name__)

Draw = Callable[[Path, RankLists, Results, dict[str, Any], tuple[int, int]], object]


class EvaluatingEngine(host.ImageTripletEngine):
    """The half of :class:`~promptreid.engine.train_engine.PromptEngine` that tests.

    Args:
        datamanager, model, optimizer, kwargs: torchreid's own.
        protocols: names of the data set's protocols to test, or the first words of several; its standard ones when
            empty.
        chance: log what a random ranking would score beside each result.
        steps: the precision is used.
        selection: which weights a run's folder is tested with.
        config: the configuration as YAML, compared with that of weights that are loaded to be tested.
        allow_differences: test such weights although the model or its input differs.
        evaluation: how descriptors are made and re-ranked.
        draw: writes pictures of ranked lists (``test.visrank``); called with the folder, the lists, the result that
            they belong to, the data sets of ``query`` and ``gallery``, and the height and width of an image.
    """

    def __init__(
        self,
        datamanager: Any,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        protocols: Sequence[str] = (),
        chance: bool = True,
        steps: StepOptions | None = None,
        selection: SelectionOptions | None = None,
        config: str = "",
        allow_differences: bool = False,
        evaluation: EvaluationOptions | None = None,
        draw: Draw | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(datamanager, model, optimizer, **kwargs)
        self.device_type = "cuda" if self.use_gpu else "cpu"
        self.protocols, self.chance = tuple(protocols), chance
        self.config, self.allow_differences = config, allow_differences
        self.steps = steps or StepOptions()
        self.evaluation, self.draw = evaluation or EvaluationOptions(), draw
        self.selector = Selector(selection or SelectionOptions(), list(self.test_loader))
        self.stop = StopRequest()
        self.position = Position()
        self.files: RunFolder | None = None
        self.max_epoch = 0
        self.rank1 = 0.0
        self.results: dict[str, list[Results]] = {}
        self._left_out: dict[str, list[str]] = {}
        self._origin: Origin | None = None  # of weights that were loaded to be tested
        self._final = False

    def extract_features(self, input: Any) -> Tensor:
        """Descriptors (B, D) float32 of a batch; with :attr:`EvaluationOptions.flip` averaged over both directions."""
        features = self._descriptors(input)
        return (features + self._descriptors(mirrored(input))) / 2 if self.evaluation.flip else features

    def _descriptors(self, images: Any) -> Tensor:
        with self.steps.autocast(self.device_type):
            features: Tensor = self.model(images)
        return features.float()

    def test(self, **settings: Any) -> float:
        """torchreid's test of all targets; what it takes is there in ``Engine.test``. Returns the last one's rank-1."""
        self._test_all(None, settings)
        return self.rank1

    def _test_all(self, targets: Sequence[str] | None, settings: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Rank-1 and mAP of each target."""
        if not getattr(_bare(self.model), "check_unchanged", lambda: True)():
            raise ValueError(
                "the frozen weights are not those that the model was built with: something wrote to them in training; "
                "its checkpoints are of no use, for the tuned weights belong to the others"
            )
        scores = {}
        with self._averaged_weights():
            self.set_model_mode("eval")
            share_buffers(_bare(self.model))
            for name in targets or list(self.test_loader):
                logger.info("##### Evaluating %s (%s) #####", name, self._domain(name))
                loaders = self.test_loader[name]
                self.results.pop(name, None)
                rank1, mAP = self._evaluate(
                    dataset_name=name, query_loader=loaders["query"], gallery_loader=loaders["gallery"], **settings
                )
                self.rank1 = float(rank1)
                scores[name] = {"rank1": float(rank1), "mAP": float(mAP)}
                self._write_scalars(f"Test/{name}", scores[name])
                self._log_scores(name, scores[name])
        return scores

    def _domain(self, name: str) -> str:
        return "source" if name in self.datamanager.sources else "target"

    def _log_scores(self, name: str, scores: dict[str, float]) -> None:
        where = {"epoch": self.origin.epoch, "dataset": name, "selection": self._label(name)}
        where |= {"final": True} if self._final else {}
        for result in self.results.get(name, ()):
            self._write_metrics({**where, "protocol": result.protocol, **_scalars(result)})
        if name not in self.results:
            logger.info("[%s] %s", where["selection"], name)
            self._write_metrics({**where, **scores})

    @property
    def origin(self) -> Origin:
        """Where the weights come from that are tested now."""
        return self._origin or Origin(self.position.epoch)

    def _label(self, name: str) -> str:
        """Which weights are tested, and what of the published test set isn't there."""
        note = getattr(self.test_loader[name]["query"].dataset, "incomplete_note", "")
        return f"{self.origin.label(name)}, {note}" if note else self.origin.label(name)

    def _averaged_weights(self) -> AbstractContextManager[None]:
        """The model's own weights are tested; a training may have others."""
        return nullcontext()

    def _write_metrics(self, record: dict[str, Any]) -> None:
        """Tests alone leave a training's metrics as they are."""

    def _write_scalars(self, prefix: str, scalars: dict[str, float]) -> None:
        """Nor do they tell anyone their scores,"""

    def _watch_test(self, test: Tested) -> None:
        """or show anything."""

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

        Several processes extract a share each, the first one ranks, and all get the outcome.

        Returns:
            rank-1 and mAP, in [0, 1], of the first protocol, as torchreid expects.
        """
        protocols = protocols_of(query_loader.dataset, self.protocols)
        if not protocols:
            _refuse_marked(query_loader.dataset, gallery_loader.dataset)
            host_evaluate = partial(
                super()._evaluate,
                dataset_name=dataset_name,
                query_loader=query_loader,
                gallery_loader=gallery_loader,
                dist_metric=dist_metric,
                normalize_feature=normalize_feature,
                **kwargs,
            )
            rank1, mAP = first_does(host_evaluate)
            return rank1, mAP
        draw = self._drawing() if kwargs.get("visrank") else None
        loaders = {"query": query_loader, "gallery": gallery_loader}
        target = TargetFeatures(_bare(self.model), loaders, normalize_feature, self._shared_features_of, protocols)
        settings = {"metric": dist_metric, "rerank": self.evaluation.reranking(kwargs.get("rerank"))}
        results, self._left_out[dataset_name] = first_does(lambda: (target.evaluate(**settings), target.left_out()))
        self._report(dataset_name, results)
        datasets = {split: loader.dataset for split, loader in loaders.items()}
        size = (self.datamanager.height, self.datamanager.width)
        self._watch_test(Tested(dataset_name, target, results, datasets, size, settings))
        if draw is not None:
            folder = Path(kwargs.get("save_dir", "")) / f"visrank_{dataset_name}"
            topk = kwargs.get("visrank_topk", 10)
            first_does(lambda: draw(folder, target.rank_lists(topk, **settings), results[0], datasets, size))
        return results[0].rank(1), results[0].mAP

    def _report(self, dataset_name: str, results: list[Results]) -> None:
        """Keep the results of a data set, log them, and write them into the run's folder."""
        self.results[dataset_name] = results
        if self.evaluation.flip:
            logger.info("descriptors are means over a sample and its mirror image (test.flip)")
        warn_of_left_out(dataset_name, self._left_out.get(dataset_name, []))
        for result in results:
            logger.info("[%s] %s", self._label(dataset_name), result.line())
            if self.chance:
                logger.info("  chance: R1 %.2f %%, mAP %.2f %%", 100 * result.chance.rank1, 100 * result.chance.mAP)
            self._write_scalars(f"Test/{dataset_name}/{tag_of(result)}", _scalars(result))
        self._save_results(dataset_name)

    def _drawing(self) -> Draw:
        if self.draw is None:
            raise ValueError(
                "test.visrank: this engine was built without what draws; pass "
                "draw=promptreid.visual.rank_lists.write_rank_lists, as promptreid.runs does"
            )
        return self.draw

    def features_of(self, loader: Any, normalize: bool, what: str, kept: Collection[int] | None = None) -> FeatureSet:
        """Features of a whole loader, (N, D) float32 on the CPU, with identities, evaluation cameras and scenes.

        Args:
            loader: of a test set.
            normalize: scale the features to unit length.
            what: for the progress bar.
            kept: ids of the modalities that the model is shown; all, when omitted.
        """
        return features_of(
            loader,
            self.extract_features,
            what,
            normalize=normalize,
            use_gpu=self.use_gpu,
            kept=kept,
            between=self.stop.leave_if_asked,
        )

    def _shared_features_of(
        self, loader: Any, normalize: bool, what: str, kept: Collection[int] | None = None
    ) -> FeatureSet:
        return shared_features_of(
            loader,
            self.extract_features,
            what,
            normalize=normalize,
            use_gpu=self.use_gpu,
            kept=kept,
            between=self.stop.leave_if_asked,
        )

    def load_weights(self, path: Path, strict: bool = True) -> None:
        """Load the weights of a checkpoint file, or of the newest readable one of a run's folder, to test them.

        Of a checkpoint with averaged weights these are taken, and of the folder of a run that selects its weights
        (``test.select``) the selected ones.

        Args:
            path: file or run folder.
            strict: refuse a file that does not fill all that descriptors are made with; the classifiers, which only
                training uses, may be for other identities. Otherwise the tensors that fit are taken and the others
                reported, as a model to be trained on other data needs it.
        """
        folder = path.is_dir()
        if folder:
            path, state = checkpoint.load_newest(RunFolder(path).models)
        elif checkpoint.PATTERN.fullmatch(path.name):
            state = checkpoint.load(path)
        else:
            state = {"state_dict": read_state_dict(path), "about": checkpoint.about_weights(path)}
            state |= {"split": state["about"].get("split", ""), **state_of_header(state["about"])}
        self._check_split(state, path)
        if strict:
            check_configuration(state.get("config", ""), self.config, path, self.allow_differences)
            place_cameras(self.datamanager, _bare(self.model), state.get("data", {}), path)
        weights, self._origin = self._weights_to_test(state, selected=folder and self.selector.active)
        optional = getattr(self.model, "training_only", ("classifier.",))
        load_matching(self.model, strip_module(weights), path, strict, optional)
        logger.info("weights from %s", path)

    def _weights_to_test(self, state: dict[str, Any], selected: bool) -> tuple[dict[str, Tensor], Origin]:
        if selected and state.get("selection", {}).get("weights") is not None:
            self.selector.load_state_dict(state["selection"])
            assert self.selector.weights is not None
            return self.selector.weights, self.selector.origin
        if "about" not in state:
            # A checkpoint of torchreid's own engine has no selection and does not say which epoch's weights it keeps.
            select = "last" if "selection" in state else "given"
            return state.get("ema", state["state_dict"]), Origin(int(state.get("epoch", 0)), select)
        about = state["about"]
        origin = Origin(int(about.get("epoch", 0)), about.get("select", "given"), about.get("target", ""))
        return state["state_dict"], origin

    def check_protocols(self) -> None:
        """Raise ``ValueError`` for a target data set that lacks a protocol or tests what is trained here: at once."""
        for name, loaders in self.test_loader.items():
            protocols_of(loaders["query"].dataset, self.protocols)
            if name not in self.datamanager.sources:
                check_split(split_of(self.train_loader.dataset), loaders["query"].dataset, "this run")

    def _check_split(self, state: dict[str, Any], path: Path) -> None:
        for loaders in self.test_loader.values():
            check_split(state.get("split", ""), loaders["query"].dataset, path)

    def _save_results(self, dataset_name: str) -> None:
        if self.files is None:
            return
        about = {
            "epoch": self.origin.epoch,
            "max_epoch": self.max_epoch,
            "final": self._final,
            "selection": self._label(dataset_name),
            **({"flip": True} if self.evaluation.flip else {}),
            **({"left_out": self._left_out[dataset_name]} if self._left_out.get(dataset_name) else {}),
        }
        self.files.save_results(dataset_name, self.results[dataset_name], about)


def _refuse_marked(*datasets: Any) -> None:
    if any(getattr(dataset, "on_bad_image", BAD_IMAGE[0]) != BAD_IMAGE[0] for dataset in datasets):
        raise ValueError(
            "data.on_bad_image skip: torchreid's evaluator, which tests data without protocols of their own, cannot "
            "leave images out; set it to stop, or name a protocol in test.protocols"
        )


def _bare(model: Any) -> Any:
    return getattr(model, "module", model)  # behind DataParallel


def _scalars(result: Results) -> dict[str, float]:
    return {"rank1": result.rank(1), "mAP": result.mAP, "mINP": result.mINP}
