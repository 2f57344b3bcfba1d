"""The contracts of all entities, their judge, and their renderers."""
