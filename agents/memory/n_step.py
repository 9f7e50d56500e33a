"""Transitions of n steps, assembled from single steps when they are sampled.

So the replay memory stores single steps, and needs no queue.

Axis letters: S seeds, N envs per seed, B batch, C capacity, D observation, A numbers per action.
"""

from typing import Any

from agents.common.compiled import compiled


@compiled
def gather_n_steps(
    rows: Any,
    slots: Any,
    oldest: int,
    size: int,
    n_envs: int,
    n_steps: int,
    gamma: float,
    obs: Any,
    next_obs: Any,
    action: Any,
    reward: Any,
    continues: Any,
) -> None:
    """Writes the transitions that begin in `slots`, each at most `n_steps` long.

    The k-th row after the oldest is of env k % N, so that an env's next row lies N further in the ring. A chain is
    shorter where its episode ends, and where the memory does. From its last row it takes next_obs and

        reward_0 + gamma * reward_1 + ... + gamma^(k-1) * reward_(k-1),
        continues = 0 if that row terminated, else gamma^(k-1).

    Args:
        rows: The ring, [S, C, 2D + A + 2], see `agents.memory.replay`.
        slots: Where to begin, [S, B].
        oldest: Slot of the oldest row.
        size: How many rows are stored.
        n_envs: N.
        n_steps: Most steps of a transition.
        gamma: Discount factor.
        obs: Output, [S, B, D].
        next_obs: Output, [S, B, D].
        action: Output, [S, B, A].
        reward: Output, [S, B].
        continues: Output, [S, B].
    """
    S, B, D = obs.shape
    C, A = rows.shape[1], action.shape[2]
    at_reward, at_end = 2 * D + A, 2 * D + A + 1
    for s in range(S):
        for b in range(B):
            at = slots[s, b]
            row = rows[s, at]
            for i in range(D):
                obs[s, b, i] = row[i]
            for a in range(A):
                action[s, b, a] = row[2 * D + a]
            age, total, discount = (at - oldest) % C, float(row[at_reward]), 1.0
            for _ in range(1, n_steps):
                age += n_envs
                if row[at_end] != 0.0 or age >= size:
                    break
                at = (at + n_envs) % C
                row = rows[s, at]
                discount *= gamma
                total += discount * row[at_reward]
            for i in range(D):
                next_obs[s, b, i] = row[D + i]
            reward[s, b] = total
            continues[s, b] = 0.0 if row[at_end] == 1.0 else discount
