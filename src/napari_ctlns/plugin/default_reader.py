"""Which reader napari takes for our files without asking: its own preferences say so.

napari asks for every file that several plugins can read, and its own reader claims
scans and tables too, though it loses where a scan lies. All patterns are set together:
with one of them alone, a scan that is dropped with its table brings the question after
the scan was opened, and then napari opens both once more.
"""

from napari.settings import get_settings

from napari_ctlns.plugin.settings import PLUGIN

PATTERNS = ("*.mhd", "*.mha", "*annotations*.csv", "*candidates*.csv", "*nodules*.csv")
"""What is a CT or a table of nodules nearly always. Folders, NIfTI, NRRD and single DICOM
files may be anything: for these napari goes on asking."""


def is_default_reader() -> bool:
    """Whether napari opens all our patterns with this plugin."""
    readers = get_settings().plugins.extension2reader
    return all(readers.get(pattern) == PLUGIN for pattern in PATTERNS)


def other_readers() -> dict[str, str]:
    """Return which other plugins a person chose for our patterns."""
    readers = get_settings().plugins.extension2reader
    there = {pattern: readers[pattern] for pattern in PATTERNS if pattern in readers}
    return {pattern: plugin for pattern, plugin in there.items() if plugin != PLUGIN}


def become_default_reader() -> dict[str, str]:
    """Let napari open our patterns with this plugin; return its readers as they were."""
    plugins = get_settings().plugins
    before = dict(plugins.extension2reader)
    # ours first: napari takes the first of patterns that are as specific as others, as *.csv is
    plugins.extension2reader = {**dict.fromkeys(PATTERNS, PLUGIN), **_without(before)}
    return before


def give_back_readers(before: dict[str, str]) -> None:
    """Let napari open our patterns as it did before; nothing else is changed."""
    plugins = get_settings().plugins
    ours = {pattern: before[pattern] for pattern in PATTERNS if pattern in before}
    plugins.extension2reader = {**_without(dict(plugins.extension2reader)), **ours}


def _without(readers: dict[str, str]) -> dict[str, str]:
    return {pattern: plugin for pattern, plugin in readers.items() if pattern not in PATTERNS}
