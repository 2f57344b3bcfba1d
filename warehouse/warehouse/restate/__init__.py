"""What the daily summary said once and says now, and the transactions between the two; and what has not settled."""

from warehouse.restate.pending import list_pending
from warehouse.restate.run import restate
from warehouse.restate.show import show_pending, show_restatement

__all__ = ["list_pending", "restate", "show_pending", "show_restatement"]
