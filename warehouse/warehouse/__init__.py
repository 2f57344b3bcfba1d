"""The silver warehouse: migrations, loader, control totals and proof."""
