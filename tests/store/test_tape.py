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
