from pathlib import Path

from store.tape import Tape


def test_frames_lie_on_the_tape_in_the_recording_format(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "tape", max_mb=1)
    tape.write(5, b'{"a":1}')
    tape.write(6, b'{"b":\n2}')
    tape.close()
    (file,) = (tmp_path / "tape").glob("*.tsv")
    assert file.read_text() == '5\t<\t{"a":1}\n6\t<\t{"b": 2}\n'


def test_the_oldest_files_go_when_the_tape_is_full(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "tape", max_mb=1, file_bytes=1024 * 256)
    for number in range(20):
        tape.write(number, b"x" * 200_000)
    tape.close()
    files = sorted((tmp_path / "tape").glob("*.tsv"))
    assert len(files) == 4
    assert files[-1].read_text().split("\t")[0] == "18"
    assert sum(file.stat().st_size for file in files) < 2 * 1024 * 1024


def test_a_full_disk_costs_lines_and_raises_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "tape"
    tape = Tape(folder, max_mb=64)
    (folder / f"{5:020d}.tsv").symlink_to("/dev/full")
    for number in range(5, 10):
        tape.write(number, b"x" * 300_000)
    tape.close()
    assert tape.lost == 5


def test_after_a_while_the_tape_tries_the_disk_again(tmp_path: Path) -> None:
    folder = tmp_path / "tape"
    tape = Tape(folder, max_mb=64)
    full = folder / f"{5:020d}.tsv"
    full.symlink_to("/dev/full")
    tape.write(5, b"x" * 300_000)
    full.unlink()
    tape.write(6, b"too early")
    later = 6 + 5_000_000_000
    tape.write(later, b"{}")
    tape.close()
    assert tape.lost == 2
    assert (folder / f"{later:020d}.tsv").read_text() == f"{later}\t<\t{{}}\n"


def test_lines_wait_for_their_neighbours_and_keep_their_order(tmp_path: Path) -> None:
    folder = tmp_path / "tape"
    tape = Tape(folder, max_mb=64)
    made: list[int] = []

    def encode(number: int) -> bytes:
        made.append(number)
        return b"%d" % number

    for number in range(40):
        if number % 2:
            tape.write(number, number, b"q", encode)
        else:
            tape.write(number, b"%d" % number)
    assert made == list(range(1, 32, 2))  # an order that comes now has not waited for the rest
    tape.close()
    (file,) = folder.glob("*.tsv")
    assert file.read_text() == "".join(f"{each}\t{'q' if each % 2 else '<'}\t{each}\n" for each in range(40))


def test_a_long_frame_is_not_kept_in_memory(tmp_path: Path) -> None:
    folder = tmp_path / "tape"
    tape = Tape(folder, max_mb=64)
    tape.write(1, b"short")
    assert list(folder.iterdir()) == []
    tape.write(2, b"x" * 300_000)
    (file,) = folder.iterdir()
    assert file.stat().st_size > 300_000
    tape.close()


def test_lines_that_wait_when_the_disk_is_full_are_lost_together_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "tape"
    tape = Tape(folder, max_mb=64)
    (folder / f"{1:020d}.tsv").symlink_to("/dev/full")
    minute = 60_000_000_000
    for number in range(10):
        tape.write(1 + number * minute, b"short")
    tape.write(1 + 10 * minute, b"x" * 300_000)
    assert tape.lost == 11
    tape.write(2 + 11 * minute, b"{}")
    tape.close()
    assert tape.lost == 11
    assert (folder / f"{2 + 11 * minute:020d}.tsv").read_text() == f"{2 + 11 * minute}\t<\t{{}}\n"
