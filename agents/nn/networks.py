"""Networks of a user's own, for S seeds at once.

A network is given as a function (obs_size, n_out) -> module, which is called once per seed while torch's random numbers
are those of the seed's own stream. A module of seed-batched layers (`agents.nn.layers.SeedModule`) then runs as it is,
on [S, B, D]. Any other module maps [B, D] to [B, n_out], and is run for all seeds by `torch.func.functional_call` under
`torch.vmap`: slower, and the same numbers.

What cannot be right is refused by name. Dropout would act as it learns, and its noise would not be the seed's.
BatchNorm would mix a batch into each of its rows, and keep running means that no file holds.

Axis letters: S seeds, B batch, D inputs, A outputs.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from agents.common.streams import seed_sequence
from agents.nn.extractors import Features
from agents.nn.layers import SeedLinear, SeedModule, SeedSequential
from agents.nn.parameters import Floats, SeedNetwork

Build = Callable[[int, int], torch.nn.Module]
"""Makes the network of one seed from the numbers of inputs and outputs."""


class BuiltNetwork(SeedNetwork):
    """S networks that a function makes.

    Args:
        build: The function.
        inputs: D.
        outputs: A.
        seeds: One seed per network.
        device: Device of the parameters.
        features: Extractor of the networks' inputs; None means the observation itself.

    Raises:
        TypeError: If it does not make a module of float32.
        ValueError: If the modules hold what cannot be right here, differ in shape, or do not give A outputs.
    """

    def __init__(
        self,
        build: Build,
        inputs: int,
        outputs: int,
        seeds: Sequence[int],
        device: torch.device,
        features: Features | None = None,
    ) -> None:
        super().__init__()
        modules = [made_for(seed, build, inputs, outputs) for seed in seeds]
        drawn = [{name: p.detach() for name, p in module.named_parameters()} for module in modules]
        check_alike(modules)
        self.module, self.features = modules[0].to(device), features
        self._batched = isinstance(self.module, SeedModule)
        self.flatten_parameters(len(seeds), device, seed_axis=self._batched)
        for s, named in enumerate(drawn):
            for name, value in named.items():
                mine = self.values[f"module.{name}"][s]
                mine.copy_(value.view(mine.shape))
        self._places = places(self.module)
        self._check_outputs(inputs, outputs)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Outputs [S, B, A] for obs [S, B, D], differentiable in the parameters."""
        return self.run(obs if self.features is None else self.features(obs))

    def run(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs [S, B, A] for inputs [S, B, D]."""
        if self._batched:
            return cast(torch.Tensor, self.module(x))
        with sdpa_kernel(SDPBackend.MATH):  # the others have no rule for vmap
            return torch.vmap(self._run_one)(self._places, x)

    def _run_one(self, parameters: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """One seed's outputs [B, A] for x [B, D]."""
        return cast(torch.Tensor, functional_call(self.module, parameters, (x,), tie_weights=False))

    def act(self, obs: Floats) -> Floats:
        """Outputs [S, B, A] for observations [S, B, D], NumPy to NumPy."""
        with torch.inference_mode():
            return cast(Floats, self(torch.from_numpy(obs).to(self.flat.device)).cpu().numpy())

    def _check_outputs(self, inputs: int, outputs: int) -> None:
        x, expected = torch.zeros(self.n_seeds, 3, inputs, device=self.flat.device), (self.n_seeds, 3, outputs)
        try:
            with torch.no_grad():
                out = self.run(x)
        except (RuntimeError, TypeError, IndexError, AttributeError) as error:
            kind, size = type(self.module).__name__, tuple(x.shape[not self._batched :])
            raise ValueError(f"network must map inputs {size} for all seeds, but {kind} raised: {error}") from error
        if not isinstance(out, torch.Tensor) or out.shape != expected:
            given = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
            raise ValueError(f"network must give outputs {expected} by seeds, batch and n_out, got {given}")


def made_for(seed: int, build: Build, inputs: int, outputs: int) -> torch.nn.Module:
    """The module that a function makes for a seed; TypeError or ValueError if it cannot be right."""
    word = int(seed_sequence(seed, "weights").generate_state(1, np.uint64)[0] >> 1)
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.default_generator.manual_seed(word)
        module = build(inputs, outputs)
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"network must make a torch.nn.Module, got {module!r}")
    for name, part in module.named_modules():
        where = f"network must not have {type(part).__name__}" + (f" ({name})" if name else "")
        if isinstance(part, _BatchNorm):
            raise ValueError(f"{where}: a row's output would depend on the other rows. LayerNorm does without")
        chance = getattr(part, "p" if isinstance(part, _DropoutNd) else "dropout", 0.0)
        if isinstance(chance, float) and chance > 0.0:
            raise ValueError(f"{where} with dropout: it would act with noise that is not its seed's. Set it to 0")
        if isinstance(part, SeedModule) and not isinstance(module, SeedModule):
            kind = type(module).__name__
            raise ValueError(f"{where} within {kind}, which must be a SeedModule too, such as SeedSequential")
    for name, parameter in module.named_parameters():
        if isinstance(module, SeedModule) and parameter.shape[:1] != (1,):
            shape = tuple(parameter.shape)
            raise ValueError(f"network is a SeedModule: {name} must have a first axis of 1 for the seed, got {shape}")
        if isinstance(parameter, torch.nn.UninitializedParameter) or parameter.dtype != torch.float32:
            raise TypeError(f"network must have parameters of float32, {name} is {parameter.dtype} or not yet made")
    return module


def places(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The parameter in each place where a module has one, by name; one that is shared has several places."""
    found: dict[str, torch.Tensor] = {}
    for prefix, part in module.named_modules():  # each once
        for name, parameter in part.named_parameters(recurse=False, remove_duplicate=False):
            found[f"{prefix}.{name}" if prefix else name] = parameter
    return found


def check_alike(modules: Sequence[torch.nn.Module]) -> None:
    """Checks that the seeds' modules have the same parameters, and the same numbers in their buffers.

    Raises:
        ValueError: Naming what differs.
    """
    first, *others = modules
    shapes, buffers = _shapes(first), dict(first.named_buffers())
    if not shapes:
        raise ValueError(f"network must have parameters, {type(first).__name__} has none")
    for other in others:
        if _shapes(other) != shapes:
            raise ValueError(f"network must have the same parameters for every seed, got {shapes}, {_shapes(other)}")
        for name, buffer in other.named_buffers():
            if name not in buffers or not torch.equal(buffer, buffers[name]):
                raise ValueError(f"network must have the same numbers for every seed in its buffer {name}")


def _shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(p.shape) for name, p in module.named_parameters()}


def on_features(
    obs_size: int,
    n_out: int,
    *,
    extractor: Callable[..., Any],
    net_arch: Sequence[int] = (64, 64),
    **arguments: Any,
) -> torch.nn.Module:
    """A network whose features are learnt: a features extractor, and a perceptron with ReLU on its features.

    `network=partial(on_features, extractor=WindowCNN, window=30)` is what `policy_kwargs` with a
    `features_extractor_class` is in Stable-Baselines3.

    Args:
        obs_size: D.
        n_out: A.
        extractor: Makes a module from obs_size and `arguments`, which has the number of its outputs as `features_dim`.
        net_arch: Widths of the perceptron's hidden layers.
        arguments: Keyword arguments of the extractor.
    """
    features = extractor(obs_size, **arguments)
    width = getattr(features, "features_dim", None)
    if not isinstance(width, int):
        raise TypeError(f"network's extractor must have an int features_dim, got {width!r}")
    batched = isinstance(features, SeedModule)
    linear, layers = (SeedLinear if batched else torch.nn.Linear), [features]
    for outputs in net_arch:
        layers += [linear(width, outputs), torch.nn.ReLU()]
        width = outputs
    return (SeedSequential if batched else torch.nn.Sequential)(*layers, linear(width, n_out))
