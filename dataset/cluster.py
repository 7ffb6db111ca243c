"""The same work as a Ray Data pipeline: on one machine's processes, or on a cluster.

Pieces of the journal stream through a pool of actors, each with its own analyzer. Workers write chunks and
shards themselves, so source and data set lie on storage that every node sees under the same path, and little
goes through Ray. When an actor or a node dies, Ray does its pieces again elsewhere; as a piece is a file that
appears whole, nothing is lost or doubled.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from .analyse import AnalyzerChoice, Tools
from .config import PipelineConfig
from .journal import AnalyseTask, FinishTask, Journal, note_retry
from .runners import Task, do

LOCAL = "local"
_KINDS: dict[str, type[AnalyseTask] | type[FinishTask]] = {"analyse": AnalyseTask, "finish": FinishTask}


class Actor:
    """One worker: keeps its analyzer, and does a piece for each row that Ray hands it."""

    def __init__(self, config: PipelineConfig, choice: AnalyzerChoice, run: str) -> None:
        self._tools, self._run = Tools(config, choice), run

    def __call__(self, row: dict[str, Any]) -> dict[str, int]:
        """Do one piece; returns how many pictures it was."""
        task = _KINDS[row["kind"]](Journal(Path(row["out"])), int(row["index"]))
        note_retry(task, self._run)
        return {"pictures": do(task, self._tools)}


class RayRunner:
    """Does tasks by Ray Data.

    Parameters
    ----------
    config : PipelineConfig
        Settings.
    choice : AnalyzerChoice
        Each actor loads its own analyzer.
    address : str
        Of a cluster, or `LOCAL` to start one here.
    workers : int
        Actors.
    gpus : float
        Of one actor; several share a GPU with parts of 1.

    Raises
    ------
    ValueError
        Ray is not installed, or there is no cluster at the address; one line.
    """

    def __init__(
        self, config: PipelineConfig, choice: AnalyzerChoice, address: str, workers: int, gpus: float = 0.0
    ) -> None:
        try:
            import ray
            import ray.data
        except ImportError:
            raise ValueError("--ray needs the package ray: pip install 'hifi-portrait[ray]'") from None
        self._ray = ray
        self._arguments = (config, choice, secrets.token_hex(4))
        self._workers, self._gpus = max(workers, 1), gpus
        self._ours = not ray.is_initialized()
        if self._ours:
            self._start(address)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.verbose_progress = False

    def _start(self, address: str) -> None:
        try:
            if address == LOCAL:
                self._ray.init(
                    num_cpus=self._workers,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            else:
                self._ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ValueError(f"no Ray cluster at {address}: {str(error).splitlines()[0][:120]}") from None

    def run(self, tasks: Iterable[Task]) -> Iterator[int]:
        """Do all tasks, in any order."""
        rows = [_row(task) for task in tasks]
        if not rows:
            return
        workers = min(self._workers, len(rows))
        pieces = self._ray.data.from_items(rows, override_num_blocks=len(rows))
        done = pieces.map(
            cast(Any, Actor),  # Ray makes one for each worker
            fn_constructor_args=self._arguments,
            concurrency=workers,
            num_cpus=1,
            num_gpus=self._gpus or None,
        )
        for row in done.iter_rows():
            yield int(row["pictures"])

    def close(self) -> None:
        """End a Ray that was started here."""
        if self._ours and self._ray.is_initialized():
            self._ray.shutdown()


def _row(task: Task) -> dict[str, Any]:
    assert isinstance(task, AnalyseTask | FinishTask)
    kind = next(name for name, cls in _KINDS.items() if isinstance(task, cls))
    return {"kind": kind, "out": str(task.journal.out.absolute()), "index": task.index}
