"""Features extractors: what networks see in place of an observation.

A memory can then keep small observations, such as the number of a row, and the networks see all that they stand for.

Axis letters: S seeds, B batch, D observation, K features.
"""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from agents.common.checks import check_int

Floats = npt.NDArray[np.float32]
Extractor = Callable[[torch.Tensor], torch.Tensor]
"""Maps observations [B, D] to features [B, K], K being its attribute `features_dim`; a `torch.nn.Module`, say.

One that reads from what belongs to an env, such as a table of its data, has a method `look_at(env)`, which makes it
read from another env's.
"""


def check_extractor(extractor: Extractor | None, dim: int | None) -> None:
    """Checks an extractor against the `features_dim` K that a file says its agent had, None for no extractor.

    Raises:
        ValueError: If it is missing, not wanted, or gives another number of features.
    """
    if extractor is None and dim is not None:
        raise ValueError(f"features_extractor is missing: the agent was made with one of features_dim={dim}, pass it")
    if extractor is not None and (given := getattr(extractor, "features_dim", None)) != dim:
        raise ValueError(f"features_extractor must have features_dim={dim} as the agent was made with, got {given!r}")


class Features:
    """An extractor without anything to learn, applied to observations with any axes before the last.

    Args:
        extractor: See `Extractor`. A module is moved to `device`.
        device: Where observations come from.

    Attributes:
        dim: K.

    Raises:
        TypeError: If the extractor cannot be called, or has no int `features_dim`.
        ValueError: If it has parameters to learn.
    """

    def __init__(self, extractor: Extractor, device: torch.device) -> None:
        if not callable(extractor):
            raise TypeError(f"features_extractor must be callable, got {extractor!r}")
        self.dim = check_int("features_extractor.features_dim", getattr(extractor, "features_dim", None), 1)
        if isinstance(extractor, torch.nn.Module):
            learns = [name for name, parameter in extractor.named_parameters() if parameter.requires_grad]
            if learns:
                raise ValueError(f"features_extractor must have nothing to learn, got {', '.join(learns)}")
            extractor.to(device)
        self.extractor, self._device = extractor, device

    @torch.no_grad()
    def __call__(self, obs: torch.Tensor) -> torch.Tensor:
        """Features [..., K] of observations [..., D]."""
        rows = obs.reshape(-1, obs.shape[-1])
        features = self.extractor(rows)
        if features.shape != (len(rows), self.dim):
            expected, shape = (len(rows), self.dim), tuple(features.shape)
            raise ValueError(f"features_extractor must give features of shape {expected}, got {shape}")
        return features.view(*obs.shape[:-1], self.dim)

    def of(self, obs: npt.NDArray[Any]) -> Floats:
        """The same, NumPy to NumPy."""
        features: Floats = self(torch.from_numpy(obs).to(self._device)).cpu().numpy()
        return features

    def look_at(self, env: Any) -> None:
        """Reads from what belongs to another env, by a copy of the extractor that looks at it, if it can."""
        if hasattr(self.extractor, "look_at"):
            twin = pickle.loads(pickle.dumps(self.extractor))  # copy.deepcopy may give the very same, to share a table
            twin.look_at(env)
            self.extractor = twin

    @contextmanager
    def looking_at(self, env: Any) -> Iterator[None]:
        """Reads from what belongs to another env for a while, as `look_at`."""
        own = self.extractor
        try:
            self.look_at(env)
            yield
        finally:
            self.extractor = own
