"""The dashboard: marts and books in a browser, read as the role reader."""
