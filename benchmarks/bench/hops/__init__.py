"""The hops, one a module, in the order in which they are measured."""

from importlib import import_module

from bench.frame import Hop

NAMES = ("produce", "bronze", "silver", "gold", "event_to_gold", "drain", "proof", "start")


def find_hop(name: str) -> Hop:
    """Return the hop of a name; its module is imported now and not before."""
    found: Hop = import_module(f"bench.hops.{name}").HOP
    return found
