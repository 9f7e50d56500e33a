"""Answers to arguments that an agent does not take: what they are called here, or why they have no meaning.

They cover the constructor arguments of Stable-Baselines3's DQN, A2C, PPO, SAC and TD3, of sb3-contrib's QRDQN,
and common names of other libraries.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

RENAMED = {  # there: here, or several names, of which an agent has one
    "activation_fn": ("activation",),
    "alpha": ("learning_rate",),
    "clip_coef": ("clip_range",),
    "discount": ("gamma",),
    "discount_factor": ("gamma",),
    "ent_weight": ("ent_coef",),
    "entropy_coef": ("ent_coef",),
    "env_id": ("env",),
    "environment": ("env",),
    "epsilon": ("exploration_initial_eps",),
    "hidden_size": ("lstm_size", "net_arch"),
    "hidden_sizes": ("net_arch", "lstm_size"),
    "lam": ("gae_lambda", "trace_decay", "q_lambda"),
    "lr": ("learning_rate",),
    "lr_schedule": ("learning_rate",),
    "memory_size": ("buffer_size",),
    "minibatch_size": ("batch_size",),
    "num_envs": ("n_envs",),
    "num_seeds": ("seeds",),
    "n_seeds": ("seeds",),
    "num_steps": ("n_steps",),
    "target_network_frequency": ("target_update_interval",),
    "target_update_freq": ("target_update_interval",),
    "update_epochs": ("n_epochs",),
}
OF_LEARN = ("total_timesteps", "callback", "progress_bar", "reset_num_timesteps", "log_interval")
INSTEAD = {
    "policy": "there is no policy class, net_arch, lstm_size or network makes the networks",
    "policy_kwargs": (
        "its net_arch and activation_fn are the hyperparameters net_arch=(64, 64) and activation='relu', its "
        "n_quantiles is one too; "
        "a features extractor is features_extractor, and one that learns is part of network"
    ),
    "seed": "here it is seeds: seeds=[{value}] is the run of this one seed, seeds=4 are the runs of the seeds 0 to 3",
    "use_sde": "there is no state-dependent exploration; log_std_init sets the deviation of Box actions",
    "sde_sample_freq": "there is no state-dependent exploration",
    "use_sde_at_warmup": "there is no state-dependent exploration",
    "action_noise": "exploration is the algorithm's own; TD3 takes a standard deviation",
    "replay_buffer_class": "the transitions of all seeds are stored in one replay memory; buffer_size sets its size",
    "replay_buffer_kwargs": "the transitions of all seeds are stored in one replay memory; buffer_size sets its size",
    "optimize_memory_usage": (
        "every transition stores its next observation; a smaller buffer_size, or compact observations with "
        "features_extractor, saves memory"
    ),
    "rollout_buffer_class": "the rollouts of all seeds are one array, of n_steps steps",
    "rollout_buffer_kwargs": "the rollouts of all seeds are one array, of n_steps steps",
    "stats_window_size": "reports cover the last 100 episodes of each seed",
    "tb_log_name": "tensorboard_log is the folder, in which each seed is a run",
    "counterfactual": "it is an agent of its own, CounterfactualDQN",
    "double_q": "it is part of an agent of its own, Rainbow",
    "dueling": "it is part of an agent of its own, Rainbow",
    "prioritized_replay": "it is part of an agent of its own, Rainbow",
    "_init_setup_model": "an agent is always ready once it is made",
}
ONLY_OF = {
    "exploration_fraction": "DQN",
    "exploration_initial_eps": "DQN",
    "exploration_final_eps": "DQN",
    "target_update_interval": "DQN and SAC",
    "buffer_size": "DQN, SAC and TD3",
    "learning_starts": "DQN, SAC and TD3",
    "train_freq": "DQN, SAC and TD3",
    "gradient_steps": "DQN, SAC and TD3",
    "tau": "DQN, SAC and TD3",
    "batch_size": "DQN, PPO, SAC and TD3",
    "n_epochs": "PPO",
    "clip_range": "PPO",
    "clip_range_vf": "PPO",
    "target_kl": "PPO",
    "gae_lambda": "A2C and PPO",
    "ent_coef": "A2C, PPO and SAC",
    "vf_coef": "A2C and PPO",
    "normalize_advantage": "A2C and PPO",
    "use_rms_prop": "A2C",
    "rms_prop_eps": "A2C",
    "n_steps": "A2C, PPO and DQN",
    "target_entropy": "SAC",
    "n_quantiles": "QRDQN",
    "q_lambda": "PQN",
    "risk": "QRDQN",
    "policy_delay": "TD3",
    "target_policy_noise": "TD3",
    "target_noise_clip": "TD3",
}


def answer(name: str, value: Any, known: Sequence[str]) -> str:
    """What to write instead of the keyword `name`, which an agent with the keywords `known` does not take."""
    here = next((ours for ours in RENAMED.get(name, ()) if ours in known), None)
    if here is not None:
        return f"here it is {here!r}"
    if name in OF_LEARN:
        return f"it goes to learn(..., {name}={value!r})" if name != OF_LEARN[0] else f"it goes to learn({value!r})"
    if name in INSTEAD:
        return INSTEAD[name].format(value=value)
    close = difflib.get_close_matches(name, known, 1)
    if name in ONLY_OF:
        return f"it is a hyperparameter of {ONLY_OF[name]}"
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"


def check_arguments(name: str, known: Sequence[str], arguments: Sequence[Any], keywords: Mapping[str, Any]) -> None:
    """Checks the arguments of the constructor of `name`, before Python does, to say what to write instead.

    Raises:
        TypeError: If there is more than the env without a name, or a keyword that is not among `known`.
    """
    if arguments and (_is_policy(arguments[0]) or "env" in keywords):
        raise TypeError(f"{name}: the first argument is the env, got {arguments[0]!r}: {INSTEAD['policy']}")
    if len(arguments) > 1:
        raise TypeError(
            f"{name} takes only the env without a name, got {arguments[1]!r} too: write {name}(env, learning_rate=...)"
        )
    for keyword, value in keywords.items():
        if keyword not in known:
            raise TypeError(f"{name} got an unexpected keyword argument {keyword!r}: {answer(keyword, value, known)}")


def _is_policy(value: Any) -> bool:
    """True for "MlpPolicy" and other policies of Stable-Baselines3, by name or as a class."""
    name = value if isinstance(value, str) else value.__name__ if isinstance(value, type) else ""
    return name.endswith("Policy")
