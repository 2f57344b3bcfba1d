"""Files as a way in: exports, daily batches and chunks become feeds, by mappings that are stated in YAML."""
