"""Stable-Baselines3 on our envs (extra ``sb3``): see `trading_env.integrations.sb3`."""

from trading_env.integrations.kept_config import keep_env_config
from trading_env.integrations.sb3 import CompactExtractor, TradingVecEnv, look_at

__all__ = ["CompactExtractor", "TradingVecEnv", "keep_env_config", "look_at"]
