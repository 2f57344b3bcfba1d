"""Chunks of a file in a folder or bucket, and patterns found in them."""
