"""An outside statement against the books: what agrees, and exactly what does not."""

from warehouse.reconcile.run import reconcile
from warehouse.reconcile.show import show_reconciliation

__all__ = ["reconcile", "show_reconciliation"]
