"""Candidates with probabilities, out and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ctlns.errors import OutputError
from napari_ctlns.formats import Candidate, read_candidates, write_candidates
from napari_ctlns.measurement import COLUMNS, read_table, write_table
from napari_ctlns.measurement.candidates import candidates_of

numbers = st.floats(-2000, 2000)
rows = st.builds(
    Candidate,
    scan_id=st.from_regex(r"[0-9a-z.]{1,40}", fullmatch=True),
    x_mm=numbers,
    y_mm=numbers,
    z_mm=numbers,
    probability=st.floats(0, 1),
)


@given(st.lists(rows, max_size=5))
def test_what_is_written_is_read_again_to_the_last_digit(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("candidates") / "c.csv"
    write_candidates(path, written)
    assert path.read_text("utf-8").splitlines()[0] == "seriesuid,coordX,coordY,coordZ,probability"
    assert read_candidates(path) == tuple(written)


def test_a_table_becomes_candidates_only_with_every_probability(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        ",".join(COLUMNS) + "\n"
        "4,1.5,-2.5,3.25,9,9,9,9,1,2,3,2,2.5,3,-50,10,-80,0,False,0.875\n"
        "7,5,6,7,9,9,9,9,1,2,3,2,2.5,3,-50,10,-80,0,False,0.25\n",
        "utf-8",
    )
    table = read_table(path)
    first, second = candidates_of(table, "1.2.3")
    assert first == Candidate("1.2.3", 1.5, -2.5, 3.25, probability=0.875)
    assert second.probability == 0.25
    table.loc[1, "mean_probability"] = float("nan")
    write_table(table, path)
    with pytest.raises(OutputError, match="no probability of nodule 7"):
        candidates_of(read_table(path), "1.2.3")
