"""Training with the seeds spread over processes: `learn(..., processes=n)`.

S seeds are cut into n blocks of neighbours, each of which is trained in a process of its own, with one torch thread, as
an agent of its seeds would be in one process. Afterwards the agent takes up what all have learnt, with replay memory,
optimiser, random streams and running episodes, so it continues, and can be saved and copied, like any other.

Callbacks are called in the process that called `learn`, with the agent of all seeds, after every `log_interval` steps
and at the end; those with a method `next_call(agent)` when they say. For each such call all blocks stop at the same
step, and the agent takes up their weights; the rest of their state, such as replay memory, is collected at the end, or
when a callback asks for it: by saving with the state of training, by copying, or by `collect`. Progress and reports do
not stop the blocks.

What ends training early leaves a whole agent:

- A callback that returns False, and Ctrl-C: all blocks stop after the same step, and the agent has that state.
  Training can be resumed from there. A second Ctrl-C does not wait for them.
- An error in one process is raised here too, and one that is killed raises RuntimeError. The agent then is what it was
  when its state was last collected: at the last checkpoint, say, or before training.
- An error in a callback: the agent has the state of that step.
- If the calling process ends, so do the others.

Axis letters: S seeds.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Self

import numpy as np

from agents.base.calls import Callback, call_all, next_call
from agents.base.processes.blocks import Blocks
from agents.base.processes.worker import Report
from agents.base.processes.workers import Watch, Workers
from agents.base.reports.reporting import LastEpisodes, Reporter


def train(agent: Blocks, n_blocks: int, callbacks: Sequence[Callback], log_interval: int, progress_bar: bool) -> None:
    """Trains from `num_timesteps` to `goal`.

    Args:
        agent: The agent, ready to take the next step, or to reset its envs for the first one.
        n_blocks: The number of processes, at most S.
        callbacks: Functions of the agent.
        log_interval: Timesteps between calls of callbacks, and between reports.
        progress_bar: Whether to show one.
    """
    bounds = edges(len(agent.seeds), n_blocks)
    blocks = [partial(agent.block, start, stop) for start, stop in pairwise(bounds)]
    with Workers(blocks) as workers:  # first, because reporters have threads
        board = Board(agent, n_blocks, progress_bar)
        every = log_interval if board.reporter.active else None
        with board.reporter, Distributed(agent, workers) as distributed:
            goes_on = True
            while goes_on and agent.num_timesteps < agent.goal:
                board.stop = min([agent.goal, *(next_call(one, agent, log_interval) for one in callbacks)])
                if distributed.run(board.stop, every, board.watch):
                    raise KeyboardInterrupt
                goes_on = call_all(callbacks, agent)
                board.flush()
            agent.collect()
            board.end(agent)


class Distributed:
    """An agent whose blocks train in processes: a context manager, which leaves it whole.

    The agent takes up weights whenever the blocks stop. The state of training may be large, so it is collected at the
    end, or when something asks for it. If a process fails, the agent is again what it was when last collected.
    """

    def __init__(self, agent: Blocks, workers: Workers) -> None:
        self._agent, self._workers, self._whole = agent, workers, agent.learnt()

    def run(self, stop: int, every: int | None, watch: Watch) -> bool:
        """As `Workers.run`; the agent then has the weights of all blocks."""
        self._agent._elsewhere = None
        interrupted = self._workers.run(self._agent.num_timesteps, stop, every, watch)
        self._agent.take_up(self._workers.ask("learnt"))
        self._agent._elsewhere = self._collect
        return interrupted

    def _collect(self) -> None:
        self._agent._elsewhere = None
        self._agent.take_up_rest(self._workers.ask("rest"))
        self._whole = self._agent.learnt()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            try:
                self._agent.collect()
            finally:
                self._agent._elsewhere = None
                self._agent.take_up([self._whole])
                self._agent._last = self._whole.last


def edges(n_seeds: int, n_blocks: int) -> list[int]:
    """Where blocks of seeds begin, and the end of the last: 7 seeds in 3 blocks are cut at 0, 3, 5, 7."""
    parts = np.array_split(np.arange(n_seeds), n_blocks)
    return [0, *np.cumsum([len(part) for part in parts]).tolist()]


class Board:
    """Shows the progress of all blocks, and their reports once all have given theirs.

    Attributes:
        reporter: Shows them.
        stop: The step at which the blocks stop next: reports of it wait until the callbacks were called.
    """

    def __init__(self, agent: Any, n_blocks: int, progress_bar: bool) -> None:
        self._episodes = LastEpisodes([], [])
        self._step = self.stop = agent.num_timesteps
        bar = agent.goal - agent.num_timesteps if progress_bar else None
        shown = (agent.verbose, agent.tensorboard_log, bar, agent.num_timesteps, agent.logger)
        self.reporter = Reporter(type(agent).__name__, agent.seeds, self._episodes, *shown)
        self._waiting: list[list[Report]] = [[] for _ in range(n_blocks)]

    def watch(self, step: int, reports: Mapping[int, Report]) -> None:
        """Advances the bar, and shows what all blocks have reported."""
        self.reporter.tick(max(step - self._step, 0))
        self._step = max(step, self._step)
        for number, report in reports.items():
            self._waiting[number].append(report)
        while all(self._waiting) and self._waiting[0][0].num_timesteps < self.stop:
            self._show([waiting.pop(0) for waiting in self._waiting])

    def flush(self) -> None:
        """Shows the reports that waited for the callbacks."""
        while all(self._waiting):
            self._show([waiting.pop(0) for waiting in self._waiting])

    def end(self, agent: Any) -> None:
        """Shows the report of the end of training."""
        if self.reporter.active:
            self._episodes.returns, self._episodes.lengths = agent._envs.returns, agent._envs.lengths
            self.reporter.report(agent.num_timesteps, agent._metrics())

    def _show(self, reports: Sequence[Report]) -> None:
        self._episodes.returns = [window for report in reports for window in report.returns]
        self._episodes.lengths = [window for report in reports for window in report.lengths]
        keys = [key for key in reports[0].metrics if all(key in report.metrics for report in reports)]
        metrics = {key: np.concatenate([report.metrics[key] for report in reports]) for key in keys}  # [S] each
        self.reporter.report(reports[0].num_timesteps, metrics)
