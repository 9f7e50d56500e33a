"""A small transformer over a window, of seed-batched layers: it runs for all seeds as it is.

Axis letters: S seeds, B batch, D observation, T rows of the window, F features, R more numbers, E width, A outputs.
"""

import torch
from torch.nn.functional import scaled_dot_product_attention

from agents.nn.examples.window import Window
from agents.nn.layers import SeedLayerNorm, SeedLinear, SeedModule


class Block(SeedModule):
    """Attention of every row to all rows, then a perceptron, each on normalised inputs and added to them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = SeedLayerNorm(width), SeedLayerNorm(width)
        self.attend, self.mix = SeedLinear(width, 3 * width), SeedLinear(width, width)
        self.up, self.down = SeedLinear(width, 2 * width), SeedLinear(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape as x [S, B, T, E]."""
        parts = self.attend(self.before(x)).chunk(3, -1)  # [S, B, T, E] each
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(2, 3) for part in parts)
        seen = scaled_dot_product_attention(query, key, value)  # [S, B, heads, T, E / heads]
        x = x + self.mix(seen.transpose(2, 3).flatten(-2))  # [S, B, T, E]
        out: torch.Tensor = x + self.down(torch.relu(self.up(self.between(x))))  # [S, B, T, E]
        return out


class Transformer(SeedModule):
    """Outputs from the newest row of a window, once it has attended to the others, and the other numbers.

        network = functools.partial(Transformer, window=30, rest=4)

    Args:
        obs_size: D.
        n_out: A.
        window: T.
        rest: R, numbers after the window: 4 in TradingEnv.
        width: E.
        heads: Heads of the attention, which divide E.
        depth: Blocks.
    """

    def __init__(
        self, obs_size: int, n_out: int, window: int, rest: int = 0, width: int = 16, heads: int = 2, depth: int = 1
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads={heads}, got {width}")
        self.window = Window.of(obs_size, window, rest)
        self.embed = SeedLinear(self.window.features, width)
        self.position = torch.nn.Parameter(0.02 * torch.randn(1, 1, window, width))
        self.blocks = torch.nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = SeedLayerNorm(width)
        self.head = SeedLinear(width + rest, n_out)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Outputs [S, B, A] for obs [S, B, D]."""
        rows, rest = self.window.split(obs)  # [S, B, T, F], [S, B, R]
        x = self.embed(rows) + self.position  # [S, B, T, E]
        for block in self.blocks:
            x = block(x)
        newest = self.norm(x[:, :, -1])  # [S, B, E]
        out: torch.Tensor = self.head(torch.cat((newest, rest), -1))
        return out
