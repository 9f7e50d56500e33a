"""The learning curves of a study as logs for TensorBoard."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.study.rows import Row
from trading_env.report.page import numbered

LONGEST = 100  # characters of a folder's name


def write_logs(rows: Sequence[Row], folder: Path) -> int:
    """Writes a log for each seed of each row that has learnt, and returns their number; older logs there are replaced.

    The scalar validation/growth_per_year is the log growth on the validation stretch, over training steps.
    """
    from torch.utils.tensorboard import SummaryWriter

    written, learnt = 0, [row for row in rows if row.learning is not None]
    contenders, datasets = (_folders([getattr(row, name) for row in learnt]) for name in ("contender", "dataset"))
    for row in learnt:
        assert row.learning is not None
        for s, seed in enumerate(row.seeds):
            place = folder / contenders[row.contender] / datasets[row.dataset] / f"fold-{row.fold}" / f"seed-{seed}"
            for old in place.glob("events.out.tfevents.*"):
                old.unlink()
            with SummaryWriter(str(place)) as log:
                for p, step in enumerate(row.learning["steps"].tolist()):
                    growth = float(row.learning["scores"][p, s]) * row.bars_per_year
                    log.add_scalar("validation/growth_per_year", growth, int(step))
            written += 1
    return written


def _folders(names: Sequence[str]) -> dict[str, str]:
    """Name -> a folder of its own: other characters than letters, digits, dots and dashes become dashes."""
    different = list(dict.fromkeys(names))
    plain = [re.sub(r"[^\w.-]+", "-", name).strip(".")[:LONGEST] or "-" for name in different]
    return dict(zip(different, numbered(plain, str.casefold), strict=True))
