import pytest

from tests.trading_env.live.test_decide import FRAME
from trading_env import Market, PaperBroker, decide, load

PLAIN = {"window": 1, "features": ["close"]}


def bars(n):
    return load(FRAME.iloc[:n])


def test_an_order_fills_at_the_next_bar_and_is_reported_once(tmp_path):
    broker = PaperBroker(tmp_path / "p.json", costs={"commission": 0.01, "slippage": 0.02}, initial_cash=1000.0)
    broker.update(bars(10))
    assert broker.account()[:2] == (0.0, 1000.0)
    key = str(bars(10).time[-1])
    broker.submit(key, decide(lambda obs: 2, FRAME.iloc[:10], **PLAIN))
    broker.submit(key, decide(lambda obs: 0, FRAME.iloc[:10], **PLAIN))
    assert broker.fills(0) == []
    for _ in range(2):
        broker.update(bars(11))
    (fill,) = broker.fills(0)
    assert (fill.key, fill.time) == (key, str(bars(11).time[-1]))
    assert fill.price == pytest.approx(1.02 * FRAME["open"].iloc[10])
    assert fill.commission == pytest.approx(0.01 * fill.units * fill.price)
    assert fill.units * fill.price + fill.commission == pytest.approx(1000.0)
    assert broker.fills(1) == []
    again = PaperBroker(tmp_path / "p.json", costs={"commission": 0.01, "slippage": 0.02})
    assert (again.fills(0), again.account()) == (broker.fills(0), broker.account())


def test_bars_without_an_order_are_held_through(tmp_path):
    broker = PaperBroker(tmp_path / "p.json", actions="lots")
    broker.update(bars(10))
    broker.submit(str(bars(10).time[-1]), decide(lambda obs: 2, FRAME.iloc[:10], actions="lots", **PLAIN))
    broker.update(bars(20))
    assert broker.account().units == 1.0
    assert len(broker.fills(0)) == 1


def test_an_order_for_another_bar_is_refused(tmp_path):
    broker = PaperBroker(tmp_path / "p.json")
    broker.update(bars(10))
    with pytest.raises(ValueError, match=r"the order of bar 2020-01-09.*came when the account stood at 2020-01-10"):
        broker.submit("x", decide(lambda obs: 2, FRAME.iloc[:9], **PLAIN))


def test_bars_that_do_not_go_on_from_the_last_ones_are_refused(tmp_path):
    broker = PaperBroker(tmp_path / "p.json")
    broker.update(bars(10))
    with pytest.raises(ValueError, match=r"stands at 2020-01-10.*, a bar that the data lack"):
        broker.update(load(FRAME.iloc[15:20]))
    with pytest.raises(ValueError, match="the prices were adjusted meanwhile"):
        broker.update(load(FRAME.iloc[:12] / 2.0))
    with pytest.raises(ValueError, match="has no times"):
        broker.update(Market.from_arrays(FRAME["close"], open=FRAME["open"]))


def test_a_ruined_account_stays_as_it_is(tmp_path):
    close = [100.0, 100.0, 40.0, 80.0, 160.0]
    frame = FRAME.iloc[:5].assign(open=close, high=close, low=close, close=close)
    broker = PaperBroker(tmp_path / "p.json", margin={"ruin_fraction": 0.5})
    broker.update(load(frame.iloc[:2]))
    broker.submit(str(load(frame.iloc[:2]).time[-1]), decide(lambda obs: 2, frame.iloc[:2], fill="close", **PLAIN))
    broker.update(load(frame.iloc[:3]))
    assert not broker.ruined
    fallen = frame.assign(**{name: [100.0, 100.0, 40.0, 15.0, 160.0] for name in ("open", "high", "low", "close")})
    broker.update(load(fallen.iloc[:4]))
    assert broker.ruined
    before = broker.account()
    broker.update(load(fallen))
    assert broker.account() == before
    assert PaperBroker(tmp_path / "p.json").ruined


def test_keywords_are_checked_and_shown(tmp_path):
    with pytest.raises(TypeError, match="PaperBroker got an unexpected keyword argument 'comission'"):
        PaperBroker(tmp_path / "p.json", comission=0.1)
    broker = PaperBroker(tmp_path / "p.json", initial_cash=50.0, window=7)
    broker.update(bars(3))
    assert repr(broker) == "<PaperBroker at 2020-01-03T00:00:00.000000000: cash 50.00, units 0>"
