"""The dashboard in a real browser: the door, the figures, the address, the files, the looks."""

import csv
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from decimal import Decimal
from pathlib import Path

import pytest
from filled import TOKEN, fill_flow
from PIL import Image

from control.testing import free_ports

pytestmark = pytest.mark.services

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
# Where to leave screenshots for the documentation; nowhere by default.
PICTURES = os.environ.get("DASHBOARD_SCREENSHOTS")
PATIENCE = 90_000  # milliseconds, for a loaded machine


@pytest.fixture(scope="module")
def address(warehouse, tmp_path_factory):
    """A dashboard of its own as the platform starts it: its secrets in its environment, no home to read."""
    port = free_ports(1)[0]
    known = ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_PASSWORD_READER")
    environment = {name: warehouse.env[name] for name in known}
    environment |= {"DASHBOARD_TOKEN": TOKEN, "DASHBOARD_PORT": str(port), "TIEOUT_HOME": "/nonexistent"}
    environment |= {"PATH": os.environ["PATH"], "HOME": str(tmp_path_factory.mktemp("home"))}
    log = tmp_path_factory.mktemp("log") / "dashboard.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "dashboard"], env=environment, cwd="/", stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + PATIENCE / 1000
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline, log.read_text()
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
        assert server.poll() is None
        said = log.read_text()
        assert TOKEN not in said
        assert "Traceback" not in said
    finally:
        server.terminate()
        assert server.wait(30) in {0, -15}


@pytest.fixture(scope="module")
def chromium():
    """Debian's Chromium, driven by Playwright."""
    if BROWSER is None:
        pytest.skip("NO BROWSER: nothing was looked at. ./scripts/setup.sh --dev installs chromium for root")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - starts a driver

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, address):
    """A new visitor; at the end nothing was asked of another host, and the console has no error."""
    yield from visit(chromium, address)


def visit(chromium, address, **looks):
    context = chromium.new_context(viewport={"width": 1400, "height": 1000}, **looks)
    context.set_default_timeout(PATIENCE)
    found = context.new_page()
    asked, errors = [], []
    found.on("request", lambda request: asked.append(request.url))
    found.on("console", lambda said: errors.append(f"{said.text} {said.location}") if said.type == "error" else None)
    found.on("pageerror", lambda error: errors.append(str(error)))
    yield found
    strangers = [url for url in asked if not url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))]
    context.close()
    assert asked
    assert strangers == []
    # Streamlit looks for its server below a page's own path first, and for a door that is closed the browser says 401.
    assert [text for text in errors if "_stcore" not in text and "401" not in text] == []


# What is last on each page, and so there when all of it is there.
LAST = {
    "business": "Hours and weekdays",
    "live": "Newest alerts",
    "alerts": "Evidence",
    "customer": "Lifetime value",
    "books": "Incidents",
    "connect": "What the marts mean",
}


def settled(page, name="business"):
    """Wait until the page has everything."""
    page.get_by_role("heading", name=LAST[name], exact=True).last.wait_for()
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")
    if name == "business":
        page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')")
        page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").first.wait_for()


def kpi(page, label):
    box = page.get_by_test_id("stMetric").filter(has_text=label)
    return box.get_by_test_id("stMetricValue").inner_text()


def fits(page):
    """Nothing stands out to the right of the window."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def picture(page, name):
    if PICTURES:
        page.wait_for_timeout(3000)  # charts fade in
        path = Path(PICTURES) / f"dashboard-{name}.png"
        page.screenshot(path=str(path))
        # A quarter of the size, and nobody sees a difference.
        Image.open(path).convert("RGB").quantize(192).save(path, optimize=True)


def test_the_first_visitor_of_a_new_server_may_open_any_page(page, address, flow):
    page.goto(f"{address}/connect?token={TOKEN}")
    settled(page, "connect")


def test_the_door_opens_for_the_token_only_and_listens_on_loopback(page, address):
    page.goto(f"{address}/?currency=USD")
    page.get_by_label("Token").fill("not this")
    page.get_by_role("button", name="Open the dashboard").click()
    page.get_by_text("That is not the token of this platform.").wait_for()
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    settled(page)
    assert TOKEN not in page.url
    assert "currency=USD" in page.url
    port = int(address.rpartition(":")[2])
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", port))


def test_figures_filters_address_and_files_agree_with_the_fact(page, address, warehouse, tmp_path):
    page.goto(f"{address}/?token={TOKEN}&currency=INR&channel=CARD&from=2026-03-10&to=2026-03-20")
    settled(page)
    truth = warehouse.sql(
        "select sum(fee_revenue) as fees, count(*) as n from marts.fact_transactions where currency = 'INR'"
        " and payment_channel = 'CARD' and occurred_on between '2026-03-10' and '2026-03-20'"
    )[0]
    assert truth["n"] > 50
    assert kpi(page, "Fee revenue") == f"{truth['fees']:,.2f}"
    assert kpi(page, "Payments") == f"{truth['n']:,}"

    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").first.get_by_role("button").click()
    download.value.save_as(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 11
    assert sum(Decimal(row["fee_revenue"]) for row in rows) == truth["fees"]

    # By keyboard: a state, which then stands in the address and survives a reload.
    page.get_by_label("State").first.focus()
    page.keyboard.type("Kerala")
    page.keyboard.press("Enter")
    page.wait_for_url("**state=Kerala**")
    page.keyboard.press("Escape")  # an open list hides the rest of the page from assistive tools, and so from the test
    settled(page)
    narrowed = warehouse.sql(
        "select count(*) as n from marts.fact_transactions where currency = 'INR' and state = 'Kerala'"
        " and payment_channel = 'CARD' and occurred_on between '2026-03-10' and '2026-03-20'"
    )[0]
    assert 0 < narrowed["n"] < truth["n"]
    value = page.get_by_test_id("stMetric").filter(has_text="Payments").get_by_text(f"{narrowed['n']:,}", exact=True)
    value.wait_for()
    page.reload()
    settled(page)
    value.wait_for()
    assert "channel=CARD" in page.url


def test_every_page_is_reached_by_its_link_and_has_its_answers(page, address, flow):
    page.goto(f"{address}/?token={TOKEN}")
    settled(page)
    customer = flow.sql("select customer_id from live.payments where transaction_id = 'new-1'")[0]["customer_id"]
    for name in LAST:
        if name == "live":  # a busy machine may have needed long to come here
            fill_flow(flow)
            flow.sql("update live.positions set moved_at = now() + interval '20 s'")
        page.get_by_role("link", name=name.capitalize(), exact=True).click()
        if name == "customer":
            page.get_by_test_id("stTextInputField").fill(customer)
            page.keyboard.press("Enter")
            page.wait_for_url(f"**customer={customer}**")
        settled(page, name)
        assert page.get_by_test_id("stException").count() == 0
        page.set_viewport_size({"width": 1400, "height": 1500})
        picture(page, name)
        page.set_viewport_size({"width": 1400, "height": 1000})


@pytest.mark.parametrize(
    ("width", "scheme", "names"),
    [
        (390, "dark", ("business", "live", "customer")),
        pytest.param(390, "light", tuple(LAST), marks=pytest.mark.slow),
        pytest.param(390, "dark", tuple(LAST), marks=pytest.mark.slow),
        pytest.param(1400, "dark", tuple(LAST), marks=pytest.mark.slow),
    ],
)
def test_pages_fit_a_phone_and_the_dark(chromium, address, flow, width, scheme, names):
    customer = flow.sql("select customer_id from live.payments where transaction_id = 'new-1'")[0]["customer_id"]
    for page in visit(chromium, address, color_scheme=scheme):
        page.set_viewport_size({"width": width, "height": 900})
        for name in names:
            asked = f"&customer={customer}" if name == "customer" else ""
            page.goto(f"{address}/{name}?token={TOKEN}{asked}")
            settled(page, name)
            assert fits(page), name
            shade = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
            parts = [int(part) for part in shade[shade.index("(") + 1 : -1].split(",")[:3]]
            assert max(parts) < 80 if scheme == "dark" else min(parts) > 200
            picture(page, f"{name}-{width}-{scheme}")


def test_the_live_page_moves_while_events_arrive_and_asks_nothing_when_nobody_looks(page, address, flow):
    ended = threading.Event()

    def produce():
        count = 0
        while not ended.wait(0.2):
            count += 1
            flow.sql(
                "with now as (select date_trunc('second', clock_timestamp()) as second), counted as ("
                " insert into live.arrivals select second, 50, 50, 0, 0, 0, 77 from now"
                " on conflict (second) do update set events = live.arrivals.events + 50),"
                " moved as (update live.positions set moved_at = clock_timestamp())"
                " update live.totals set count = count + 1 where currency = 'INR' and status = 'SUCCESS'"
            )

    producer = threading.Thread(target=produce)
    producer.start()
    try:
        page.goto(f"{address}/live?token={TOKEN}")
        settled(page, "live")
        said = page.get_by_text("The last event was counted")
        first = said.inner_text()
        for _ in range(3):
            page.wait_for_function(
                "before => { const now = [...document.querySelectorAll('p')].map(p => p.innerText)"
                ".find(text => text.includes('The last event was counted')); return now && now !== before }",
                arg=first,
            )
            first = said.inner_text()
        assert kpi(page, "Events a second")
    finally:
        ended.set()
        producer.join()
    flow.sql("update live.positions set moved_at = moved_at - interval '1 minute'")
    page.get_by_text("Either nobody produces").wait_for()  # stands still, and says so
    page.goto("about:blank")
    deadline = time.monotonic() + PATIENCE / 1000
    quiet = (
        "select extract(epoch from clock_timestamp() - max(query_start)) as s from pg_stat_activity"
        " where application_name = 'tieout dashboard'"
    )
    while flow.sql(quiet)[0]["s"] < 4:
        assert time.monotonic() < deadline, "the page goes on asking with nobody there"
        time.sleep(0.2)


def test_a_detail_is_copied_and_the_password_shown_only_when_asked_for(page, address, warehouse):
    password = warehouse.env["POSTGRES_PASSWORD_READER"]
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{address}/connect?token={TOKEN}&mart=dim_customers")
    settled(page, "connect")
    port = page.get_by_test_id("stCode").filter(has_text=warehouse.env["POSTGRES_PORT"]).first
    port.hover()
    port.get_by_role("button").click()
    assert page.evaluate("navigator.clipboard.readText()") == warehouse.env["POSTGRES_PORT"]
    assert password not in page.content()
    page.get_by_role("button", name="Show the password here").click()
    page.get_by_text(password, exact=True).wait_for()
    assert password not in page.url
