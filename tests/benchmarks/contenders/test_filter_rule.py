"""A filter with thresholds, chosen on training episodes."""

from functools import partial

import gymnasium as gym
import numpy as np

from benchmarks.contenders.filter_rule import EPISODES, FilterRule, candidates, train
from benchmarks.study.certificates.certified import optimal_rewards, path_rewards
from benchmarks.tasks.entries import FILTER_STEPS
from benchmarks.tasks.problems import PROBLEMS


def test_the_rule_is_long_above_short_below_and_holds_between():
    rule = FilterRule(np.array([[0.5, 1.0, -1.0]]), 3)
    signals, state, actions = [0.5, 1.0, -1.0, -2.0, 0.0, 4.0], None, []
    for signal in signals:  # levels 0.5, 1.25, -0.375, -2.19, -1.09, 3.45
        action, state = rule.predict(np.array([[signal, 9.0]]), state)
        actions.append(int(action[0]))
    assert actions == [1, 2, 2, 0, 0, 2]
    out = FilterRule(np.array([[0.5, 1.0, -1.0]]), 2).predict(np.array([[-9.0, 0.0]]))[0]
    assert out.tolist() == [0]  # where it cannot be short


def test_each_seed_has_its_own_numbers():
    rule = FilterRule(np.array([[0.0, 1.0, -1.0], [0.0, 3.0, -3.0]]), 3)
    action, _ = rule.predict(np.full((2, 4, 2), 2.0))
    assert action.tolist() == [[2] * 4, [1] * 4]


def test_the_steps_of_the_training_are_counted():
    assert len(candidates()) * EPISODES * 1000 == FILTER_STEPS


def test_the_rule_is_near_the_optimum_of_a_hidden_trend_and_beats_following_each_return():
    problem = PROBLEMS["moody-saffell"]
    spec = gym.make(problem.env_id, **{**problem.keywords, "n_steps": 300}).spec
    trained = train(spec, [3, 4], partial(path_rewards, problem=problem), 1)
    optimal = optimal_rewards("moody-saffell").mean()
    shares = trained.points.scores[0].mean(1) / optimal
    assert (shares > 0.9).all()
    naive = FilterRule(np.array([[0.0, 0.0, 0.0]]), 3)
    assert path_rewards(naive, problem, 1).mean() / optimal < 0.5
