"""`python -m control` is `tieout`."""

from control.cli import main

if __name__ == "__main__":
    main()
