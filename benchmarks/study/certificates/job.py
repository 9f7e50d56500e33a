"""Jobs of the certificates: an agent with a block of seeds on a problem whose optimum is known. P points of a training.

They run, are kept and are resumed as the jobs of a study; nothing is chosen on their test paths, so the ledger of
attempts has no line about them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import filter_rule, ours, sb3
from benchmarks.contenders.sb3_options import for_sb3, with_schedules
from benchmarks.contenders.training import Trained
from benchmarks.study import provenance
from benchmarks.study.certificates.certified import Certificate, optimal_rewards, path_rewards
from benchmarks.study.rows import Row
from benchmarks.tasks.problems import PROBLEMS, Entry
from trading_env import __version__

FIRST_SEED = 100  # of the certificate's training seeds; smaller ones served to choose hyperparameters
BLOCK = 10  # seeds of a job
_FORMAT = 2  # of the rows


@dataclass(frozen=True)
class CertifyJob:
    """The training of an agent with a block of seeds, with tests on the way."""

    entry: Entry
    seeds: tuple[int, ...]
    points: int

    @property
    def name(self) -> str:
        """In words, for messages."""
        return f"{self.entry.name} on {self.entry.problem}, seeds {self.seeds[0]}-{self.seeds[-1]}"

    @cached_property
    def id(self) -> str:
        """Hash of everything that the row depends on."""
        entry = {**asdict(self.entry), "goal": None, "goal_reward": None}
        problem = {**asdict(PROBLEMS[self.entry.problem]), "about": None}
        if problem["per_market"] == 1:
            del problem["per_market"]  # rows that were kept before there was this field stay valid
        parts = [_FORMAT, entry, problem, self.seeds, self.points, __version__]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def run(self, ledger: Any) -> Row:
        """Trains, and returns the row: rewards on the test paths [P, S, K], and the optimal policy's [K]."""
        import torch

        torch.set_num_threads(1)
        entry = self.entry
        trained = train(entry, self.seeds, self.points)
        assert trained.points is not None
        optimal = optimal_rewards(entry.problem, **entry.keywords)
        return Row(
            dataset=entry.problem,
            fold=0,
            contender=entry.name,
            seeds=self.seeds,
            time=np.zeros(0),
            bars_per_year=math.nan,
            curves={},
            metrics={"reward": trained.points.scores[-1].mean(1)},
            stress={"optimal": optimal},
            learning=trained.points._asdict(),
            steps=entry.total_timesteps,
            seconds=trained.seconds,
            facts={"job": self.id, "hyperparameters": dict(entry.hyperparameters), **provenance.made()},
        )


def jobs_of(entries: Sequence[Entry], seeds: int, points: int) -> Iterator[CertifyJob]:
    """A job for each entry and block of seeds."""
    for entry in entries:
        for first in range(FIRST_SEED, FIRST_SEED + seeds, BLOCK):
            yield CertifyJob(entry, tuple(range(first, min(first + BLOCK, FIRST_SEED + seeds))), points)


def train(entry: Entry, seeds: Sequence[int], points: int) -> Trained:
    """Trains all seeds on one core, with tests on the way."""
    problem = PROBLEMS[entry.problem]
    shared: dict[str, Any] = {
        "n_envs": entry.n_envs,
        "progress_bar": False,
        "judge": partial(path_rewards, problem=problem, **entry.keywords),
        "every": entry.total_timesteps // points,
    }
    if entry.side == "structural":
        return filter_rule.train(problem.spec(**entry.keywords), seeds, shared["judge"], entry.total_timesteps)
    task = (entry.agent, problem.spec(**entry.keywords), list(seeds), entry.total_timesteps)
    if entry.side == "ours":
        return ours.train(*task, **shared, **entry.hyperparameters)
    policy = "MlpLstmPolicy" if entry.agent.startswith("Recurrent") else "MlpPolicy"
    return sb3.train(*task, policy=policy, processes=0, **shared, **sb3_options(entry))


def sb3_options(entry: Entry) -> dict[str, Any]:
    """Hyperparameters by SB3's names; unnamed ones have our defaults if the agent is also one of ours."""
    if entry.agent in ("DQN", "A2C", "PPO", "SAC"):
        return for_sb3(entry.agent, asdict(ours.agent_class(entry.agent).Config(**entry.hyperparameters)))
    return with_schedules(entry.hyperparameters)


def certificates_of(jobs: Sequence[CertifyJob], folder: Path) -> list[Certificate]:
    """The certificates whose rows are all there.

    Raises:
        KeptError: a row is damaged.
    """
    by_entry: dict[tuple[str, str], list[CertifyJob]] = {}
    for job in jobs:
        by_entry.setdefault((job.entry.problem, job.entry.name), []).append(job)
    found = []
    for ones in by_entry.values():
        paths = [folder / "rows" / f"{job.id}.npz" for job in ones]
        rows = [Row.read(path) for path in paths if path.exists()]
        if len(rows) == len(ones):
            found.append(certificate(ones[0].entry, rows))
    return found


def certificate(entry: Entry, rows: Sequence[Row]) -> Certificate:
    """The certificate of an entry, from the rows of all its seeds."""
    curves = [row.learning for row in rows if row.learning is not None]
    return Certificate(
        entry,
        curves[0]["steps"],
        np.sum([curve["seconds"] for curve in curves], axis=0),
        np.concatenate([curve["scores"] for curve in curves], axis=1),
        rows[0].stress["optimal"],
        tuple({provenance.in_words(row.facts): row.facts for row in rows}.values()),
    )
