"""Features extractors: functions that map observations to the inputs of the networks.

A replay memory can then store small observations, such as the index of a row, which are expanded for the networks.

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

One that reads data of an env, such as a table, has a method `look_at(env)`, which makes it read that of another env.
"""


def check_extractor(extractor: Extractor | None, dim: int | None) -> None:
    """Checks an extractor against the `features_dim` K that a file says its agent had, None for no extractor.

    Raises:
        ValueError: If it is missing, unexpected, or has another number of features.
    """
    if extractor is None and dim is not None:
        raise ValueError(f"features_extractor is missing: the agent was made with one of features_dim={dim}, pass it")
    if extractor is not None and (given := getattr(extractor, "features_dim", None)) != dim:
        raise ValueError(f"features_extractor must have features_dim={dim} as the agent was made with, got {given!r}")


class Features:
    """An extractor without trainable parameters, applied to observations with any leading axes.

    Args:
        extractor: See `Extractor`. A module is moved to `device`.
        device: Device of the observations.

    Attributes:
        dim: K.

    Raises:
        TypeError: If the extractor cannot be called, or has no int `features_dim`.
        ValueError: If it has trainable parameters.
    """

    def __init__(self, extractor: Extractor, device: torch.device) -> None:
        if not callable(extractor):
            raise TypeError(f"features_extractor must be callable, got {extractor!r}")
        self.dim = check_int("features_extractor.features_dim", getattr(extractor, "features_dim", None), 1)
        if isinstance(extractor, torch.nn.Module):
            learns = [name for name, parameter in extractor.named_parameters() if parameter.requires_grad]
            if learns:
                raise ValueError(
                    f"features_extractor must have nothing to learn, got {', '.join(learns)}: one that learns is "
                    "part of the network, see agents.nn.networks.on_features"
                )
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
        """Features [..., K] of observations [..., D], NumPy to NumPy."""
        features: Floats = self(torch.from_numpy(obs).to(self._device)).cpu().numpy()
        return features

    def look_at(self, env: Any) -> None:
        """Replaces the extractor by a copy that looks at another env, if it has `look_at`."""
        if hasattr(self.extractor, "look_at"):
            twin = pickle.loads(pickle.dumps(self.extractor))  # copy.deepcopy may give the very same, to share a table
            twin.look_at(env)
            self.extractor = twin

    @contextmanager
    def looking_at(self, env: Any) -> Iterator[None]:
        """Looks at another env for the duration of a block."""
        own = self.extractor
        try:
            self.look_at(env)
            yield
        finally:
            self.extractor = own
