"""The labs by number and name, and where their files are."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent


@dataclass(frozen=True)
class Lab:
    """One lab.

    Attributes:
        number: Its place in the course.
        name: A short name for the command line.
        title: Its topic.
        minutes: Time that a student needs, the running of the notebook included.
    """

    number: int
    name: str
    title: str
    minutes: int

    @property
    def folder(self) -> Path:
        """The folder of its files."""
        return ROOT / self.package

    @property
    def package(self) -> str:
        """The name of that folder."""
        return f"lab{self.number:02d}_{self.name}"


LABS = (
    Lab(0, "by_hand", "A market by hand", 90),
    Lab(1, "known_model", "When the model is known", 90),
    Lab(2, "q_table", "A table that learns, and Dyna-Q", 120),
    Lab(3, "td_gammon", "Afterstates and traces, the idea of TD-Gammon", 90),
    Lab(4, "dqn", "DQN, and reinforcement learning in trading", 180),
    Lab(5, "tuning", "Tuning, and its price", 90),
    Lab(6, "policy_gradient", "Policy gradient, with a budget of episodes", 120),
    Lab(7, "a2c", "A2C: from REINFORCE by three changes", 120),
    Lab(8, "sequences", "Recurrent networks from a loop to the LSTM", 120),
    Lab(9, "forecasting", "Forecasting returns and their direction", 150),
    Lab(10, "lstm_trader", "Buying and selling with an LSTM", 150),
    Lab(13, "find_the_bug", "Five studies, each with one flaw", 120),
)


def find(word: str) -> Lab:
    """The lab of this name or number.

    Raises:
        ValueError: There is none; the message lists all names.
    """
    for lab in LABS:
        if word in (lab.name, str(lab.number), lab.package):
            return lab
    raise ValueError(f"lab must be one of {', '.join(lab.name for lab in LABS)}, or its number, got {word!r}")
