"""Lab 4: DQN, and reinforcement learning in trading."""
