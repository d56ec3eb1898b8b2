"""torchreid's triplet engine, extended by what it cannot do: prompt-level losses and exact resuming."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from promptreid.engine.batch_loss import OUTPUTS, criterion_loss, host_loss
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.checkpoints.best_weights import SelectionOptions
from promptreid.engine.checkpoints.position import Position
from promptreid.engine.checkpoints.provenance import data_record, place_cameras
from promptreid.engine.checkpoints.random_state import seed_everything, set_rng_state
from promptreid.engine.checkpoints.run_folder import RunFolder
from promptreid.engine.checkpoints.stop_signals import batches_of
from promptreid.engine.checkpoints.training_state import capture, restore, rng_of_process
from promptreid.engine.distributed.ddp import Replicas
from promptreid.engine.distributed.output_gathering import gather_batch
from promptreid.engine.distributed.process_group import is_writer, mean_of, rank, world_size
from promptreid.engine.epoch_meter import EpochMeter
from promptreid.engine.evaluation_options import EvaluationOptions
from promptreid.engine.feature_extraction import split_of
from promptreid.engine.kept_steps import kept_steps
from promptreid.engine.nonfinite import check_finite
from promptreid.engine.prompt_monitor import PromptMonitor
from promptreid.engine.run_watch import RunWatch, Tested
from promptreid.engine.step_timer import StepTimer
from promptreid.engine.test_engine import Draw, EvaluatingEngine
from promptreid.engine.training_plan import evaluation_is_due, plan_of
from promptreid.engine.unreadable import Replacements
from promptreid.engine.update_step import StepOptions, Updater, in_float32
from promptreid.engine.weight_average import tensors_of
from promptreid.methods.base import method_of

logger = logging.getLogger(__name__)


class PromptEngine(EvaluatingEngine):
    """Trains and tests prompted models; for ordinary models and data it does what torchreid's engines do.

    Within a :func:`~promptreid.engine.distributed.process_group.process_group` the processes train one model, each on
    its share of every batch.

    Args:
        datamanager, model, optimizer, scheduler, use_gpu, margin, weight_t, weight_x, label_smooth: torchreid's own.
        criterion: a loss on the model's ``PromptOutput`` that returns the total and a dict of its parts, such as
            ``promptreid.losses.identity_triplet.IdentityTripletLoss``. Without one, torchreid's own losses are used.
        loss: what the model was built for where there is no criterion: ``triplet`` (it returns logits and features) or
            ``softmax`` (logits), as torchreid's two engines expect.
        protocols: names of the data set's protocols to test, or the first words of several; its standard ones when
            empty.
        chance: log what a random ranking would score beside each result.
        seed: each epoch starts from random states derived from (seed, epoch, process), so that a resumed run continues
            exactly like an uninterrupted one. None leaves the random state alone.
        steps: precision, accumulation, clipping, averaged weights, checkpoints within an epoch.
        selection: which weights the run ends with.
        config: the run's configuration as YAML, kept in its checkpoints and compared on resuming and testing.
        allow_differences: test weights although the model or its input differs from that of their training.
        evaluation: how descriptors are made and re-ranked in tests.
        draw: writes pictures of ranked lists; see :class:`~promptreid.engine.test_engine.EvaluatingEngine`.
        watch: is told what the training does.

    Raises:
        ValueError: options that contradict each other.
    """

    def __init__(
        self,
        datamanager: Any,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        criterion: nn.Module | None = None,
        loss: str = "triplet",
        scheduler: Any = None,
        use_gpu: bool = True,
        protocols: Sequence[str] = (),
        chance: bool = True,
        seed: int | None = None,
        steps: StepOptions | None = None,
        selection: SelectionOptions | None = None,
        evaluation: EvaluationOptions | None = None,
        draw: Draw | None = None,
        watch: RunWatch | None = None,
        config: str = "",
        allow_differences: bool = False,
        margin: float = 0.3,
        weight_t: float = 1.0,
        weight_x: float = 1.0,
        label_smooth: bool = True,
    ) -> None:
        if criterion is None and loss not in OUTPUTS:
            raise ValueError(f"loss {loss!r} is none of {', '.join(OUTPUTS)}, and there is no criterion")
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
            protocols=protocols,
            chance=chance,
            steps=steps,
            selection=selection,
            config=config,
            allow_differences=allow_differences,
            evaluation=evaluation,
            draw=draw,
        )
        self.criterion = criterion.cuda() if criterion is not None and self.use_gpu else criterion
        self.loss, self.seed = loss, seed
        self.updater = Updater(model, optimizer, self.steps, self.device_type)
        self.replicas = Replicas(model, self._objective, method_of(model).every_step_uses_all(model, criterion))
        self.monitor, self.timer, self.watch = PromptMonitor(), StepTimer(), watch or RunWatch()
        self.num_batches = self.batch_idx = 0
        self._resumed: dict[str, Any] = {}
        self._training, self.replacements = False, Replacements()

    def run(self, save_dir: str = "log", *, guest: bool = False, **kwargs: Any) -> None:
        """torchreid's pipeline; what it takes is there in ``Engine.run``.

        A run that was resumed goes on where its checkpoint is, also within an epoch. SIGTERM and Ctrl-C end it with a
        checkpoint after the current optimisation step.

        Args:
            save_dir: the run's folder.
            guest: another process trains in it: test alone, and write nothing but results under a name of their own.
            kwargs: torchreid's.

        Raises:
            ValueError: what cannot be trained or tested.
            KeyboardInterrupt, SystemExit: after a signal.
        """
        plan = plan_of(kwargs)
        if kwargs.get("visrank") and not plan["test_only"]:
            raise ValueError("test.visrank draws rank lists only when nothing is trained: set test.evaluate True")
        self.files = RunFolder(Path(save_dir), guest) if is_writer() else None
        self.max_epoch = plan["max_epoch"]
        if plan["test_only"]:
            self.test(save_dir=save_dir, **kwargs)
        else:
            self.selector.check()
            place_cameras(self.datamanager, self.model, data_record(self.datamanager), RunFolder(Path(save_dir)).path)
            with self.stop, self.watch.during(Path(save_dir), self.position):
                self._train_and_test(plan, {"save_dir": save_dir, **kwargs})

    def _train_and_test(self, plan: dict[str, Any], settings: dict[str, Any]) -> None:
        started = time.monotonic()
        self._training, self._origin = True, None
        if not self._resumed:
            self.position = Position(epoch=plan["start_epoch"], evaluated=True)
        elif self._resumed["rng"]:
            set_rng_state(self._resumed["rng"])
        if self.files is not None:
            self.files.metrics.cut(self.position, self._resumed.get("metrics"))
        while True:
            self.epoch = self.position.epoch - 1  # torchreid's, 0-based: of the last epoch, or the current one
            due = evaluation_is_due(plan, self.position.epoch, self.max_epoch, self.selector.active)
            if due and not self.position.step and not self.position.evaluated:
                self._evaluate_epoch(settings)
            if not self.position.step and (self.position.epoch >= self.max_epoch or self.selector.exhausted):
                break
            self.epoch = self.position.epoch
            self.train(plan["print_freq"], plan["fixbase_epoch"], plan["open_layers"])
        if self.selector.exhausted:
            logger.info("no improvement in %d evaluations: training ends", self.selector.waited)
        self._test_at_the_end(settings)
        self.watch.finished(self.config, self.results)
        self._training = False
        logger.info("Elapsed %s", datetime.timedelta(seconds=round(time.monotonic() - started)))

    def train(self, print_freq: int = 10, fixbase_epoch: int = 0, open_layers: Any = None) -> None:
        """One epoch, or the rest of one, with a bar on a terminal and a log line every ``print_freq`` batches."""
        if self.seed is not None:
            seed_everything(self.seed, self.epoch, rank())
        self.set_model_mode("train")
        self.two_stepped_transfer_learning(self.epoch, fixbase_epoch, open_layers)
        getattr(self.criterion, "set_epoch", lambda epoch: None)(self.epoch + 1)
        batches = self._batches_from(self.position.step)
        self.timer = StepTimer(self.use_gpu, print_freq)
        meter = EpochMeter(self.epoch, self.max_epoch, self.num_batches, print_freq, self.timer)
        if self.position.step:
            meter.load_state_dict(self._resumed["meter"])
        with kept_steps(self, meter):
            for batch in meter.watch(batches):
                self.batch_idx = meter.batches
                self.watch.keep_batch(self.epoch, meter.batches + 1, batch["img"])
                summary = self.forward_backward(batch)
                self.replacements.note(batch)
                due = meter.update(world_size() * len(batch["pid"]), summary, self.get_current_lr())
                self._log_batch(meter, due)
                self._pause(meter)
        self.updater.flush()
        self.replacements.end_epoch()
        if is_writer():
            self.watch.scalars("Prompts", self.monitor.report(self.model), self.epoch)
            self.watch.epoch(self.epoch, self.model, self.train_loader.dataset)
        if self.timer.line():
            cache = getattr(self.model, "prefix_cache", None)
            kept = "" if cache is None else f"; prefix cache: {100 * cache.share:.0f} % of images so far"
            logger.info("epoch %d/%d  %s%s", self.epoch + 1, self.max_epoch, self.timer.line(), kept)
        self.update_lr()
        self.position = Position(self.epoch + 1, 0, self.position.batches, evaluated=False)
        self._save()
        self.stop.leave_if_asked()

    def _batches_from(self, step: int) -> Iterator[Any]:
        """The epoch's batches from number ``step`` on, with the random numbers that come before them drawn."""
        if hasattr(self.datamanager, "set_epoch"):
            self.datamanager.set_epoch(self.epoch, start=step)
            batches = batches_of(self.train_loader)
        else:
            batches = batches_of(self.train_loader)
            for _ in range(step):
                next(batches)
        self.num_batches = len(self.train_loader)
        if self.num_batches == 0:
            raise ValueError(
                f"train.batch_size: the train set ({len(self.train_loader.dataset)} images) does not fill one batch; "
                "use a smaller batch or more data"
            )
        if step:
            set_rng_state(self._resumed["rng"])
        return batches

    def _log_batch(self, meter: EpochMeter, due: bool) -> None:
        lr = self.get_current_lr()
        self.watch.step(meter, lr, self.position.batches, self.optimizer if due else None, self.use_gpu)
        self.position = self.position._replace(batches=self.position.batches + 1)
        if due:
            self._write_metrics({"epoch": self.epoch + 1, "step": meter.batches, "lr": lr, **meter.averages()})

    def _pause(self, meter: EpochMeter) -> None:
        """Between two optimisation steps: a checkpoint where one is due or the run is to end."""
        # The epoch's own checkpoint follows its last batch.
        if self.updater.pending or meter.batches >= self.num_batches:
            return
        self.position = Position(self.epoch, meter.batches, self.position.batches, evaluated=True)
        every = self.steps.checkpoint_steps
        if self.stop.asked() or (every and meter.batches % every == 0):
            self._save(meter)
            self.stop.leave_if_asked()

    def forward_backward(self, data: dict[str, Any]) -> dict[str, float]:
        """Learn from one batch; the parts of the loss by name.

        Raises:
            ValueError: the loss is not finite.
        """
        images, pids = self.parse_data_for_train(data)
        if self.use_gpu:
            images, pids = images.cuda(non_blocking=True), pids.cuda(non_blocking=True)
        more_follows = not self.updater.completes_step and self.batch_idx + 1 < self.num_batches
        with self.replicas.accumulating(more_follows):
            with self.timer.phase("forward"):
                loss, parts = self.replicas(images, pids)
            with self.timer.phase("backward"):
                # Gradients are averaged over processes, and each has only its rows' part of the whole batch's gradient.
                self.updater.backward(loss * world_size() if self.steps.gather and world_size() > 1 else loss)
        with self.timer.phase("optimiser"):
            self.updater.step()
        values = torch.stack([value.detach().float() for value in (loss, *parts.values())])
        # One transfer for all, so that a GPU is waited for once.
        total, *rest = (values if self.steps.gather else mean_of(values)).tolist()
        summary = dict(zip(parts, rest, strict=True))
        check_finite(total, summary, data, {"epoch": self.epoch + 1, "batch": self.batch_idx + 1}, self.files)
        return summary

    def _objective(self, images: Any, pids: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, of the whole one where processes gather, and its parts by name."""
        with self.steps.autocast(self.device_type):
            output = in_float32(self.model(images))
        self.monitor.keep(output, pids)
        if self.steps.gather:
            output, pids = gather_batch(output, pids)
        if self.criterion is not None:
            return criterion_loss(self.criterion, output, pids)
        return host_loss(self, output, pids)

    def _evaluate_epoch(self, settings: dict[str, Any]) -> None:
        scores = self._test_all(self.selector.during_training, settings)
        best = self.selector.active and self.selector.update(scores, self.position.epoch, self._copies_on_trial)
        if best and self.files is not None:
            self.files.save_best(self._weights_on_trial(), self.selector.origin, self._trained())
        self.position = self.position._replace(evaluated=True)
        self._save()
        self.stop.leave_if_asked()

    def _trained(self) -> dict[str, Any]:
        """What a file of weights says of their training."""
        split = split_of(self.train_loader.dataset)
        return {"split": split, "data": data_record(self.datamanager), "config": self.config}

    def _test_at_the_end(self, settings: dict[str, Any]) -> None:
        if self.selector.weights is not None:
            self.model.load_state_dict(self.selector.weights)
            self._origin = self.selector.origin
            logger.info("testing the weights of epoch %d, the best on %s", self._origin.epoch, self._origin.target)
        self._final = True
        self._test_all(None, settings)
        self._final = False

    def _averaged_weights(self) -> AbstractContextManager[None]:
        average = self.updater.average
        if average is None or not self._training or self._origin is not None:
            return nullcontext()
        return average.applied(self.model)

    def _weights_on_trial(self) -> dict[str, Tensor]:
        """The weights that are tested while training: the averaged ones, if there are."""
        average = self.updater.average
        return tensors_of(self.model) if average is None else average.weights

    def _copies_on_trial(self) -> dict[str, Tensor]:
        return {name: value.detach().cpu().clone() for name, value in self._weights_on_trial().items()}

    def save_model(self, epoch: int, rank1: float, save_dir: str, is_best: bool = False) -> None:
        """Write torchreid's checkpoint, atomically and in a form that it can read again."""
        self.rank1, self.position = float(rank1), Position(epoch + 1, 0, self.position.batches, evaluated=True)
        RunFolder(Path(save_dir)).save(capture(self, None), self._weights_on_trial())

    def _save(self, meter: EpochMeter | None = None) -> None:
        state = capture(self, meter)
        self.watch.flush()
        if self.files is not None:
            self.files.save(state, self._weights_on_trial())

    def resume(self, path: Path) -> Position:
        """Continue from a checkpoint file, or from the newest readable one of a run's folder.

        Returns:
            where :meth:`run` will go on.

        Raises:
            FileNotFoundError: no readable checkpoint.
            ValueError: a checkpoint of another model, optimiser, split or configuration.
        """
        models = RunFolder(path).models
        path, state = (path, checkpoint.load(path)) if path.is_file() else checkpoint.load_newest(models)
        self._check_split(state, path)
        restore(self, state, path)
        self._resumed = {
            "path": path,
            "meter": state.get("meter"),
            "rng": rng_of_process(state),
            "metrics": RunFolder.of_checkpoint(path).metrics.path,
        }
        self.epoch = self.position.epoch - 1
        logger.info("resumed from %s after %s", path, self.position)
        return self.position

    @property
    def resumed_from(self) -> Path | None:
        """The checkpoint that :meth:`resume` has read."""
        return self._resumed.get("path")

    def _write_metrics(self, record: dict[str, Any]) -> None:
        if self.files is not None and self._training:
            self.files.metrics.write(record)

    def _write_scalars(self, prefix: str, scalars: dict[str, float]) -> None:
        if self._training:
            self.watch.scalars(f"{self._kind_of_test}{prefix}", scalars, self.epoch)

    def _watch_test(self, test: Tested) -> None:
        if self._training:
            self.watch.tested(test, self.epoch, self._kind_of_test)

    @property
    def _kind_of_test(self) -> str:
        """What tags begin with: the last test of selected weights is of another epoch than the curves' last one."""
        return "Final/" if self._final and self.selector.active else ""
