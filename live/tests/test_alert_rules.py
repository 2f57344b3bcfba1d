"""Each rule speaks when it should and not a step earlier; a replay says the same."""

import random
from datetime import UTC, datetime, timedelta
from decimal import ROUND_UP, Decimal
from typing import Any

import pytest

from contracts.alerts import RULES_FILE, AlertRules, load_alert_rules, parse_alert_rules
from contracts.entities import load_entity
from contracts.model import PAYMENTS
from core.layout import CHECKOUT
from live.alerts.judge import CHECKS, Alert, judge
from live.alerts.memory import Memory, Seen
from live.alerts.places import circles, kilometres_apart
from live.events import Place

RULES = load_alert_rules()
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PUNE, DELHI = ("IN", "Maharashtra", "Pune"), ("IN", "Delhi", "Delhi")


def seen(offset: int = 0, seconds: float = 0, amount: str = "10", **changed: Any) -> Seen:
    where = changed.pop("where", PUNE)
    found = {
        "place": Place("topic", 0, offset), "transaction_id": f"t{offset}", "customer_id": "c1", "is_first": True,
        "status": "PENDING", "status_at": NOON + timedelta(seconds=seconds),
        "occurred_at": NOON + timedelta(seconds=seconds), "utc_offset_minutes": 0, "amount": Decimal(amount),
        "currency": "USD", "merchant_name": "M", "merchant_category": "kids_pets", "country": where[0],
        "state": where[1], "city": where[2],
    }  # fmt: skip
    return Seen(**(found | changed))


def replay(events: list[Seen], rules: AlertRules = RULES, cuts: frozenset[int] = frozenset()) -> list[Alert]:
    memory, alerts = Memory([0, events[0].place.offset]), []
    for number, each in enumerate(events):
        if number in cuts:
            memory = Memory.from_json(memory.to_json())
        alerts += judge(memory, each, rules)
    return alerts


def codes(*events: Seen) -> list[str]:
    """Return the codes that the last event raises."""
    last = events[-1].place
    return [alert.rule.code for alert in replay(list(events)) if alert.seen.place == last]


def history(count: int, amount: str = "10", **changed: Any) -> list[Seen]:
    return [seen(number, number * 3600, amount, **changed) for number in range(count)]


def later(count: int, amount: str, **changed: Any) -> Seen:
    return seen(count, count * 3600, amount, **changed)


def just_below(text: str) -> str:
    return str(Decimal(text) - Decimal("0.01"))


def test_every_rule_has_a_check_and_is_in_the_documents() -> None:
    assert {rule.code for rule in RULES.rules} == set(CHECKS)
    page = (CHECKOUT / "docs" / "alerts.md").read_text(encoding="utf-8")
    assert [rule.code for rule in RULES.rules if f"`{rule.code}`" not in page] == []


def test_thresholds_of_money_are_of_currencies_that_the_contract_knows() -> None:
    known, stated = set(load_entity(PAYMENTS).currencies), 0
    for rule in RULES.rules:
        for name in ("at_least", "limits"):
            stated += len(rule.settings.get(name, {}))
            assert set(rule.settings.get(name, {})) <= known
    assert stated > 20


def test_an_amount_over_its_categorys_limit() -> None:
    limit = RULES.rule("AMOUNT_OVER_LIMIT").limit("USD", "kids_pets")
    assert "AMOUNT_OVER_LIMIT" in codes(seen(amount=str(limit + Decimal("0.01"))))
    assert "AMOUNT_OVER_LIMIT" not in codes(seen(amount=str(limit)))
    assert "AMOUNT_OVER_LIMIT" not in codes(seen(amount="9999999", currency="XXX"))
    travel = RULES.rule("AMOUNT_OVER_LIMIT").limit("INR", "travel")
    assert "AMOUNT_OVER_LIMIT" not in codes(seen(amount=str(travel), currency="INR", merchant_category="travel"))
    assert "AMOUNT_OVER_LIMIT" in codes(seen(amount=str(travel), currency="INR", merchant_category="kids_pets"))


def test_an_amount_far_above_the_customers_history() -> None:
    rule = RULES.rule("AMOUNT_FAR_ABOVE_HISTORY")
    least, enough = rule.settings["at_least"]["USD"], rule.number("after_payments")
    usual = str((Decimal(least) / rule.number("times")).quantize(Decimal("0.01"), ROUND_UP))
    above = str(Decimal(least) + Decimal("0.01"))
    code = "AMOUNT_FAR_ABOVE_HISTORY"
    assert code in codes(*history(enough, just_below(usual)), later(enough, above))
    assert code not in codes(*history(enough - 1, just_below(usual)), later(enough, above))
    assert code not in codes(*history(enough, usual), later(enough, str(least)))
    assert code not in codes(*history(enough, "1"), later(enough, just_below(str(least))))
    assert code not in codes(*history(enough, "1", currency="EUR"), later(enough, above))


def test_more_payments_in_a_minute_than_anybody_makes_by_hand_once_a_window() -> None:
    rule = RULES.rule("VELOCITY")
    most, window = rule.number("more_than"), rule.number("within_seconds")
    burst = [seen(number, number) for number in range(most + 3)]
    raised = [alert.seen.place.offset for alert in replay(burst) if alert.rule.code == "VELOCITY"]
    assert raised == [most]
    slow = [seen(number, number * window / most) for number in range(most + 3)]
    assert "VELOCITY" not in [alert.rule.code for alert in replay(slow)]


def test_several_declines_and_then_a_success() -> None:
    rule = RULES.rule("DECLINES_THEN_SUCCESS")
    many, window = rule.number("declines"), rule.number("within_seconds")
    code = "DECLINES_THEN_SUCCESS"
    declines = [seen(number, number, status="FAILED") for number in range(many)]
    assert code in codes(*declines, seen(many, many, status="SUCCESS"))
    assert code in codes(*declines, seen(many, many, status="SUCCESS", is_first=False))
    assert code not in codes(*declines[1:], seen(many, many, status="SUCCESS"))
    assert code not in codes(*declines, seen(many, many + window, status="SUCCESS"))
    assert code not in codes(*declines, seen(many, many, status="SUCCESS"), seen(many + 1, many, status="SUCCESS"))


def test_a_journey_that_nobody_makes() -> None:
    apart = kilometres_apart(PUNE, DELHI)
    assert apart is not None
    assert 1_050 < apart < 1_200  # 1,173 km as the crow flies, less both cities' radii
    hours = apart / RULES.rule("IMPOSSIBLE_TRAVEL").number("faster_than_kmh")
    assert "IMPOSSIBLE_TRAVEL" in codes(seen(0), seen(1, hours * 3600 - 60, where=DELHI))
    assert "IMPOSSIBLE_TRAVEL" not in codes(seen(0), seen(1, hours * 3600 + 60, where=DELHI))
    assert "IMPOSSIBLE_TRAVEL" not in codes(seen(0), seen(1, 60, where=("IN", "Maharashtra", "Mumbai")))
    assert "IMPOSSIBLE_TRAVEL" not in codes(seen(0), seen(1, 60, where=("FR", None, "Paris")))
    assert "IMPOSSIBLE_TRAVEL" in codes(seen(0, where=("US", "CA", "Fresno")), seen(1, 60, where=("US", "NY", "Utica")))
    assert "IMPOSSIBLE_TRAVEL" not in codes(seen(0, where=("US", "VA", "A")), seen(1, 60, where=("US", "MD", "B")))


def test_every_place_is_one_that_the_marts_know() -> None:
    seeds = (CHECKOUT / "transformation" / "seeds" / "states.csv").read_text(encoding="utf-8")
    assert len(circles()) > 100
    assert [key for key in circles() if f"{key[0]},{key[1]}," not in seeds] == []


def test_a_high_amount_in_the_night_of_the_payments_own_zone() -> None:
    rule = RULES.rule("NIGHT_TIME")
    least, begin = str(rule.settings["at_least"]["USD"]), rule.number("from_hour")
    into_the_night = (begin - NOON.hour) * 3600
    assert "NIGHT_TIME" in codes(seen(0, into_the_night, least))
    assert "NIGHT_TIME" not in codes(seen(0, into_the_night - 1, least))
    assert "NIGHT_TIME" not in codes(seen(0, into_the_night, just_below(least)))
    assert "NIGHT_TIME" in codes(seen(0, 0, least, utc_offset_minutes=(begin - NOON.hour) * 60))
    end = 24 - NOON.hour + rule.number("to_hour")
    assert "NIGHT_TIME" in codes(seen(0, end * 3600 - 1, least))
    assert "NIGHT_TIME" not in codes(seen(0, end * 3600, least))


def test_a_high_amount_at_a_merchant_that_is_new_to_the_customer() -> None:
    rule = RULES.rule("NEW_MERCHANT_HIGH_AMOUNT")
    least, enough = str(rule.settings["at_least"]["USD"]), rule.number("after_payments")
    code = "NEW_MERCHANT_HIGH_AMOUNT"
    assert code in codes(*history(enough), later(enough, least, merchant_name="N"))
    assert code not in codes(*history(enough), later(enough, least))
    assert code not in codes(*history(enough - 1), later(enough, least, merchant_name="N"))
    assert code not in codes(*history(enough), later(enough, just_below(least), merchant_name="N"))


def test_an_amount_of_note_in_a_watched_category() -> None:
    rule = RULES.rule("WATCHED_CATEGORY")
    least, watched = str(rule.settings["at_least"]["USD"]), rule.settings["categories"][0]
    assert "WATCHED_CATEGORY" in codes(seen(amount=least, merchant_category=watched))
    assert "WATCHED_CATEGORY" not in codes(seen(amount=just_below(least), merchant_category=watched))
    assert "WATCHED_CATEGORY" not in codes(seen(amount=least))


def test_a_later_status_tells_only_how_a_payment_went() -> None:
    assert codes(seen(amount="999999", is_first=False)) == []
    assert codes(*history(9), seen(9, 0, "999999", is_first=False, merchant_name="N")) == []


def random_events(seed: int, count: int) -> list[Seen]:
    dice, events, at = random.Random(seed), [], 0
    for offset in range(count):
        at += dice.choice([1, 2, 5, 20, 4000])
        events.append(
            seen(
                offset * 3,
                at,
                str(dice.choice([5, 20, 90, 400, 1500])),
                status=dice.choice(["SUCCESS", "FAILED", "FAILED", "PENDING"]),
                is_first=dice.random() < 0.9,
                merchant_name=dice.choice("ABCDEFGH"),
                merchant_category=dice.choice(["kids_pets", "misc_net"]),
                where=dice.choice([PUNE, PUNE, PUNE, DELHI]),
            )
        )
    return events


@pytest.mark.parametrize("seed", range(4))
def test_a_replay_gives_the_same_alerts_wherever_the_memory_was_put_down(seed: int) -> None:
    events = random_events(seed, 300)
    straight = replay(events)
    assert len({alert.rule.code for alert in straight}) >= 7
    assert len({alert.alert_id for alert in straight}) == len(straight)
    assert replay(events, cuts=frozenset(range(0, 300, 7))) == straight


def test_a_memory_stays_small_and_knows_what_it_has_judged() -> None:
    memory = Memory([0, 0])
    events = random_events(9, 500)
    for each in events:
        judge(memory, each, RULES)
    assert len(memory.to_json()) < 4_000
    assert not memory.is_behind(events[-1].place)
    assert memory.is_behind(Place("topic", 0, events[-1].place.offset + 1))


def test_a_rule_of_another_version_gives_other_ids() -> None:
    text = RULES_FILE.read_text(encoding="utf-8")
    changed = parse_alert_rules(text.replace("version: 1", "version: 2"))
    events = random_events(1, 100)
    ids, others = ({alert.alert_id for alert in replay(events, rules)} for rules in (RULES, changed))
    assert len(ids) == len(others) > 5
    assert ids & others == set()
