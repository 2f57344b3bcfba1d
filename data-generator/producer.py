"""The gateway by its known name: `python data-generator/producer.py --rate 5`; the same as `tieout produce`."""

from data_generator.cli import main, produce

if __name__ == "__main__":
    main(produce)
