"""The reference environments as Gymnasium wants them: checkers, parity, seeds, autoreset, what-if, errors."""

import itertools
import json
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from trading_env.reference.cfm import QUARTER_TRADES, CFMEnv
from trading_env.reference.garleanu_pedersen import GarleanuPedersenEnv
from trading_env.reference.kelly import KellyEnv
from trading_env.reference.markets import DriftEnv, NullEnv, RegimeObservedEnv
from trading_env.reference.moody_saffell import MoodySaffellEnv
from trading_env.reference.regime import RegimeEnv
from trading_env.reference.ritter import RitterEnv

N = 5
CASES = {
    "CFMLinear": {"n_bars": 12},
    "CFMMaxPosition": {"n_bars": 12, "actions": (-4.0, -2.0, 0.0, 2.0, 4.0)},
    "CFMQuadratic": {"n_bars": 12, "actions": QUARTER_TRADES},
    "GarleanuPedersen": {"n_steps": 10},
    "Ritter": {"n_steps": 10},
    "MoodySaffell": {"n_steps": 10, "window": 3},
    "RegimeHidden": {"n_steps": 10},
    "RegimeAdditive": {"n_steps": 10},
    "RegimeObserved": {"episode_length": 10},
    "Null": {"episode_length": 10},
    "Drift": {"episode_length": 10},
    "Kelly": {"episode_length": 10, "n_paths": 3, "n_bars": 60},
}
OWN = [name for name in CASES if name not in ("RegimeObserved", "Null", "Drift", "Kelly")]
MORE = [(name, {}) for name in CASES] + [("Ritter", {"observation": "box"}), ("MoodySaffell", {"observed": True})]


def id_of(name):
    return f"trading_env:reference/{name}-v0"


def test_ids_work_with_and_without_the_module():
    for name in CASES:
        assert gym.spec(f"reference/{name}-v0").vector_entry_point is not None
    assert isinstance(gym.make("trading_env:reference/Ritter-v0").unwrapped, RitterEnv)
    assert isinstance(gym.make("reference/CFMQuadratic-v0").unwrapped, CFMEnv)


@pytest.mark.parametrize(("name", "keywords"), MORE)
def test_the_env_checkers_pass_without_a_warning(name, keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings(
            "ignore", "We recommend you to use a symmetric and normalized Box"
        )  # not a long-only one
        check_env(gym.make(id_of(name), **keywords).unwrapped)
        check_env_sb3(gym.make(id_of(name), **keywords))


@pytest.mark.parametrize(("name", "keywords"), MORE)
def test_the_meaning_is_plain_json_and_the_same_in_the_vector_env(name, keywords):
    meaning = gym.make(id_of(name), **keywords).unwrapped.env_config["meaning"]
    assert json.loads(json.dumps(meaning)) == meaning
    assert gym.make_vec(id_of(name), 2, "vector_entry_point", **keywords).unwrapped.env_config["meaning"] == meaning


@pytest.mark.parametrize(
    ("name", "learnt", "other", "refused"),
    [
        ("MoodySaffell", {"window": np.int64(2)}, {"cost": 0.005, "window": 2}, None),
        ("RegimeHidden", {"window": 1}, {"observed": True}, "observed"),
        ("CFMLinear", {"actions": (-4.0, 0.0, 4.0)}, {"actions": (4.0, 0.0, -4.0)}, "actions"),
        ("CFMLinear", {"actions": (-4.0, 4.0), "limit": 8.0}, {"actions": (-4.0, 4.0)}, None),
        ("CFMQuadratic", {"max_trade": 4.0}, {"max_trade": 2.0}, "largest_trade"),
        ("CFMQuadratic", {"limit": 3.0, "psi": 2.0}, {"limit": 3.0, "theta": 0.2}, None),
        ("Ritter", {"observation": "box"}, {"observation": "box", "lot": 50.0}, "lot"),
        ("Ritter", {"observation": "box", "impact": 0.0}, {"observation": "box", "half_life": 9.0}, None),
    ],
)
def test_the_meaning_differs_where_the_same_numbers_mean_something_else_and_only_there(name, learnt, other, refused):
    meanings = [gym.make(id_of(name), **keywords).unwrapped.env_config["meaning"] for keywords in (learnt, other)]
    if refused is None:
        assert meanings[0] == meanings[1]
    else:
        assert [key for key in meanings[0] if meanings[0][key] != meanings[1][key]] == [refused]


@pytest.mark.filterwarnings("ignore:.*render_mode='rgb_array'")  # which SB3 asks for first
@pytest.mark.parametrize("name", CASES)
def test_stable_baselines3_makes_the_envs_by_id(name):
    env = make_vec_env(f"reference/{name}-v0", n_envs=2, seed=0, env_kwargs=CASES[name])
    env.reset()
    assert env.step([env.action_space.sample()] * 2)[1].shape == (2,)
    assert PPO("MlpPolicy", id_of(name), n_steps=8, batch_size=8).get_env().num_envs == 1


@pytest.mark.parametrize(("name", "keywords"), MORE)
def test_a_spec_read_back_from_json_makes_the_same_env(name, keywords):
    spec = gym.make(id_of(name), **keywords).spec
    first, again = gym.make(spec), gym.make(EnvSpec.from_json(spec.to_json()))
    np.testing.assert_array_equal(first.reset(seed=3)[0], again.reset(seed=3)[0])
    action = first.action_space.sample()
    np.testing.assert_equal(first.step(action), again.step(action))


def assert_same(a, b, where):
    if isinstance(a, dict):
        assert {key for key in a if key[0] != "_"} == {key for key in b if key[0] != "_"}, where
        for key in a:
            assert_same(a[key], b[key], (*where, key))
    elif isinstance(a, np.ndarray) and a.dtype == object:
        for x, y in zip(a, b, strict=True):
            assert (x is None) == (y is None)
            np.testing.assert_array_equal(x, y, err_msg=str(where))
    else:
        np.testing.assert_array_equal(a, b, err_msg=str(where), strict=True)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("name", CASES)
def test_native_vector_env_equals_sync_vector_env(name, mode):
    native = gym.make_vec(id_of(name), num_envs=N, autoreset_mode=mode, **CASES[name])
    sync = gym.vector.SyncVectorEnv([lambda: gym.make(id_of(name), **CASES[name])] * N, autoreset_mode=mode)
    assert native.metadata["independent_sub_envs"]
    assert native.metadata["autoreset_mode"] == mode
    assert native.single_observation_space == sync.single_observation_space
    assert native.action_space == sync.action_space
    assert_same(native.reset(seed=[4, 9, 9, 1, 70])[0], sync.reset(seed=[4, 9, 9, 1, 70])[0], ("reset",))
    native.action_space.seed(0)
    ends = np.zeros(N, int)
    for t in range(40):
        if t == 4 and name in OWN:  # from here on the sub-envs end apart
            mask = np.array([True, False, False, True, False])
            ours, theirs = native.reset(options={"reset_mask": mask}), sync.reset(options={"reset_mask": mask})
            assert_same(ours[0], theirs[0], (t, "reset"))
            continue
        actions = native.action_space.sample()
        step, sync_step = native.step(actions), sync.step(actions)
        for part, a, b in zip(("obs", "reward", "terminated", "truncated"), step[:4], sync_step[:4], strict=True):
            assert_same(a, b, (t, part))
        for key in ("position", "cost", "noise_seed", "t") if name in OWN else ("equity", "bar"):
            assert_same(step[4][key], sync_step[4][key], (t, key))
        assert ("final_obs" in step[4]) == ("final_obs" in sync_step[4])
        if "final_obs" in step[4]:
            for key in ("final_obs", "_final_obs", "_final_info"):
                assert_same(step[4][key], sync_step[4][key], (t, key))
            for key in ("position", "noise_seed", "t") if name in OWN else ("equity",):
                assert_same(step[4]["final_info"][key], sync_step[4]["final_info"][key], (t, "final_info", key))
        assert native.observation_space.contains(step[0])
        ends += step[2] | step[3]
    assert ends.min() >= 2


@pytest.mark.parametrize("name", OWN)
def test_a_noise_seed_reproduces_the_path(name):
    env = gym.make(id_of(name), **CASES[name])

    def episode(action, **keywords):
        obs, info = env.reset(**keywords)
        return [info["noise_seed"], obs, *(env.step(action)[:2] for _ in range(5))]

    action = env.action_space.sample()
    first = episode(action, seed=8)
    other = episode(action)
    assert first[0] != other[0]
    np.testing.assert_equal(episode(action, options={"noise_seed": first[0]}), first)
    np.testing.assert_equal(episode(action, seed=8), first)


@pytest.mark.parametrize("name", OWN)
def test_reset_restores_everything_and_an_ended_episode_wants_one(name):
    env = gym.make(id_of(name), **CASES[name]).unwrapped
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())
    env.action_space.seed(1)
    start = env.reset(seed=2, options={"noise_seed": 7})
    for t in range(1, 11):
        _, _, terminated, truncated, info = env.step(env.action_space.sample())
        assert not terminated
        assert truncated == (t == 10)
        assert info["t"] == t
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())
    np.testing.assert_equal(env.reset(options={"noise_seed": 7}), start)


@pytest.mark.parametrize("name", [name for name in OWN if name not in ("CFMLinear", "GarleanuPedersen")])
def test_counterfactual_holds_what_each_action_would_have_given(name):
    keywords = CASES[name]
    env = gym.make(id_of(name), **keywords).unwrapped
    n_actions = env.action_space.n
    env.reset(options={"noise_seed": 3})
    for action in (n_actions - 1, 1, 0, n_actions - 1):
        env.step(action)
    reward, obs = env.counterfactual()
    assert reward.shape == (n_actions,)
    for action in range(n_actions):
        env.reset(options={"noise_seed": 3})
        for earlier in (n_actions - 1, 1, 0):
            env.step(earlier)
        after = env.afterstates()[action]
        next_obs, got, *_ = env.step(action)
        np.testing.assert_array_equal(obs[action], next_obs)
        assert reward[action] == got
        if np.ndim(after):
            assert after[-1] == next_obs[-1]  # the position is there at once
    vector = gym.make_vec(id_of(name), num_envs=2, **keywords)
    vector.reset(options={"noise_seed": np.array([3, 4])})
    for action in (n_actions - 1, 1, 0, n_actions - 1):
        vector.step(np.array([action, action]))
    all_rewards, all_obs = vector.counterfactual()
    np.testing.assert_array_equal(all_rewards[0], reward)
    np.testing.assert_array_equal(all_obs[0], obs)
    assert vector.afterstates().shape == all_obs.shape


def test_counterfactual_of_same_step_autoreset_shows_the_step_and_not_the_reset():
    keywords = {"n_steps": 2, "observation": "box"}
    env = gym.make_vec(id_of("Ritter"), num_envs=2, autoreset_mode="same_step", **keywords)
    env.reset(seed=0)
    env.step(np.array([10, 10]))
    _, reward, _, truncated, info = env.step(np.array([10, 0]))
    assert truncated.all()
    rewards, obs = env.counterfactual()
    np.testing.assert_array_equal(rewards[[0, 1], [10, 0]], reward)
    np.testing.assert_array_equal(obs[0, 10], info["final_obs"][0])


@pytest.mark.parametrize(("name", "keywords"), MORE)
def test_the_optimal_policy_predicts_as_stable_baselines3_does(name, keywords):
    keywords = {**CASES[name], **keywords}
    env = gym.make(id_of(name), **keywords)
    policy = env.unwrapped.optimal_policy()
    mean, _ = evaluate_policy(policy, env, n_eval_episodes=2, warn=False)
    assert np.isfinite(mean)
    vector = gym.make_vec(id_of(name), num_envs=3, **keywords)
    obs, _ = vector.reset(seed=0)
    actions, state = policy.predict(obs, None, np.ones(3, bool))
    assert vector.action_space.contains(actions.astype(vector.action_space.dtype))
    again, _ = policy.predict(obs[0])
    np.testing.assert_array_equal(again, actions[0])
    moved, _ = policy.predict(vector.step(actions)[0], state)
    assert moved.shape == actions.shape


def test_a_filter_starts_anew_where_an_episode_does():
    policy = MoodySaffellEnv(window=2, cost=0.0).optimal_policy()
    rng = np.random.default_rng(0)
    obs = np.column_stack([rng.normal(size=(6, 2, 2)).reshape(12, 2), np.zeros(12)]).reshape(6, 2, 3)
    state = None
    for t in range(6):
        _, state = policy.predict(obs[t], state, np.array([t == 0, t in (0, 4)]))
    alone = None
    for t in range(4, 6):
        _, alone = policy.predict(obs[t, 1], alone)
    np.testing.assert_allclose(state[1], alone[0])


WRONG = [
    (CFMEnv, {"cost": "cubic"}, ValueError, "cost"),
    (CFMEnv, {"theta": 2.0}, ValueError, "theta"),
    (CFMEnv, {"psi": -1.0}, ValueError, "psi"),
    (CFMEnv, {"limit": 0.0}, ValueError, "limit"),
    (CFMEnv, {"actions": "discrete"}, ValueError, "actions"),
    (CFMEnv, {"actions": (0.0, 0.0)}, ValueError, "actions"),
    (CFMEnv, {"actions": (0.0, 1.0), "max_trade": 2.0}, ValueError, "max_trade"),
    (CFMEnv, {"n_bars": 2}, ValueError, "n_bars"),
    (CFMEnv, {"unknown": 2}, TypeError, "unknown"),
    (GarleanuPedersenEnv, {"S": [[1.0, 2.0], [2.0, 1.0]]}, ValueError, "S must be symmetric and positive definite"),
    (GarleanuPedersenEnv, {"S": [[1.0, 0.1], [0.2, 1.0]]}, ValueError, "S must be symmetric"),
    (GarleanuPedersenEnv, {"Omega": [[-1.0, 0.0], [0.0, 1.0]]}, ValueError, "Omega must be symmetric"),
    (GarleanuPedersenEnv, {"Phi": [[0.0, 0.0], [0.0, 0.1]]}, ValueError, "Phi must make the factors stationary"),
    (GarleanuPedersenEnv, {"Phi": 0.1}, ValueError, r"Phi must be 2 x 2, since B is 2 x 2 .* got shape \(1, 1\)"),
    (GarleanuPedersenEnv, {"B": [[1.0, np.nan]]}, ValueError, "B must be a matrix of finite numbers"),
    (GarleanuPedersenEnv, {"B": [[1.0], [2.0, 3.0]]}, TypeError, "B must be a matrix of numbers"),
    (GarleanuPedersenEnv, {"B": [[0.0, 0.0], [0.0, 0.0]]}, ValueError, "B must load on factors that move"),
    (GarleanuPedersenEnv, {"gamma": 0.0}, ValueError, "gamma"),
    (GarleanuPedersenEnv, {"lam": -1.0}, ValueError, "lam"),
    (GarleanuPedersenEnv, {"max_trade": 1.0}, ValueError, "max_trade must be at least 1.33504, 5 standard dev"),
    (GarleanuPedersenEnv, {"limit": 1.0}, ValueError, "limit must be at least 5.00999"),
    (GarleanuPedersenEnv, {"n_steps": 0}, ValueError, "n_steps"),
    (KellyEnv, {"returns": [0.1, 0.2]}, ValueError, "returns must be a table"),
    (KellyEnv, {"returns": [[0.1], [-1.0]]}, ValueError, r"returns must be above -1 .* got -1\.0"),
    (KellyEnv, {"returns": [[0.1], [np.nan]]}, ValueError, "returns must be above -1 .* got nan"),
    (KellyEnv, {"returns": [["x"]]}, TypeError, "returns must be a table of numbers"),
    (KellyEnv, {"probabilities": [0.5, 0.5]}, ValueError, r"probabilities must be 3, .* got shape \(2,\)"),
    (KellyEnv, {"probabilities": [0.5, 1.0, -0.5]}, ValueError, "probabilities must be 0 or more"),
    (KellyEnv, {"probabilities": [0.2, 0.2, 0.5]}, ValueError, "probabilities .* with the sum 1"),
    (KellyEnv, {"costs": {"commission": 0.0}}, TypeError, "costs: fixed here"),
    (KellyEnv, {"shuffle_symbols": True, "fill": "close"}, TypeError, "fill, shuffle_symbols: fixed here"),
    (KellyEnv, {"max_leverage": 0.0}, ValueError, "max_leverage"),
    (KellyEnv, {"n_paths": 0}, ValueError, "n_paths"),
    (KellyEnv, {"n_bars": 2}, ValueError, "n_bars"),
    (KellyEnv, {"episode_length": None}, TypeError, "episode_length must be an int"),
    (KellyEnv, {"unknown": 1}, TypeError, "unknown"),
    (RitterEnv, {"half_life": 0.0}, ValueError, "half_life"),
    (RitterEnv, {"mean": 101.0}, ValueError, "mean"),
    (RitterEnv, {"observation": "flat"}, ValueError, "observation"),
    (RitterEnv, {"max_trade": 1.5}, TypeError, "max_trade"),
    (MoodySaffellEnv, {"decay": 1.0}, ValueError, "decay"),
    (MoodySaffellEnv, {"window": 0}, ValueError, "window"),
    (RegimeEnv, {"stay": 1.0}, ValueError, "stay"),
    (RegimeEnv, {"sigma": 0.0}, ValueError, "sigma"),
    (RegimeEnv, {"observed": 1}, TypeError, "observed"),
    (NullEnv, {"margin": {"r_cash": 0.1}}, TypeError, "margin"),
    (NullEnv, {"sigma": 0.0}, ValueError, "sigma"),
    (DriftEnv, {"actions": (0.0, 0.5)}, TypeError, "actions"),
    (DriftEnv, {"episode_length": None}, TypeError, "episode_length"),
    (RegimeObservedEnv, {"fill": "next_close"}, TypeError, "fill"),
    (RegimeObservedEnv, {"step": 0.0}, ValueError, "step"),
    (RitterEnv, {"half_life": 0.3, "observation": "box"}, ValueError, "half_life.*0.3$"),
    (RitterEnv, {"half_life": np.log(2.0) / 2.0}, ValueError, "half_life"),
    (RitterEnv, {"mean": 101.0}, ValueError, "mean.*got 101"),
    (RitterEnv, {"lot": 1e300}, ValueError, r"lot=1e\+300"),
    (RegimeObservedEnv, {"stay": None}, TypeError, "stay.*None"),
    (RegimeObservedEnv, {"stay": "x"}, TypeError, "stay.*'x'"),
    (RegimeObservedEnv, {"sigma": "x"}, TypeError, "sigma.*'x'"),
    (RegimeObservedEnv, {"costs": {"fixed": 1.0}}, ValueError, "costs.*proportional"),
    (DriftEnv, {"costs": {"minimum": 1.0}}, ValueError, "costs.*proportional"),
    (DriftEnv, {"sigma": 1e200}, ValueError, r"sigma.*1e\+200"),
    (NullEnv, {"sigma": 1e160}, ValueError, r"sigma.*1e\+160"),
    (NullEnv, {"actions": (0.5, 1.0)}, ValueError, "actions.*stays flat"),
    (RegimeObservedEnv, {"fill": "close"}, TypeError, "^fill is fixed here"),
    (RegimeObservedEnv, {"fill": "close", "lots": 2}, TypeError, "^fill, lots are fixed here"),
]


HEADINGS = (
    "Description|Action Space|Observation Space|Rewards|Starting State|Episode End|Info|Arguments|"
    "Vectorized environment|Optimum|Source|Version History"
)


@pytest.mark.parametrize(
    "env",
    [
        CFMEnv,
        GarleanuPedersenEnv,
        KellyEnv,
        RitterEnv,
        MoodySaffellEnv,
        RegimeEnv,
        NullEnv,
        DriftEnv,
        RegimeObservedEnv,
    ],
    ids=str,
)
def test_a_docstring_has_all_headings_and_tables_that_markdown_reads(env):
    lines = [line.strip() for line in env.__doc__.splitlines()]
    assert [line[3:] for line in lines if line.startswith("## ")] == HEADINGS.split("|")
    for above, line in itertools.pairwise(lines):
        if above.startswith("|") and line.startswith("|"):
            assert above.count("|") == line.count("|"), line


@pytest.mark.parametrize(("env", "keywords", "error", "message"), WRONG)
def test_a_wrong_keyword_is_named(env, keywords, error, message):
    with pytest.raises(error, match=message):
        env(**keywords)


def test_a_wrong_action_option_or_mode_is_named():
    env = gym.make_vec(id_of("Ritter"), num_envs=2)
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(2, int))
    env.reset(seed=0)
    for actions, error in ((np.zeros(3, int), ValueError), (np.zeros(2), TypeError), (np.array([0, 11]), ValueError)):
        with pytest.raises(error, match="actions"):
            env.step(actions)
    with pytest.raises(ValueError, match="start"):
        env.reset(options={"start": 3})
    with pytest.raises(ValueError, match="noise_seed"):
        env.reset(options={"noise_seed": -1})
    with pytest.raises(ValueError, match="seed"):
        env.reset(seed=[1])
    with pytest.raises(ValueError, match="autoreset_mode"):
        gym.make_vec(id_of("Ritter"), num_envs=2, autoreset_mode="never")
    scalar = CFMEnv()
    scalar.reset()
    with pytest.raises(ValueError, match=r"1\.5"):
        scalar.step(np.array([1.5]))


def test_noise_seeds_of_another_number_are_refused_before_anything_changes():
    env = gym.make_vec(id_of("Ritter"), num_envs=3)
    env.reset(seed=0)
    for wrong in ([1, 2], [1, 2, 3, 4], [[1, 2, 3]]):
        with pytest.raises(ValueError, match=r"noise_seed.*\(3,\)"):
            env.reset(seed=5, options={"noise_seed": wrong})
    with pytest.raises(TypeError, match="noise_seed"):
        env.reset(options={"noise_seed": [1, 2, None]})
    other = gym.make_vec(id_of("Ritter"), num_envs=3)
    other.reset(seed=0)
    np.testing.assert_array_equal(env.reset()[1]["noise_seed"], other.reset()[1]["noise_seed"])
    assert env.reset(options={"noise_seed": [7, 8, 9]})[1]["noise_seed"].tolist() == [7, 8, 9]
    with pytest.raises(TypeError, match=r"noise_seed.*\[7, 8\]"):
        RitterEnv().reset(options={"noise_seed": [7, 8]})


def test_disabled_autoreset_refuses_to_step_an_ended_episode():
    env = gym.make_vec(id_of("RegimeHidden"), num_envs=2, n_steps=1, autoreset_mode="disabled")
    env.reset(seed=0)
    assert env.step(np.zeros(2, int))[3].all()
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(2, int))
