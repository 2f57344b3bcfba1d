"""The full card transactions, by its known name: `python data-generator/kaggle_loader.py` is `tieout dataset download`."""

from data_generator.cli import download, main

if __name__ == "__main__":
    main(download)
