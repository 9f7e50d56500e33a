"""The agents certified on each problem: budgets, hyperparameters, and the scores to reach.

Budgets and hyperparameters were chosen on other training seeds than those of the certificate: those of our agents on
regime and moody-saffell at other parameters and paths (`benchmarks.tasks.families`), the others on the test paths that
there were then, which are still those of all problems but regime, drift and null.
"""

from __future__ import annotations

from typing import Any

from benchmarks.tasks.problems import Entry

PUBLISHED_DDPG = 1242.03 / 4998  # mean reward per step of the best published DDPG, a checkpoint chosen on the test
FILTER_STEPS = 740_000  # 74 candidates on ten episodes of 1,000 steps; those of the regime have 200

_REGIME_PPO = {
    "learning_rate": "lin_1e-3",
    "n_steps": 128,
    "batch_size": 256,
    "gamma": 0.9,
    "gae_lambda": 0.9,
    "normalize_reward": True,
    "ent_coef": "lin_0.05",
}
_REGIME_A2C = {
    "learning_rate": "lin_1e-3",
    "gamma": 0.9,
    "normalize_advantage": True,
    "normalize_reward": True,
    "ent_coef": "lin_0.1",
}
_REGIME_REINFORCE = {"learning_rate": "lin_3e-3", "gamma": 0.9, "ent_coef": "lin_0.3"}
_SB3_PPO = {"learning_rate": "lin_1e-3", "n_steps": 128, "batch_size": 256, "gamma": 0.9, "gae_lambda": 0.9}
_SB3_A2C = {"learning_rate": "lin_1e-3", "gamma": 0.9, "normalize_advantage": True}
_SB3_DQN: dict[str, Any] = {
    "learning_rate": "lin_1e-3",
    "gamma": 0.9,
    "batch_size": 128,
    "learning_starts": 500,
    "train_freq": 1,
    "target_update_interval": 200,
    "exploration_fraction": 0.5,
}
_REGIME_DQN: dict[str, Any] = {**_SB3_DQN, "normalize_reward": True, "target_update_interval": 400}
_ALL_ACTIONS: dict[str, Any] = {
    "learning_rate": "lin_2e-3",
    "learning_starts": 1_000,
    "train_freq": 1,
    "batch_size": 64,
    "max_grad_norm": 1e6,
    "loss": "mse",
    "exploration_fraction": 0.8,
    "exploration_final_eps": 0.2,
}
_CFM_PPO: dict[str, Any] = {
    "learning_rate": "lin_1e-3",
    "n_steps": 64,
    "batch_size": 256,
    "n_epochs": 10,
    "gamma": 0.95,
    "gae_lambda": 0.9,
    "log_std_init": -1.0,
}
_CFM_SAC: dict[str, Any] = {
    "learning_rate": "lin_2e-3",
    "batch_size": 512,
    "gamma": 0.95,
    "learning_starts": 2_000,
    "ent_coef": "auto_0.1",
    "tau": 0.01,
    "net_arch": (64, 64),
}
_TREND_PPO: dict[str, Any] = {
    "learning_rate": "lin_1e-3",
    "n_steps": 64,
    "batch_size": 512,
    "gamma": 0.9,
    "gae_lambda": 0.9,
}

_TREND_LSTM: dict[str, Any] = {
    "learning_rate": "lin_3e-3",
    "n_steps": 32,
    "gamma": 0.95,
    "ent_coef": "lin_0.6",
    "normalize_advantage": True,
    "normalize_reward": True,
    "lstm_size": 32,
}
_TREND_LSTM_PPO: dict[str, Any] = {**_TREND_PPO, "policy_kwargs": {"lstm_hidden_size": 32}}
_TREND_LSTM_DQN: dict[str, Any] = {
    "learning_rate": "lin_2e-3",
    "buffer_size": 100_000,
    "batch_size": 32,
    "train_freq": 1,
    "gamma": 0.95,
    "normalize_reward": True,
    "target_update_interval": 1_600,
    "exploration_fraction": 0.5,
    "exploration_final_eps": 0.1,
    "lstm_size": 32,
}
_KELLY_PPO: dict[str, Any] = {
    "learning_rate": "lin_1e-3",
    "n_steps": 128,
    "batch_size": 1024,
    "n_epochs": 10,
    "gamma": 0.0,  # returns are independent and trading is free: what is best for a bar is best
    "gae_lambda": 0.0,
    "log_std_init": -2.0,
}
_KELLY_A2C: dict[str, Any] = {
    "learning_rate": "lin_5e-4",
    "n_steps": 16,
    "gamma": 0.0,
    "gae_lambda": 0.0,
    "normalize_advantage": True,
    "ent_coef": "lin_0.03",  # without it, a weight that falls below 0, where actions are clipped, may never return
    "log_std_init": -1.5,
}
_GP_PPO: dict[str, Any] = {**_CFM_PPO, "n_steps": 256, "batch_size": 1024}

ENTRIES: tuple[Entry, ...] = (
    Entry("regime", "DQN", "ours", 60_000, 4, _REGIME_DQN, goal=0.99),
    Entry("regime", "A2C", "ours", 64_000, 8, _REGIME_A2C, goal=0.99),
    Entry("regime", "PPO", "ours", 64_000, 8, _REGIME_PPO, goal=0.99),
    Entry("regime", "REINFORCE", "ours", 240_000, 8, _REGIME_REINFORCE, goal=0.99),
    Entry(
        *("regime", "TDLambda", "ours", 80_000, 4),
        {
            "learning_rate": "lin_0.03",
            "gamma": 0.8,
            "loss_column": -1,
            "clip_obs": 1.0,
            "exploration_final_eps": 0.02,
            "net_arch": (256,),
        },
        goal=0.99,
    ),
    Entry("regime", "FilterRule", "structural", FILTER_STEPS // 5),
    Entry("regime", "DQN", "sb3", 60_000, 1, _SB3_DQN),
    Entry("regime", "A2C", "sb3", 64_000, 8, _SB3_A2C),
    Entry("regime", "PPO", "sb3", 64_000, 8, _SB3_PPO),
    Entry("drift", "PPO", "ours", 16_000, 8, _REGIME_PPO),
    Entry("drift", "A2C", "ours", 40_000, 8, _REGIME_A2C),
    Entry("drift", "PPO", "sb3", 16_000, 8, _SB3_PPO),
    Entry("null", "DQN", "ours", 20_000, 1, _REGIME_DQN),
    Entry("null", "A2C", "ours", 40_000, 8, _REGIME_A2C),
    Entry("null", "PPO", "ours", 40_000, 8, _REGIME_PPO),
    Entry("null", "PPO", "sb3", 40_000, 8, _SB3_PPO),
    Entry(
        *("ritter", "QLearning", "ours", 10_000_000, 100),
        {
            "learning_rate": 1e-3,
            "gamma": 0.999,
            "exploration_initial_eps": 0.1,
            "exploration_final_eps": 0.1,
        },
        goal=0.6,
        note="his settings",
    ),
    Entry(
        *("ritter", "CounterfactualDQN", "ours", 200_000, 4),
        {**_ALL_ACTIONS, "gamma": 0.9, "buffer_size": 200_000, "target_update_interval": 500},
        goal=0.95,
        keywords={"observation": "box"},
    ),
    Entry(
        *("cfm-linear", "CounterfactualDQN", "ours", 280_000, 4),
        {**_ALL_ACTIONS, "gamma": 0.99, "adam_eps": 1e-4, "target_update_interval": 1_000},
        goal_reward=PUBLISHED_DDPG,
    ),
    Entry("cfm-linear", "PPO", "ours", 200_000, 16, {**_CFM_PPO, "gamma": 0.99}),
    Entry("cfm-linear", "PPO", "sb3", 200_000, 16, {**_CFM_PPO, "gamma": 0.99}),
    Entry(
        *("cfm-max-position", "CounterfactualDQN", "ours", 100_000, 4),
        {**_ALL_ACTIONS, "gamma": 0.99, "adam_eps": 1e-4, "target_update_interval": 1_000},
    ),
    Entry("cfm-max-position", "PPO", "ours", 100_000, 16, {**_CFM_PPO, "gamma": 0.99}),
    Entry("cfm-max-position", "PPO", "sb3", 100_000, 16, {**_CFM_PPO, "gamma": 0.99}),
    Entry("cfm-quadratic", "PPO", "ours", 100_000, 16, _CFM_PPO, goal=0.97),
    Entry("cfm-quadratic", "SAC", "ours", 80_000, 16, _CFM_SAC, goal=0.97),
    Entry("cfm-quadratic", "PPO", "sb3", 100_000, 16, _CFM_PPO),
    Entry("cfm-quadratic", "SAC", "sb3", 80_000, 16, _CFM_SAC),
    Entry(
        *("moody-saffell", "CounterfactualDQN", "ours", 100_000, 4),
        {**_ALL_ACTIONS, "learning_rate": "lin_1e-3", "gamma": 0.9, "batch_size": 128, "target_update_interval": 500},
        goal=0.9,
        keywords={"window": 20},
        note="window of 20",
    ),
    Entry(
        *("moody-saffell", "CounterfactualDQN", "ours", 100_000, 4),
        {**_ALL_ACTIONS, "learning_rate": "lin_1e-3", "gamma": 0.9, "batch_size": 128, "target_update_interval": 500},
        note="no memory",
    ),
    Entry("moody-saffell", "RecurrentA2C", "ours", 2_400_000, 16, _TREND_LSTM, goal=0.9),
    Entry("moody-saffell", "RecurrentDQN", "ours", 80_000, 32, _TREND_LSTM_DQN, goal=0.9),
    Entry("moody-saffell", "FilterRule", "structural", FILTER_STEPS),
    Entry("moody-saffell", "RecurrentPPO", "sb3", 100_000, 16, _TREND_LSTM_PPO),
    Entry("moody-saffell", "PPO", "ours", 100_000, 16, _TREND_PPO, note="no memory"),
    Entry("moody-saffell", "PPO", "sb3", 100_000, 16, _TREND_PPO, note="no memory"),
    Entry("moody-saffell", "PPO", "sb3", 100_000, 16, _TREND_PPO, keywords={"window": 20}, note="window of 20"),
    Entry(
        *("regime-hidden", "CounterfactualDQN", "ours", 3_000_000, 128),
        {
            **_ALL_ACTIONS,
            "learning_rate": "lin_1e-3",
            "gamma": 0.98,
            "batch_size": 1024,
            "buffer_size": 200_000,
            "learning_starts": 20_000,
            "train_freq": 2,
            "exploration_final_eps": 0.3,
            "target_update_interval": 25_600,
            "net_arch": (32,),
        },
        goal=0.9,
        keywords={"window": 60},
        note="window of 60",
    ),
    Entry("kelly", "PPO", "ours", 300_000, 16, _KELLY_PPO, goal=0.99),
    Entry("kelly", "A2C", "ours", 1_000_000, 64, _KELLY_A2C, goal=0.99),
    Entry("kelly", "PPO", "sb3", 300_000, 16, _KELLY_PPO, goal=0.99),
    Entry("garleanu-pedersen", "PPO", "ours", 300_000, 16, _GP_PPO, goal=0.97),
    Entry("garleanu-pedersen", "PPO", "sb3", 300_000, 16, _GP_PPO, goal=0.97),
)

QUICK: dict[tuple[str, str], int] = {
    ("regime", "A2C"): 20_000,
    ("regime", "PPO"): 16_000,
    ("regime", "REINFORCE"): 40_000,
    ("regime", "TDLambda"): 40_000,
    ("drift", "PPO"): 16_000,
    ("null", "PPO"): 16_000,
    ("ritter", "CounterfactualDQN"): 20_000,
    ("cfm-quadratic", "PPO"): 60_000,
    ("moody-saffell", "CounterfactualDQN, window of 20"): 20_000,
}
"""Problems and entries of the quick form, with their steps per seed."""
