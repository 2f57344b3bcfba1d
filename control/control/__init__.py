"""The local platform and the tieout command."""
