"""The command line of ``trading-env``: its commands, their options, and examples."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from trading_env import __version__

PROGRAM = "trading-env"
KINDS = ("DQN", "A2C", "PPO", "REINFORCE", "RecurrentDQN", "RecurrentA2C")
FILLS = ("next_open", "next_close", "close")
EXAMPLES = {
    "": """
  trading-env data prices.csv
  trading-env train prices.csv --split 2018-01-01 --agent dqn --seeds 4 --save my
  trading-env backtest my prices.csv
  trading-env decide my fresh.csv --units 10 --cash 2500""",
    "data": """
  trading-env data prices.csv
  trading-env data us-stocks/AAPL --json""",
    "train": """
  trading-env train prices.csv --split 2018-01-01 --save my
  trading-env train prices.csv --split 0.8 --actions=-1,0,1 --save my
  trading-env train prices.csv --split 0.8 --set learning_rate=1e-3 --save my
  trading-env train prices.csv --split 0.8 --set net_arch=[32,32] --save my""",
    "backtest": """
  trading-env backtest my prices.csv
  trading-env backtest my prices.csv --from 2020-01-01 --commission 0.002
  trading-env backtest my prices.csv --trades > trades.csv
  trading-env backtest my prices.csv --report sheet.html""",
    "plot": """
  trading-env plot my prices.csv --out my.png
  trading-env plot my prices.csv --out my.gif""",
    "decide": """
  trading-env decide my fresh.csv --units 10 --cash 2500 --as-of now
  trading-env decide my fresh.csv --cash 10000 --json""",
    "paper": """
  trading-env paper my fresh.csv --account test --cash 10000
  trading-env paper my prices.csv --account trial --from 2020-01-01""",
}


class UsageError(ValueError):
    """The command line is wrong: exit code 2."""


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def parser() -> Parser:
    """The whole command line; the parsed arguments' ``run`` is the module and the function that carries them out."""
    whole = Parser(PROGRAM, description="From a file of bars to a tested, saved, usable policy.", **_style(""))
    whole.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for name, (help_, add, run) in COMMANDS.items():
        one = commands.add_parser(name, help=help_, description=_sentence(help_), **_style(name))
        add(one)
        one.set_defaults(run=run)
    return whole


def _style(command: str) -> dict[str, Any]:
    return {
        "epilog": f"examples:{EXAMPLES[command]}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _data(one: argparse.ArgumentParser) -> None:
    _file(one)
    _json(one)


def _train(one: argparse.ArgumentParser) -> None:
    _file(one)
    add = one.add_argument
    add("--split", required=True, metavar="DATE", help="first day of the test part, or a fraction as 0.8")
    add("--save", required=True, metavar="NAME", help="file for the agent and the configuration of its env")
    add("--agent", default="dqn", help=f"one of {', '.join(KINDS)}, in any case (default: dqn)")
    add("--seeds", type=_count, metavar="N", default=4, help="independent runs, trained together (default: 4)")
    add("--steps", type=_count, metavar="N", default=50_000, help="steps of each seed (default: 50,000)")
    add("--window", type=_count, metavar="N", default=30, help="bars in an observation (default: 30)")
    add("--features", metavar="NAMES", default="default", help="names of features or columns, separated by commas")
    add("--actions", default="buy_hold_sell", help="buy_hold_sell, continuous, lots, or exposures as 0,0.5,1")
    add("--short", action="store_true", help="sell means short instead of flat")
    _terms(one, 5e-4, 5e-4, "next_open")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="a hyperparameter of the agent; repeatable")
    add("--quiet", action="store_true", help="no progress bar")


def _backtest(one: argparse.ArgumentParser) -> None:
    _plot(one, out=False)
    _json(one)
    one.add_argument("--trades", action="store_true", help="print every trade as CSV")
    one.add_argument("--report", metavar="PAGE", help="also write a page with charts and all trades, as out.html")


def _plot(one: argparse.ArgumentParser, out: bool = True) -> None:
    _agent(one)
    _file(one)
    one.add_argument("--from", dest="start", metavar="DATE", help="first bar to act on; earlier ones are history")
    one.add_argument("--whole", action="store_true", help="act on all bars, also on those that were learnt from")
    _terms(one, None, None, None)
    if out:
        one.add_argument(
            "--out", required=True, metavar="PICTURE", help="file to draw into: .png, .svg, .pdf, or .gif for a film"
        )


def _decide(one: argparse.ArgumentParser) -> None:
    _fresh(one)
    add = one.add_argument
    add("--units", type=float, default=0.0, metavar="N", help="held now, negative if short (default: 0)")
    add("--cash", type=float, metavar="X", help="in the account (default: as in training)")
    add("--target", type=float, metavar="X", help="exposure chosen last (default: nearest to the present one)")
    add("--entry", type=float, metavar="X", help="average entry price (default: the last close)")
    add("--peak", type=float, metavar="X", help="highest equity so far (default: the present one)")
    _json(one)


def _paper(one: argparse.ArgumentParser) -> None:
    _fresh(one)
    add = one.add_argument
    add("--account", required=True, metavar="NAME", help="files NAME.session.json and NAME.paper.json keep the account")
    add("--cash", type=float, metavar="X", help="with which a new account begins (default: as in training)")
    add("--from", dest="start", metavar="DATE", help="act at every bar from this day on, not only at the last")
    _json(one)


def _fresh(one: argparse.ArgumentParser) -> None:
    _agent(one)
    _file(one)
    one.add_argument("--as-of", metavar="TIME", help="refuse bars that are stale or unfinished then: a time, or now")
    one.add_argument("--max-missed", type=int, default=0, metavar="N", help="bars that may be missing, for holidays")


def _file(one: argparse.ArgumentParser) -> None:
    one.add_argument("file", metavar="FILE", help="CSV or Parquet file, or a bundled dataset as us-stocks/AAPL")
    one.add_argument("--on-missing", choices=("raise", "drop", "ffill"), default="raise", help="rows without a value")
    one.add_argument("--adjust", action=argparse.BooleanOptionalAction, help="adjust prices for splits, or do not")
    one.add_argument("--ticker", help="the instrument, where the file has several")


def _agent(one: argparse.ArgumentParser) -> None:
    one.add_argument("agent", metavar="AGENT", help="file that train wrote")
    one.add_argument("--seed", type=int, metavar="N", help="let this seed act alone (default: all)")


def _terms(one: argparse.ArgumentParser, commission: float | None, slippage: float | None, fill: str | None) -> None:
    rates = {"commission": (commission, "rate of each trade"), "slippage": (slippage, "adverse move of each fill")}
    for name, (rate, words) in rates.items():
        one.add_argument(f"--{name}", type=float, metavar="RATE", default=rate, help=f"{words} ({_default(rate)})")
    one.add_argument("--fill", choices=FILLS, default=fill, help=f"price that orders get ({_default(fill)})")


def _default(value: object) -> str:
    return f"default: {'as learnt' if value is None else value}"


def _json(one: argparse.ArgumentParser) -> None:
    one.add_argument("--json", action="store_true", help="print JSON instead")


def _count(text: str) -> int:
    value = int(text.replace(",", ""))
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


COMMANDS: dict[str, Any] = {  # what it does, its options, and the function that does it
    "data": ("tell what is understood of a file: columns, span, gaps, splits, jumps", _data, ("data", "run")),
    "train": ("train an agent on the early part of a file, test it on the rest, save it", _train, ("train", "run")),
    "backtest": ("run a saved agent over the bars after those it learnt from", _backtest, ("backtest", "run")),
    "decide": ("tell what the agent does after the last bar, with an account", _decide, ("decide", "run")),
    "paper": ("trade on paper, from day to day, with an account that is kept", _paper, ("decide", "paper")),
    "plot": ("draw such a backtest: trades on the price, exposure, equity, drawdown", _plot, ("backtest", "plot")),
}
