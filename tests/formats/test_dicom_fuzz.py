"""Whatever the bytes of a DICOM file are, it is read or refused in words, soon, and nothing ends.

Each kind is read in a process of its own, for a decoder that fails may end its process.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("dicom_fuzz.py")
KINDS = [
    "uncompressed",
    "deflated",
    "RLE",
    "JPEG-LS",
    "JPEG-2000",
    "JPEG-lossless",
    "JPEG-baseline",
    "enhanced",
    "enhanced-JPEG-LS",
]


def counts(kind, rounds, seed, folder):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), kind, str(rounds), str(seed), str(folder)],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    name, read, refused = done.stdout.split()
    assert name == kind
    return int(read), int(refused)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused(tmp_path, kind):
    read, refused = counts(kind, 200, 1, tmp_path)
    assert read > 5
    assert refused > 50


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", KINDS)
def test_very_many_damaged_files_are_read_or_refused(tmp_path, kind):
    read, refused = counts(kind, 5000, 2, tmp_path)
    assert read + refused == 5000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts many processes by forking")
def test_threads_that_read_the_first_packed_slices_together_do_not_end_the_process(tmp_path):
    script = SCRIPT.with_name("dicom_first_reads.py")
    # without a guard three in two hundred processes fell
    command = [sys.executable, str(script), "JPEG-LS", "300", str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == 0
