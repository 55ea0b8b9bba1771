"""Reads and edits XMP packets without losing what others wrote there.

lxml keeps the tree as it was: foreign namespaces with their prefixes, structures, qualifiers,
comments. (python-exiv2 builds packets anew from the properties that Exiv2 knows, and the standard
library's ElementTree renames the prefixes.) Packets come from strangers: no DTD, no entities, no
network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from lxml import etree

from geotag import __version__
from geotag.metadata.marks import XMP_NAMESPACE, XMP_PREFIX
from geotag.metadata.xmp import PACKET_LIMIT

NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    XMP_PREFIX: XMP_NAMESPACE,
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "dcterms": "http://purl.org/dc/terms/",
    "x": "adobe:ns:meta/",
}
_DECLARED = (*"dc digiKam exif Iptc4xmpCore Iptc4xmpExt lr photoshop".split(), XMP_PREFIX)
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'.encode()
_END = b'<?xpacket end="w"?>'
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

Struct = dict[str, str]


class XmpError(ValueError):
    """The packet cannot be read, or not edited safely."""


@cache
def expand(name: str) -> str:
    """ "dc:subject" as lxml's "{namespace}subject"."""
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


_DESCRIPTION = expand("rdf:Description")
_ARRAYS = tuple(map(expand, ("rdf:Bag", "rdf:Seq", "rdf:Alt")))


class XmpPacket:
    """One packet; properties are named like "dc:subject" whatever prefixes it uses itself."""

    def __init__(self, root: Any, is_declared: bool = False, newline: bytes = b"\n") -> None:
        self._root = root
        self._is_declared = is_declared
        self._newline = newline
        self._rdf = root if root.tag == expand("rdf:RDF") else root.find(expand("rdf:RDF"))
        if self._rdf is None:
            raise XmpError("the XMP packet holds no RDF")

    def text(self, name: str) -> str:
        """A simple property's text, empty where there is none."""
        return next(iter(self.texts(name)), "")

    def texts(self, name: str) -> tuple[str, ...]:
        """A simple property's text each time that it is given, though it should be only once."""
        return tuple(map(_text_of, self._forms(name)))

    def has(self, name: str) -> bool:
        """Whether the property is there in any form."""
        return next(self._forms(name), None) is not None

    def is_empty(self, name: str) -> bool:
        """Whether it is not there, or says nothing in any form."""
        return all(_is_empty(form) for form in self._forms(name))

    def items(self, name: str) -> tuple[str, ...]:
        """An array's texts; of a property that wrongly is no array, its one text."""
        return tuple(map(_text_of, self._values(name)))

    def structs(self, name: str) -> tuple[Struct, ...]:
        """An array of structures, of each the simple and the language-alternative fields."""
        return tuple(map(_struct_of, self._values(name)))

    def canonical_items(self, name: str) -> list[str]:
        """An array's items in a form fit for comparing."""
        return [_canonical_value(value) for value in self._values(name)]

    def properties(self) -> dict[str, list[str]]:
        """All that the packet says under each expanded name, in a form fit for comparing."""
        found: dict[str, list[str]] = {}
        for description in self._descriptions():
            for tag, text in description.attrib.items():
                if tag != expand("rdf:about"):
                    found.setdefault(str(tag), []).append(str(text))
            for child in _elements(description):
                found.setdefault(str(child.tag), []).append(_canonical(child))
        return found

    def set_text(self, name: str, text: str) -> None:
        """Set a simple property where it stands, or add it."""
        form = next(self._forms(name), None)
        if form is None:
            self._add(name).text = text
        elif isinstance(form, _Attribute):
            form.holder.set(form.tag, text)
        else:
            tail = form.tail
            form.clear()
            form.text, form.tail = text, tail

    def add_items(self, name: str, texts: tuple[str, ...], kind: str = "Bag") -> None:
        """Append texts to an array, which is made where there is none."""
        array = self._array(name, kind)
        for text in texts:
            etree.SubElement(array, expand("rdf:li")).text = text

    def add_struct(self, name: str, fields: Struct, alternatives: Struct) -> None:
        """Append a structure to a bag; `alternatives` are fields with a default language alone."""
        item = etree.SubElement(self._array(name, "Bag"), expand("rdf:li"))
        item.set(expand("rdf:parseType"), "Resource")
        for field, text in alternatives.items():
            alternative = etree.SubElement(_field(item, field), expand("rdf:Alt"))
            choice = etree.SubElement(alternative, expand("rdf:li"))
            choice.set(_LANG, "x-default")
            choice.text = text
        for field, text in fields.items():
            _field(item, field).text = text

    def remove_items(self, name: str, is_unwanted: Callable[[str], bool]) -> None:
        """Remove the items of an array whose texts are unwanted, and an array with its last one."""
        self._remove_values(name, lambda value: is_unwanted(_text_of(value)))

    def remove_structs(self, name: str, is_unwanted: Callable[[Struct], bool]) -> None:
        """Remove the structures of an array that are unwanted, and an array with its last one."""
        self._remove_values(name, lambda value: is_unwanted(_struct_of(value)))

    def remove(self, name: str) -> None:
        for form in list(self._forms(name)):
            _detach(form)
        self._drop_empty_descriptions()

    def serialize(self, size: int = 0) -> bytes:
        """The packet as UTF-8, padded with white space to `size` bytes where it is shorter."""
        for description in filter(_is_own, self._descriptions()):
            etree.indent(description, " ", level=2)
        data: bytes = etree.tostring(
            self._root.getroottree(), encoding="utf-8", xml_declaration=self._is_declared
        )
        data = data.replace(b"\n", self._newline)
        at = data.rfind(b"<?xpacket end")
        return data if at < 0 else data[:at] + b" " * (size - len(data)) + data[at:]

    def _descriptions(self) -> list[Any]:
        return list(self._rdf.iterchildren(_DESCRIPTION))

    def _drop_empty_descriptions(self) -> None:
        for description in self._descriptions():
            is_bare = len(description) == 0 and set(description.attrib) <= {expand("rdf:about")}
            if is_bare and _is_own(description):
                self._rdf.remove(description)

    def _forms(self, name: str) -> Iterator[Any]:
        """Each attribute and element that gives a property: there should be one at most."""
        tag = expand(name)
        for description in self._rdf.iterchildren(_DESCRIPTION):
            if description.get(tag) is not None:
                yield _Attribute(description, tag)
            yield from description.iterchildren(tag)

    def _values(self, name: str) -> Iterator[Any]:
        """The items of a property's arrays, and what it says without one."""
        for form in self._forms(name):
            array = _array_in(form)
            if array is not None:
                yield from _elements(array)
            elif not _is_empty(form):
                yield form

    def _remove_values(self, name: str, is_unwanted: Callable[[Any], bool]) -> None:
        for form in list(self._forms(name)):
            array = _array_in(form)
            if array is None:
                if is_unwanted(form):
                    _detach(form)
                continue
            unwanted = list(filter(is_unwanted, _elements(array)))
            for item in unwanted:
                _detach(item)
            if unwanted and len(array) == 0:
                _detach(array)
                if _is_empty(form):
                    _detach(form)
        self._drop_empty_descriptions()

    def _array(self, name: str, kind: str) -> Any:
        """The property's array; one made anew takes in what the property said without one."""
        forms = list(self._forms(name))
        found = next((array for array in map(_array_in, forms) if array is not None), None)
        if found is not None:
            return found
        items = [_as_item(form) for form in forms if not _is_empty(form)]
        self.remove(name)
        array = etree.SubElement(self._add(name), expand(f"rdf:{kind}"))
        array.extend(items)
        return array

    def _add(self, name: str) -> Any:
        return etree.SubElement(self._own_description(), expand(name))

    def _own_description(self) -> Any:
        """The description that holds what geotag adds, apart from those of others."""
        descriptions = self._descriptions()
        for description in descriptions:
            if _is_own(description):
                return description
        about = descriptions[0].get(expand("rdf:about"), "") if descriptions else ""
        own = {prefix: NAMESPACES[prefix] for prefix in _DECLARED}
        description = etree.SubElement(self._rdf, expand("rdf:Description"), nsmap=own)
        description.set(expand("rdf:about"), about)
        description.tail = "\n "
        return description


class _Attribute(NamedTuple):
    """A property that is given as an attribute of a description."""

    holder: Any
    tag: str

    @property
    def value(self) -> str:
        return str(self.holder.get(self.tag))


def _elements(parent: Any) -> Iterator[Any]:
    """The elements in another, without comments and processing instructions."""
    found: Iterator[Any] = parent.iterchildren(etree.Element)
    return found


def _array_in(form: Any) -> Any | None:
    if isinstance(form, _Attribute):
        return None
    return next(form.iterchildren(*_ARRAYS), None)


def _is_empty(form: Any) -> bool:
    if isinstance(form, _Attribute):
        return not form.value.strip()
    return not (len(form) or form.attrib or (form.text or "").strip())


def _detach(form: Any) -> None:
    if isinstance(form, _Attribute):
        del form.holder.attrib[form.tag]
        return
    parent, before, tail = form.getparent(), form.getprevious(), form.tail or ""
    if tail.strip() and before is not None:  # lxml would remove the text behind it as well
        before.tail = (before.tail or "") + tail
    elif tail.strip():
        parent.text = (parent.text or "") + tail
    parent.remove(form)


def _as_item(form: Any) -> Any:
    """The same as an item of an array, with its qualifiers, language and fields."""
    item = etree.Element(expand("rdf:li"), nsmap=_nsmap("rdf"))
    if isinstance(form, _Attribute):
        item.text = form.value
        return item
    item.text = form.text
    for name, value in form.attrib.items():
        item.set(name, value)
    item.extend(list(form))
    return item


def _canonical_value(value: Any) -> str:
    """Of a value alone, whatever the element around it is called."""
    if isinstance(value, _Attribute):
        return repr((None, [], [value.value], []))
    return _canonical(value, named=False)


def _canonical(element: Any, named: bool = True) -> str:
    """Names, attributes, texts and children, without prefixes and white space between elements."""
    text = element.text or ""
    texts = [text.strip() if len(element) else text]
    texts += [(child.tail or "").strip() for child in element]
    children = [_canonical(child) for child in element]
    tag = str(element.tag) if named else None
    return repr((tag, sorted(element.attrib.items()), texts, children))


def _is_own(description: Any) -> bool:
    above: Any = description.getparent().nsmap
    return XMP_NAMESPACE in description.nsmap.values() and XMP_NAMESPACE not in above.values()


def _nsmap(prefix: str) -> dict[str, str]:
    return {prefix: NAMESPACES[prefix]}


def _field(parent: Any, name: str) -> Any:
    return etree.SubElement(parent, expand(name))


def _text_of(value: Any) -> str:
    """The text of a property or item: of language alternatives the first, of qualified ones
    (rdf:value) the value alone."""
    if isinstance(value, _Attribute):
        return value.value.strip()
    if len(value) == 0:
        return (value.text or "").strip()
    first = value.find(f"{expand('rdf:Alt')}/{expand('rdf:li')}")
    element = value if first is None else first
    inner = next(element.iter(expand("rdf:value")), None)
    return str(_STRING(element if inner is None else inner)).strip()


# All text within an element, without that of comments.
_STRING = etree.XPath("string()")


def _struct_of(item: Any) -> Struct:
    """Fields in each of RDF's three spellings: parseType, Description, attributes."""
    if isinstance(item, _Attribute):
        return {}
    holder = item.find(expand("rdf:Description"))
    holder = item if holder is None else holder
    attributes = {_short(str(tag)): str(text) for tag, text in holder.attrib.items()}
    fields = {name: text for name, text in attributes.items() if not name.startswith("rdf:")}
    for child in _elements(holder):
        fields[_short(child.tag)] = _text_of(child)
    return fields


_PREFIXES = {namespace: prefix for prefix, namespace in NAMESPACES.items()}


def _short(tag: str) -> str:
    namespace, _, local = tag.rpartition("}")
    return f"{_PREFIXES.get(namespace[1:], namespace[1:])}:{local}"


def parse_packet(data: bytes) -> XmpPacket:
    """Read a packet, embedded or a sidecar's. Raises XmpError."""
    if len(data) > PACKET_LIMIT:
        raise XmpError(f"the XMP packet is larger than {PACKET_LIMIT >> 20} MiB")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_blank_text=False
    )
    try:
        is_utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        root = etree.fromstring(data if is_utf16 else data.strip(b"\0 \t\r\n"), parser)
    except (etree.LxmlError, ValueError, LookupError, MemoryError) as error:
        raise XmpError(f"the XMP packet cannot be read ({_brief(error)})") from error
    if root.getroottree().docinfo.doctype:
        raise XmpError("the XMP packet has a document type, which XMP forbids")
    return XmpPacket(root, b"<?xml " in data[:10], _newline(data))


def _brief(error: Exception) -> str:
    return str(error).partition("\n")[0][:120]


def _newline(data: bytes) -> bytes:
    """XML reads all ends of lines alike, but readers that are no XML parsers do not."""
    windows = data.count(b"\r\n")
    return b"\r\n" if windows and windows == data.count(b"\n") else b"\n"


def new_packet() -> XmpPacket:
    """An empty packet that says which tool made it."""
    root = etree.Element(expand("x:xmpmeta"), nsmap=_nsmap("x"))
    root.set(expand("x:xmptk"), f"geotag {__version__}")
    etree.SubElement(root, expand("rdf:RDF"), nsmap=_nsmap("rdf"))
    etree.indent(root, " ")
    body = etree.tostring(root, encoding="utf-8")
    return parse_packet(_BEGIN + body + b"\n" + _END)
