"""What `ctlns prepare --splits` may say: a file, or a rule."""

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_ctlns.errors import DatasetError
from napari_ctlns.recipe import first_problem
from napari_ctlns.specs import SplitByCount, SplitByFolds, SplitByFraction

SPLIT_FORMS = ("subsets[:N]", "fraction:TRAIN,VAL,TEST", "count:VAL,TEST", "folds:K:I")
_RULE = re.compile(r"(subsets?|fractions?|counts?|folds?)(?::(.*))?")
_LAST_SUBSET = 9  # LUNA16 has subset0 to subset9


def split_fields(text: str | None) -> dict[str, Any]:
    """Return the fields of a `PrepareSpec` that say how patients are divided.

    Parameters
    ----------
    text
        A file; or ``subsets:8``, LUNA16's subset 8 for testing; ``fraction:0.7,0.15,0.15``
        or ``count:10,20`` of the patients; ``folds:5:0``, the first of five folds for
        testing. What is a file there is never a rule.

    Raises
    ------
    DatasetError
        If it is none of them.
    """
    if text is None:
        return {}
    rule = _RULE.fullmatch(text)
    if rule is None or Path(text).exists():
        return {"splits": Path(text).absolute()}
    name, numbers = rule[1].rstrip("s"), rule[2]
    try:
        if name == "subset":
            return {"test_subset": _LAST_SUBSET if numbers is None else _whole(numbers)}
        return {"split_rule": _rule(name, numbers or "")}
    except ValidationError as error:
        raise DatasetError(f"--splits {text}: {first_problem(error)}; {_FORMS}") from error
    except ValueError as error:
        raise DatasetError(f"--splits {text} is not understood; {_FORMS}") from error


_FORMS = f"write a file or {', '.join(SPLIT_FORMS)}"


def _rule(name: str, numbers: str) -> SplitByFraction | SplitByCount | SplitByFolds:
    if name == "fraction":
        train, val, test = (float(number) for number in numbers.split(","))
        return SplitByFraction(train=train, val=val, test=test)
    if name == "count":
        validation, testing = (_whole(number) for number in numbers.split(","))
        return SplitByCount(val=validation, test=testing)
    folds, fold = (_whole(number) for number in numbers.split(":"))
    return SplitByFolds(folds=folds, fold=fold)


def _whole(number: str) -> int:
    if not number.strip().isascii() or not number.strip().isdigit():
        raise ValueError(number)
    return int(number)
