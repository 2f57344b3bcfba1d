"""Versioned migrations of the warehouse, in the order of their numbers."""
