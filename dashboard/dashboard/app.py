"""The pages of the dashboard. Another page is another file in screens/ and another line here."""

from pathlib import Path

import streamlit as st

from dashboard.screens import alerts, books, business, connect, customer, live

st.set_page_config(page_title="Tieout", page_icon=str(Path(__file__).with_name("icon.png")), layout="wide")

st.navigation(
    [
        st.Page(business.show, title="Business", icon=":material/monitoring:", default=True),
        st.Page(live.show, title="Live", icon=":material/sensors:", url_path="live"),
        st.Page(alerts.show, title="Alerts", icon=":material/notifications:", url_path="alerts"),
        st.Page(customer.show, title="Customer", icon=":material/person_search:", url_path="customer"),
        st.Page(books.show, title="Books", icon=":material/balance:", url_path="books"),
        st.Page(connect.show, title="Connect", icon=":material/cable:", url_path="connect"),
        # The first page stands at the root; under its name it would not be found.
        st.Page(business.show, title="Business", url_path="business", visibility="hidden"),
    ],
    position="top",
).run()
