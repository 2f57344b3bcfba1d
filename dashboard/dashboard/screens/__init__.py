"""One module a page; each has `show`.

Not called pages: Streamlit takes a folder of that name beside the app for pages of its own making, and whoever is the
first to open an address of a new server is shown an empty one.
"""
