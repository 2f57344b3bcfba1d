"""The dashboard in a real browser: the door, the figures, the address, the files, the looks."""

import csv
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from decimal import Decimal
from pathlib import Path

import pytest
from filled import TOKEN

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


def settled(page):
    """Wait until the page has everything."""
    page.get_by_role("heading", name="Hours and weekdays").wait_for()
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')")
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")
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
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"))


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
    picture(page, "business")

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


def test_the_books_page_answers_and_is_reached_from_the_first(page, address):
    page.goto(f"{address}/?token={TOKEN}")
    settled(page)
    page.get_by_role("link", name="Books").click()
    page.get_by_role("heading", name="Incidents").wait_for()
    page.get_by_text("Data age").wait_for()
    assert page.get_by_test_id("stException").count() == 0
    picture(page, "books")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1400, "dark")])
def test_pages_fit_a_phone_and_the_dark(chromium, address, width, scheme):
    for page in visit(chromium, address, color_scheme=scheme):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"{address}/?token={TOKEN}")
        settled(page)
        assert fits(page)
        background = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
        assert max(int(part) for part in background[background.index("(") + 1 : -1].split(",")[:3]) < 80
        picture(page, f"business-{width}-{scheme}")
