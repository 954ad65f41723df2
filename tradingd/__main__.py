"""`python -m tradingd` is the same as `tradingd`."""

from tradingd.cli import main

if __name__ == "__main__":
    main()
