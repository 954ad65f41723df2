"""The product's version, as installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("tradingd")
except PackageNotFoundError:  # run from a tree that was never installed
    VERSION = "0+unknown"
