"""The transaction contract, read from transaction.odcs.yaml, and its renderers."""
