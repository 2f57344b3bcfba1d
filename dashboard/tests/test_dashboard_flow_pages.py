"""Live, Alerts, Customer and Connect on a real warehouse: what they show is what stands there."""

from decimal import Decimal

import pytest
from reading import open_page, settings_of

from dashboard.screens import live
from dashboard.words import amount

pytestmark = pytest.mark.services

SUCCESSFUL = (
    "select sum(amount) as amount, count(*) as n from marts.fact_transactions"
    " where status = 'SUCCESS' and currency = 'INR'"
)


def metrics(app):
    return {metric.label: metric.value for metric in app.metric}


def tables(app):
    return [frame.value for frame in app.dataframe]


def listed(app):
    return next(frame for frame in tables(app) if "compute again" in frame)


def test_the_live_page_shows_totals_that_equal_gold_and_no_drift(flow):
    truth = flow.sql(SUCCESSFUL)[0]
    with settings_of(flow):
        app = open_page("live", currency="INR")
    assert not app.error
    shown = metrics(app)
    assert shown["Drift against gold"] == "0"
    assert 190 <= Decimal(shown["Events a second"]) <= 240
    assert shown["Success rate, last minute"].endswith(" %")
    totals = next(frame for frame in tables(app) if "successful in all" in frame).set_index("currency")
    assert totals.loc["INR", "successful in all"] == amount(truth["amount"], "INR")
    assert totals.loc["INR", "successful"] == truth["n"]
    for name in ("category", "channel"):
        spending = next(frame for frame in tables(app) if name in frame and "share" in frame)
        assert sum(Decimal(value.replace(",", "")) for value in spending["amount"]) == truth["amount"]
    last = next(frame for frame in tables(app) if "arrived" in frame and "merchant" in frame)
    assert len(last) == 20
    assert list(last["arrived"]) == sorted(last["arrived"], reverse=True)


def test_a_drift_is_an_error_with_both_sides(flow):
    flow.sql("update live.drift set live_count = live_count + 2 where currency = 'INR' and status = 'SUCCESS'")
    flow.sql("update live.checks set verdict = 'DIFFERENT'")
    with settings_of(flow):
        app = open_page("live")
    assert "differ, and must not" in app.error[0].value
    assert metrics(app)["Drift against gold"] == "2 payments"
    off = next(frame for frame in tables(app) if "drift" in frame)
    assert list(off["drift"]) == [2]


def test_events_that_were_set_aside_are_said(flow):
    with settings_of(flow):
        assert not open_page("live").warning
    flow.sql(
        'insert into live.set_aside (topic_id, partition, "offset", part, arrived_at, trouble) '
        "select 'topic', 0, n, case when n = 1 then 'COUNTING' else 'ALERTS' end, now(), 'OverflowError' "
        "from generate_series(1, 3) as n"
    )
    with settings_of(flow):
        said = open_page("live").warning[0].value
    assert "1 events are not counted, and 2 are counted but not judged" in said
    assert "./scripts/tieout logs live" in said


def test_a_page_that_nobody_touches_looks_less_often(flow, monkeypatch):
    with settings_of(flow):
        assert not any("Nobody has touched" in caption.value for caption in open_page("live").caption)
        monkeypatch.setattr(live, "QUICK_FOR_SECONDS", -1)
        app = open_page("live")
    assert any("so it looks every 10 seconds" in caption.value for caption in app.caption)
    assert metrics(app)["Drift against gold"] == "0"


def test_a_flow_that_stands_still_and_one_that_never_ran_are_said_with_what_to_do(flow):
    flow.sql("update live.positions set moved_at = now() - interval '4 minutes'")
    with settings_of(flow):
        assert "live is not running" in open_page("live").error[0].value
    flow.sql("delete from live.opening")
    with settings_of(flow):
        app = open_page("live")
    assert "./scripts/start.sh" in app.info[0].value
    assert not app.metric


def test_alerts_are_narrowed_by_rule_and_each_has_evidence_and_its_command(flow):
    with settings_of(flow):
        app = open_page("alerts")
        assert len(listed(app)) == 30
        app = open_page("alerts", rule=["IMPOSSIBLE_TRAVEL"])
        found = listed(app)
        assert set(found["rule"]) == {"IMPOSSIBLE_TRAVEL"}
        assert len(found) == 10
        # One that is not among the newest is found by its id all the same.
        oldest = flow.sql("select alert_id, amount::text as amount from live.alerts order by arrived_at limit 1")[0]
        app = open_page("alerts", alert=oldest["alert_id"])
    assert f"./scripts/tieout alert explain {oldest['alert_id']}" in [code.value for code in app.code]
    evidence = next(frame for frame in tables(app) if "evidence" in frame and "is" in frame)
    assert oldest["amount"] in list(evidence["is"])


def test_no_alert_and_no_engine_are_two_sentences(flow):
    flow.sql("delete from live.alerts")
    with settings_of(flow):
        assert open_page("alerts").success[0].value == "No alert yet."
    flow.sql("delete from live.alert_rules")
    with settings_of(flow):
        assert "live is not running" in open_page("alerts").info[0].value


def test_detections_in_chunks_are_beside_the_alerts(flow):
    flow.sql(
        "insert into patterns.watches (name, source, detections, rules, weights_sha256, weights_refused, y_started_at) "
        "values ('w', 's3://lake/input_chunks', 's3://lake/detections', '{}', '', 0, now())"
    )
    flow.sql(
        "insert into patterns.detections select watch_id, n, 'id' || n, 'PatId2', 'CHILD', 'M1', 'C' || n, 7, now(), "
        "'{\"transactions\": 80}' from patterns.watches, generate_series(1, 3) as n"
    )
    flow.sql("insert into patterns.detection_changes select watch_id, 2, 9, false from patterns.watches")
    flow.sql(
        "insert into patterns.findings (watch_id, kind, subject, says) "
        "select watch_id, 'GAP', 'chunk 8', 'chunk 8 is missing' from patterns.watches"
    )
    with settings_of(flow):
        app = open_page("alerts")
    assert "chunk 8 is missing" in app.warning[0].value
    counted = next(frame for frame in tables(app) if "detections" in frame)
    assert list(counted.iloc[0])[:5] == ["w", "PatId2", "CHILD", 3, 2]
    found = next(frame for frame in tables(app) if "still true" in frame and "evidence" in frame)
    assert sorted(found["still true"]) == ["no, since chunk 9", "yes", "yes"]
    assert "./scripts/tieout patterns explain id2" in list(found["compute again"])


def test_a_customers_page_has_their_latest_payments_newest_first_and_what_is_on_the_way(flow):
    customer = flow.sql("select customer_id from live.payments where transaction_id = 'new-1'")[0]["customer_id"]
    truth = flow.sql(
        "select transaction_id from marts.fact_transactions where customer_id = %(c)s"
        " order by occurred_at desc, transaction_id desc limit 50", {"c": customer}
    )  # fmt: skip
    with settings_of(flow):
        app = open_page("customer", customer=customer)
    ahead, latest, lifetime = tables(app)
    assert "new-1" in list(ahead["payment"])
    assert len(truth) == 50
    assert list(latest["payment"]) == [row["transaction_id"] for row in truth]
    assert sum(lifetime["payments"]) == int(metrics(app)["Payments"].replace(",", ""))
    forbidden = {"customer_name", "customer_email", "ip_address", "name", "email"}
    assert not forbidden & {column for frame in tables(app) for column in frame}


def test_an_id_with_other_characters_is_another_customers(flow):
    customer = flow.sql("select customer_id from marts.dim_customers limit 1")[0]["customer_id"]
    with settings_of(flow):
        assert "Latest payments" in {each.value for each in open_page("customer", customer=customer).subheader}
        for typed, shown in ((f"{customer} ", f"{customer}<U+0020>"), (f"\u200b{customer}", f"<U+200B>{customer}")):
            app = open_page("customer", customer=typed)
            assert "No payment of this customer" in app.info[0].value
            assert f"Asked for: {shown}" in {each.value for each in app.text}
            assert "Latest payments" not in {each.value for each in app.subheader}


def test_an_unknown_customer_and_none_at_all_are_said_in_a_sentence(flow):
    with settings_of(flow):
        assert "Paste a customer's id" in open_page("customer").info[0].value
        evil = "x'; drop table marts.fact_transactions; --"
        assert "No payment of this customer" in open_page("customer", customer=evil).info[0].value
        app = open_page("customer")
        first = app.selectbox(key="newest").options[0]
        app.selectbox(key="newest").select(first).run()
        assert app.text_input(key="customer").value == first
        assert app.metric


def test_a_customer_is_found_through_the_index(flow):
    plan = flow.sql(
        "explain select * from marts.fact_transactions where customer_id = 'customer-1'"
        " order by occurred_at desc, transaction_id desc limit 50"
    )
    assert "customer_id" in str(flow.sql("select indexdef from pg_indexes where tablename = 'fact_transactions'"))
    assert "Seq Scan" not in str(plan)


def test_the_password_is_on_the_page_only_when_it_is_asked_for(warehouse):
    password = warehouse.env["POSTGRES_PASSWORD_READER"]
    with settings_of(warehouse):
        app = open_page("connect", mart="dim_customers")
        assert password not in str(app)
        assert any("jdbc:postgresql://" in code.value for code in app.code)
        assert {"customer_id", "segment"} <= set(tables(app)[-1]["column"])
        next(button for button in app.button if "password" in button.label).click().run()
        assert password in [code.value for code in app.code]
        app.run()
        assert password not in str(app)
