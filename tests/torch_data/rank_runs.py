"""What the processes of test_ranks.py run: epochs over labels, as each framework deals them out.

python -m torch.distributed.run ... rank_runs.py FRAMEWORK LABELS RESULTS

Every process writes RESULTS/FRAMEWORK-RANK.json: by name of a case the numbers of the labels that
came in each epoch, batch by batch, or the words of a refusal.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.utils.data import DataLoader, DistributedSampler

from redepth.errors import ConfigError
from redepth.torch_data import LabelDataset, LabelMaps, Share, Shuffling

BATCH_SIZE = 2
EPOCHS = 2
SHUFFLING = Shuffling(seed=1, block_size=2, buffer_shards=2)
# Until Python 3.11.8 a fork that meets a thread on its way into Python may hang, and ranks have
# such threads (python/cpython#112275): the workers of loaders come from a server that has none.
FROM_SERVER: dict[str, Any] = {"multiprocessing_context": "forkserver"}
Batches = list[list[int]]
Seen = list[Batches] | str


def numbered(sample: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return the label's number in place of its id: accelerate broadcasts tensors alone."""
    return {"number": torch.tensor(int(sample["id"][:4])), "refined": sample["refined"]}


def open_maps(labels: str) -> LabelMaps:
    return LabelMaps(labels, ["refined"], transform=numbered)


def stream(labels: str, share: Share | None = None) -> LabelDataset:
    return LabelDataset(open_maps(labels), batch_size=BATCH_SIZE, shuffling=SHUFFLING, share=share)


def workers_loader(dataset: Any, workers: int, **settings: Any) -> DataLoader[Any]:
    server = FROM_SERVER if workers else {}
    return DataLoader(dataset, BATCH_SIZE, num_workers=workers, **server, **settings)


def numbers(batches: Iterable[dict[str, torch.Tensor]]) -> Batches:
    return [batch["number"].tolist() for batch in batches]


def epochs_of(loader: Any, set_epoch: Callable[[int], None]) -> Seen:
    """Read epochs; return their batches, or the words of a refusal."""
    seen = []
    for epoch in range(EPOCHS):
        try:
            set_epoch(epoch)
            seen.append(numbers(loader))
        except ConfigError as error:
            return str(error)
    return seen


def nothing(epoch: int) -> None:
    """Leave epochs to the framework."""


def plain_ddp(labels: str) -> Iterator[tuple[str, Seen]]:
    """Run DistributedDataParallel, whose ranks have to meet in every step."""
    dataset = stream(labels)  # built before the group is, as many scripts do
    distributed.init_process_group("gloo")
    model = nn.parallel.DistributedDataParallel(nn.Linear(1, 1))
    for workers in (0, 2):
        loader = workers_loader(dataset, workers, persistent_workers=workers > 0)
        seen: list[Batches] = []
        for epoch in range(EPOCHS):
            dataset.set_epoch(epoch)
            seen.append([])
            for batch in loader:
                model(batch["refined"].mean().reshape(1)).backward()
                seen[-1] += numbers([batch])
        yield f"stream, {workers} workers", seen
    dataset.set_epoch(1, skip_batches=4)
    yield "resumed after 4 batches", [numbers(workers_loader(dataset, 2))]
    spawned = DataLoader(dataset, BATCH_SIZE, num_workers=1, multiprocessing_context="spawn")
    dataset.set_epoch(1)
    yield "spawned worker", [numbers(spawned)]
    maps = open_maps(labels)
    sampler: DistributedSampler[Any] = DistributedSampler(maps, shuffle=True)
    yield "maps", epochs_of(DataLoader(maps, BATCH_SIZE, sampler=sampler), sampler.set_epoch)


def with_accelerate(labels: str) -> Iterator[tuple[str, Seen]]:
    from accelerate import Accelerator, DataLoaderConfiguration

    for dispatches, splits in product((None, False), (False, True)):
        how = DataLoaderConfiguration(dispatch_batches=dispatches, split_batches=splits)
        accelerator = Accelerator(cpu=True, dataloader_config=how)
        words = f"{'shard' if dispatches is False else 'dispatch'}{', split' if splits else ''}"
        for workers in (0, 2):
            prepared = {
                "prepared": stream(labels),
                "prepared, of this rank": stream(
                    labels, Share(accelerator.process_index, accelerator.num_processes)
                ),
                "prepared, whole": stream(labels, Share()),
            }
            for name, dataset in prepared.items():
                loader = workers_loader(dataset, workers)
                seen = epochs_of(accelerator.prepare(loader), nothing)
                yield f"{name}: {words}, {workers} workers", seen
            own = stream(labels)
            yield (
                f"not prepared: {words}, {workers} workers",
                epochs_of(workers_loader(own, workers), own.set_epoch),
            )
        maps = DataLoader(open_maps(labels), BATCH_SIZE, shuffle=True)
        yield f"maps: {words}", epochs_of(accelerator.prepare(maps), nothing)


class Recording(nn.Module):
    """A model of one number that notes which labels it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.seen: Batches = []

    def forward(self, number: torch.Tensor, refined: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen.append(number.tolist())
        return {"loss": (self.weight * refined).mean()}


def with_trainer(labels: str) -> Iterator[tuple[str, Seen]]:
    from transformers import Trainer, TrainingArguments

    results = Path(sys.argv[3])
    cases: dict[str, Any] = {
        "stream": stream(labels), "stream, whole": stream(labels, Share()),
        "maps": open_maps(labels),
    }  # fmt: skip
    for name, dataset in cases.items():
        for dispatches in (True, False):
            arguments = TrainingArguments(
                str(results / "trainer"), per_device_train_batch_size=BATCH_SIZE, use_cpu=True,
                num_train_epochs=1, report_to=[], save_strategy="no", disable_tqdm=True,
                accelerator_config={"dispatch_batches": dispatches if name != "maps" else None},
            )  # fmt: skip
            model = Recording()
            trainer = Trainer(model, arguments, train_dataset=dataset)
            case = f"{name}: {'dispatch' if dispatches else 'shard'}"
            try:
                trainer.train()
                yield case, [model.seen]
            except ConfigError as error:
                yield case, str(error)


def with_lightning(labels: str) -> Iterator[tuple[str, Seen]]:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self, dataset: Any) -> None:
            super().__init__()
            self.model, self.dataset = Recording(), dataset
            self.seen: list[Batches] = []

        def on_train_epoch_start(self) -> None:
            self.seen.append([])

        def training_step(self, batch: dict[str, torch.Tensor], _: int) -> torch.Tensor:
            self.seen[-1] += numbers([batch])
            loss: torch.Tensor = self.model(**batch)["loss"]
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.0)

    class Epochs(lightning.Callback):
        """What docs/torch.md shows."""

        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            module.dataset.set_epoch(trainer.current_epoch)

    def fit(dataset: Any, workers: int, epochs: int, resumed: Path | None = None) -> Any:
        is_stream = isinstance(dataset, LabelDataset)
        module = Module(dataset)
        trainer = lightning.Trainer(
            accelerator="cpu", devices=2, strategy="ddp", max_epochs=epochs, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            callbacks=[Epochs()] if is_stream else [],
        )  # fmt: skip
        loader = workers_loader(
            dataset, workers, persistent_workers=workers > 0, shuffle=not is_stream
        )
        trainer.fit(module, loader, ckpt_path=resumed)
        return trainer

    for workers in (0, 2):
        for kind, dataset in (("stream", stream(labels)), ("maps", open_maps(labels))):
            trainer = fit(dataset, workers, EPOCHS)
            yield f"{kind}, {workers} workers", trainer.lightning_module.seen
        checkpoint = Path(sys.argv[3], f"{workers}.ckpt")
        fit(stream(labels), workers, 1).save_checkpoint(checkpoint)
        resumed = stream(labels)
        resumed.set_epoch(1)  # what Lightning reads before the epoch begins is of this one too
        trainer = fit(resumed, workers, EPOCHS, checkpoint)
        yield f"stream resumed, {workers} workers", trainer.lightning_module.seen


RUNS = {
    "ddp": plain_ddp,
    "accelerate": with_accelerate,
    "trainer": with_trainer,
    "lightning": with_lightning,
}


def main(framework: str, labels: str, results: str) -> None:
    importlib.import_module("torch._dynamo")  # imported later, it keeps a group and its threads
    multiprocessing.set_forkserver_preload(["redepth.torch_data"])
    faulthandler.dump_traceback_later(200, exit=True)  # a rank that waits for ever says where
    seen = dict(RUNS[framework](labels))
    rank = distributed.get_rank()
    assert distributed.get_world_size() == 2, os.environ
    Path(results, f"{framework}-{rank}.json").write_text(json.dumps(seen))
    distributed.barrier()
    distributed.destroy_process_group()  # its threads could abort a process that is done


if __name__ == "__main__":
    main(*sys.argv[1:])
