"""Fetches the card transactions, by its known name: `kaggle_loader.py` is the same as `tieout dataset download`."""

from data_generator.cli import download, main

if __name__ == "__main__":
    main(download)
