"""Who does the work: this process, or several that may die without anything being lost."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from threadpoolctl import threadpool_limits

from .analyse import AnalyzerChoice, Tools
from .config import PipelineConfig


class Task(Protocol):
    """A piece of work that leaves a file when it is done, and can be done again."""

    def run(self, tools: Tools) -> int:
        """Do it; returns how many pictures it was."""
        ...

    def blame(self) -> bool:
        """Note, after a worker died, which picture it was at; false where that is not known."""
        ...


def do(task: Task, tools: Tools) -> int:
    """Do a task in one thread, whoever does it; returns how many pictures it was.

    In another number of threads sums differ in their last bits, and the shards with them.
    """
    with threadpool_limits(1):
        return task.run(tools)


class Runner(Protocol):
    """Does tasks, in any order."""

    def run(self, tasks: Iterable[Task]) -> Iterator[int]:
        """Do all; yields the pictures of each as it is done. What a task raises is raised."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class InProcess:
    """Does everything here, one after the other."""

    def __init__(self, config: PipelineConfig, choice: AnalyzerChoice) -> None:
        self._tools = Tools(config, choice)

    def run(self, tasks: Iterable[Task]) -> Iterator[int]:
        """Do all tasks in order."""
        for task in tasks:
            yield do(task, self._tools)

    def close(self) -> None:
        """Nothing is held."""


class Processes:
    """Does tasks in worker processes.

    When one dies, what was under way is done again, a task at a time in a process of its own: so it is sure
    which picture a process died of. That picture is then rejected, and nothing else.

    Parameters
    ----------
    config : PipelineConfig
        Settings.
    choice : AnalyzerChoice
        Each process loads its own analyzer.
    workers : int
        How many processes.
    """

    def __init__(self, config: PipelineConfig, choice: AnalyzerChoice, workers: int) -> None:
        self._config, self._choice, self._workers = config, choice, workers
        self._kept: ProcessPoolExecutor | None = None

    def run(self, tasks: Iterable[Task]) -> Iterator[int]:
        """Do all tasks.

        Raises
        ------
        ValueError
            Processes die before they begin a picture.
        """
        todo = iter(tasks)
        suspects: deque[Task] = deque()
        while True:
            yield from self._together(todo, suspects)
            if not suspects:
                return
            self.close()
            while suspects:
                yield self._alone(suspects.popleft())

    def close(self) -> None:
        """End the processes."""
        if self._kept is not None:
            self._kept.shutdown(wait=True, cancel_futures=True)
            self._kept = None

    def _pool(self, workers: int) -> ProcessPoolExecutor:
        # Fork would copy the threads' locks of onnxruntime and OpenCV.
        return ProcessPoolExecutor(
            workers,
            multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(self._config, self._choice),
        )

    def _together(self, todo: Iterator[Task], suspects: deque[Task]) -> Iterator[int]:
        """Do tasks until there are none, or until a process dies: what was under way is then suspect."""
        if self._kept is None:
            self._kept = self._pool(self._workers)
        running: dict[Future[int], Task] = {}
        for task in todo:
            running[_submitted(self._kept, task, suspects)] = task
            if len(running) > self._workers and not suspects:
                yield from _finished(running, suspects)
            if suspects:
                break
        while running and not suspects:
            yield from _finished(running, suspects)
        suspects.extend(task for task in running.values() if task not in suspects)

    def _alone(self, task: Task) -> int:
        while True:
            with self._pool(1) as pool:
                try:
                    return pool.submit(_work, task).result()
                except BrokenProcessPool:
                    if not task.blame():
                        raise ValueError(
                            "worker processes die before they begin a picture: too little memory, or a "
                            "broken installation; try --workers 0"
                        ) from None


def _submitted(pool: ProcessPoolExecutor, task: Task, suspects: deque[Task]) -> Future[int]:
    try:
        return pool.submit(_work, task)
    except BrokenProcessPool:
        suspects.append(task)
        return Future()


def _finished(running: dict[Future[int], Task], suspects: deque[Task]) -> Iterator[int]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        task = running.pop(future)
        try:
            count = future.result()
        except BrokenProcessPool:
            suspects.append(task)
            continue
        yield count


_tools: Tools | None = None


def _begin(config: PipelineConfig, choice: AnalyzerChoice) -> None:
    global _tools  # noqa: PLW0603 - what a worker process keeps
    _tools = Tools(config, choice)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave when the process that started this one is gone: its queue would be waited at for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(task: Task) -> int:
    assert _tools is not None
    return do(task, _tools)


def runner(config: PipelineConfig, choice: AnalyzerChoice, workers: int) -> Runner:
    """Return what does the work: 0 workers is this process."""
    return Processes(config, choice, workers) if workers else InProcess(config, choice)
