"""XML from strangers as a tree: bounded in size and depth, without document types.

Only a document type can declare entities, which is how small files become huge
ones or draw in others.
"""

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from napari_ctlns.errors import AnnotationError

_MOST_BYTES = 32 * 2**20
_DEEPEST = 64


def read_xml(path: Path) -> Element:
    """Return the root of an XML file; names are without their namespaces.

    Raises
    ------
    AnnotationError
        If it cannot be read, is no XML, has a document type, or is larger or deeper
        than any file of annotations.
    """
    data = _bytes(path)
    builder = TreeBuilder()
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise AnnotationError(f"XML nested too deeply: {path}; give the original file")
        builder.start(_local(name), attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_local(name))

    def refuse(*_: Any) -> None:
        raise AnnotationError(f"XML with a document type: {path}; give the original file")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    # expat does not know every encoding that a file may claim
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise AnnotationError(f"damaged XML: {path} ({error}); copy it again") from error
    return builder.close()


def text_of(element: Element, name: str) -> str:
    """Return the text of a child, without blanks around it; empty if there is none."""
    return (element.findtext(name) or "").strip()


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            message = f"too large for annotations: {path} has over {_MOST_BYTES >> 20} MiB"
            raise AnnotationError(f"{message}; give the original file")
        return path.read_bytes()
    except FileNotFoundError:
        raise AnnotationError(f"no such file: {path}; check the name") from None
    except OSError as error:
        raise AnnotationError(f"cannot read {path}: {error.strerror or error}") from error
