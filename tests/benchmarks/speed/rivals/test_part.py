import sys

import pytest

from benchmarks.speed.rivals import part
from benchmarks.speed.rivals.environments import NotInstalledError
from benchmarks.speed.rivals.part import Duel, Rival

WORKER = part.Path(part.__file__).parent
SERVES = f"""
import sys, time
sys.path.insert(0, {str(WORKER)!r})
from worker import serve

def make():
    print("not an answer")
    made.append(1)
    assert len(made) == 1
    def chunk():
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass
        return 200
    return chunk

made = []
serve({{"walk": make}}, "numpy")
"""


@pytest.fixture
def rival(tmp_path, monkeypatch):
    """Makes a rival of a script, which runs in this Python."""
    monkeypatch.setattr(part, "python_of", lambda name, requirements: sys.executable)

    def make(script, contender="walk"):
        path = tmp_path / "script.py"
        path.write_text(script)
        return Rival("them", "there", ("it",), str(path), [Duel("walk", contender, 3, lambda: lambda: 100, 0.5)])

    return make


def test_both_sides_are_measured_in_every_round(rival, monkeypatch):
    monkeypatch.setattr(part, "RIVALS", [rival(SERVES)])
    ticked = []
    found = part.measure(False, lambda: ticked.append(1))
    assert len(ticked) == part.ticks(False) == 6
    assert [len(values) for values in found.rates.values()] == [5, 5]
    assert 5_000 < min(found.rates["them, walk"]) <= max(found.rates["them, walk"]) <= 10_000
    assert found.table.rows[0][:3] == ["them", "walk", "3"]
    assert found.measured[0].goal == 0.5
    assert found.remarks[0].startswith("them: numpy 2")


def test_a_rival_that_cannot_be_installed_is_named_and_left_out(rival, monkeypatch):
    monkeypatch.setattr(part, "RIVALS", [rival(SERVES)])

    def refuse(name, requirements):
        assert (name, requirements) == ("there", ("it",))
        raise NotInstalledError("ERROR: no such thing")

    monkeypatch.setattr(part, "python_of", refuse)
    found = part.measure(True, lambda: None)
    assert found.remarks == ["them was left out: ERROR: no such thing"]
    assert found.rates == {}


@pytest.mark.parametrize(
    ("script", "contender", "said"),
    [("raise OSError('no such library')", "walk", "OSError: no such library"), (SERVES, "run", "KeyError: 'run'")],
)
def test_a_rival_that_fails_is_named_with_what_it_said_last(rival, monkeypatch, script, contender, said):
    monkeypatch.setattr(part, "RIVALS", [rival(script, contender)])
    assert part.measure(True, lambda: None).remarks == [f"them was left out: {said}"]


@pytest.mark.parametrize("name", ["DQN", "PPO"])
def test_our_side_has_the_sizes_that_the_rows_name(name, monkeypatch):
    seen = []
    monkeypatch.setattr(part, "agent_chunk", lambda agent, steps: seen.append(agent))
    part.agent(name, 1)
    part.agent(name, 1, "CartPole-v1")
    ours, on_cart_pole = seen
    assert ours.spaces.obs_size == 5
    assert on_cart_pole.spaces.obs_size == 4
    assert ours.n_envs == part.SHARED[name]["n_envs"]
    assert ours.config.batch_size == part.SHARED[name]["batch_size"]
