"""The errors this package raises on purpose.

Every message says first what is wrong and then what to do: napari shows only
some forty characters of it, the command line one line.
"""


class CtlnsError(Exception):
    """Something a person can understand and mend; never a bug of ours."""


class ScanError(CtlnsError):
    """A scan cannot be read, or cannot be read rightly."""


class MaskError(CtlnsError):
    """A mask cannot be read, is empty, or does not fit its scan."""


class AnnotationError(CtlnsError):
    """A table of annotations lacks a column, or holds impossible values."""


class ClickError(CtlnsError):
    """Where a person clicked there is nothing like a nodule."""


class RecipeError(CtlnsError):
    """A recipe is unknown, or one of its values is not allowed."""


class DatasetError(CtlnsError):
    """A dataset cannot be made from the given files, or is not a dataset."""


class ModelError(CtlnsError):
    """A model folder is missing, incomplete, or not a model."""


class RunError(CtlnsError):
    """A training run cannot start, go on, or be watched."""


class ProjectError(CtlnsError):
    """A project file is damaged, or none, or of a newer version."""


class OutputError(CtlnsError):
    """A result cannot be written where it was asked for."""
