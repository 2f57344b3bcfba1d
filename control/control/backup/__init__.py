"""Copies of a platform: `tieout backup` makes one, `tieout restore` brings it to an empty home."""
