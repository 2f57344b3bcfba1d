"""Feeds as an operator sees them: how each stands in E0, and how one that cannot tie out is ended."""
