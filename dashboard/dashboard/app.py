"""The pages of the dashboard. Another page is another file in pages/ and another line here."""

from pathlib import Path

import streamlit as st

from dashboard.pages import books, business

st.set_page_config(page_title="Tieout", page_icon=str(Path(__file__).with_name("icon.png")), layout="wide")

st.navigation(
    [
        st.Page(business.show, title="Business", icon=":material/monitoring:", url_path="business", default=True),
        st.Page(books.show, title="Books", icon=":material/balance:", url_path="books"),
    ],
    position="top",
).run()
