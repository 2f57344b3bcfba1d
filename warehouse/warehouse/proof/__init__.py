"""The proof: at every hop, count and amount are what the hop before has."""

from warehouse.proof.run import run_proof
from warehouse.proof.show import show_proof

__all__ = ["run_proof", "show_proof"]
