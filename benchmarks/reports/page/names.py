"""Short names of datasets that tell them apart."""

from __future__ import annotations

import re
from collections.abc import Sequence


def short_names(datasets: Sequence[str]) -> dict[str, str]:
    """Dataset -> the last part of its name or path, with as many parts before it as tell all datasets apart."""
    parts = [[part for part in re.split(r"[/\\\\]+", name) if part] or [name] for name in datasets]
    found = {}
    for name, own in zip(datasets, parts, strict=True):
        others = [other for other in parts if other != own]
        sizes = (size for size in range(1, len(own)) if all(other[-size:] != own[-size:] for other in others))
        found[name] = "/".join(own[-next(sizes, len(own)) :])
    return found
