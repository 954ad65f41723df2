"""How far a start is with its journal, for who looks on from another thread while the event loop stands still."""

from dataclasses import dataclass


@dataclass(slots=True)
class ReadingProgress:
    """Record `at` of `total`, in reading number `reading`: 0 while the journal is only opened and checked.

    What people are shown is folded in the first reading, the engine in the second, when its instruments are known.
    """

    reading: int = 0
    at: int = 0
    total: int = 0

    def begin(self, reading: int, at: int, total: int) -> None:
        """From record `at` on; what lies before it a checkpoint holds."""
        self.at, self.total, self.reading = at, total, reading

    def __str__(self) -> str:
        if not self.reading or not self.total:
            return "it is being checked, and nothing is folded yet"
        share = f"{self.at:,} of {self.total:,} records are folded ({100 * self.at // self.total} %)"
        return f"{share}, in the {'first' if self.reading == 1 else 'second'} of two readings"
