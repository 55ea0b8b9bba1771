"""Reads and edits XMP packets without losing what others wrote there.

lxml keeps the tree as it was: foreign namespaces with their prefixes, structures, qualifiers,
comments. (python-exiv2 builds packets anew from the properties that Exiv2 knows, and the standard
library's ElementTree renames the prefixes.) Packets come from strangers: no DTD, no entities, no
network.
"""

from __future__ import annotations

from typing import Any

from lxml import etree

from geotag import __version__
from geotag.metadata.marks import XMP_NAMESPACE, XMP_PREFIX

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
PACKET_LIMIT = 16 * 2**20
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'.encode()
_END = b'<?xpacket end="w"?>'
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

Struct = dict[str, str]


class XmpError(ValueError):
    """The packet cannot be read, or not edited safely."""


def expand(name: str) -> str:
    """ "dc:subject" as lxml's "{namespace}subject"."""
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


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
        tag = expand(name)
        for description in self._descriptions():
            if tag in description.attrib:
                return str(description.get(tag)).strip()
            element = description.find(tag)
            if element is not None:
                return _text_of(element)
        return ""

    def has(self, name: str) -> bool:
        """Whether the property is there in any form."""
        tag = expand(name)
        return any(tag in d.attrib or d.find(tag) is not None for d in self._descriptions())

    def items(self, name: str) -> tuple[str, ...]:
        """An array's texts; of a property that wrongly is no array, its one text."""
        array = self._array(name)
        if array is None:
            return (self.text(name),) if self.text(name) else ()
        return tuple(_text_of(item) for item in array)

    def structs(self, name: str) -> tuple[Struct, ...]:
        """An array of structures, of each the simple and the language-alternative fields."""
        array = self._array(name)
        return () if array is None else tuple(_struct_of(item) for item in array)

    def names(self) -> set[str]:
        """The expanded names of all properties at the top."""
        names: set[str] = set()
        for description in self._descriptions():
            names.update(name for name in description.attrib if name != expand("rdf:about"))
            names.update(child.tag for child in description if isinstance(child.tag, str))
        return names

    def canonical(self, tag: str) -> list[str]:
        """All that the packet says under one expanded name, in a form fit for comparing."""
        found: list[str] = []
        for description in self._descriptions():
            if tag in description.attrib:
                found.append(str(description.get(tag)))
            found += map(_canonical, description.findall(tag))
        return found

    def set_text(self, name: str, text: str) -> None:
        """Set a simple property where it stands, or add it."""
        tag = expand(name)
        for description in self._descriptions():
            if tag in description.attrib:
                description.set(tag, text)
                return
            element = description.find(tag)
            if element is not None:
                tail = element.tail
                element.clear()
                element.text, element.tail = text, tail
                return
        self._add(name).text = text

    def add_items(self, name: str, texts: tuple[str, ...], kind: str = "Bag") -> None:
        """Append texts to an array, which is made where there is none."""
        array = self._array(name)
        if array is None:
            texts = tuple(dict.fromkeys((*self.items(name), *texts)))
            self.remove(name)
            array = etree.SubElement(self._add(name), expand(f"rdf:{kind}"))
        for text in texts:
            etree.SubElement(array, expand("rdf:li")).text = text

    def add_struct(self, name: str, fields: Struct, alternatives: Struct) -> None:
        """Append a structure to a bag; `alternatives` are fields with a default language alone."""
        array = self._array(name)
        if array is None:
            self.remove(name)
            array = etree.SubElement(self._add(name), expand("rdf:Bag"))
        item = etree.SubElement(array, expand("rdf:li"))
        item.set(expand("rdf:parseType"), "Resource")
        for field, text in alternatives.items():
            alternative = etree.SubElement(_field(item, field), expand("rdf:Alt"))
            choice = etree.SubElement(alternative, expand("rdf:li"))
            choice.set(_LANG, "x-default")
            choice.text = text
        for field, text in fields.items():
            _field(item, field).text = text

    def remove_item(self, name: str, at: int) -> None:
        """Remove one item of an array, and the array with its last one."""
        array = self._array(name)
        if array is None:
            self.remove(name)
            return
        array.remove(array[at])
        if len(array) == 0:
            self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a property in all its forms."""
        tag = expand(name)
        for description in self._descriptions():
            description.attrib.pop(tag, None)
            for element in description.findall(tag):
                description.remove(element)
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
        return list(self._rdf.findall(expand("rdf:Description")))

    def _drop_empty_descriptions(self) -> None:
        for description in self._descriptions():
            is_bare = len(description) == 0 and set(description.attrib) <= {expand("rdf:about")}
            if is_bare and _is_own(description):
                self._rdf.remove(description)

    def _array(self, name: str) -> Any | None:
        tag = expand(name)
        for description in self._descriptions():
            element = description.find(tag)
            if element is None:
                continue
            for kind in ("rdf:Bag", "rdf:Seq", "rdf:Alt"):
                array = element.find(expand(kind))
                if array is not None:
                    return array
        return None

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


def _canonical(element: Any) -> str:
    """Names, attributes, texts and children, without prefixes and white space between elements."""
    text = element.text or ""
    texts = [text.strip() if len(element) else text]
    texts += [(child.tail or "").strip() for child in element]
    children = [_canonical(child) for child in element]
    return repr((str(element.tag), sorted(element.attrib.items()), texts, children))


def _is_own(description: Any) -> bool:
    above: Any = description.getparent().nsmap
    return XMP_NAMESPACE in description.nsmap.values() and XMP_NAMESPACE not in above.values()


def _nsmap(prefix: str) -> dict[str, str]:
    return {prefix: NAMESPACES[prefix]}


def _field(parent: Any, name: str) -> Any:
    return etree.SubElement(parent, expand(name))


def _text_of(element: Any) -> str:
    """The text of a property or item: of language alternatives the first, of qualified ones
    (rdf:value) the value alone."""
    first = element.find(f"{expand('rdf:Alt')}/{expand('rdf:li')}")
    element = element if first is None else first
    value = next(element.iter(expand("rdf:value")), None)
    return "".join((value if value is not None else element).itertext()).strip()


def _struct_of(item: Any) -> Struct:
    """Fields in each of RDF's three spellings: parseType, Description, attributes."""
    holder = item.find(expand("rdf:Description"))
    holder = item if holder is None else holder
    attributes = {_short(str(tag)): str(text) for tag, text in holder.attrib.items()}
    fields = {name: text for name, text in attributes.items() if not name.startswith("rdf:")}
    for child in holder:
        if isinstance(child.tag, str):
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
    except (etree.XMLSyntaxError, ValueError) as error:
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
