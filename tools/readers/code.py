"""Source code: the text as it stands, divided at its classes and functions, each under its qualified name.

tree-sitter finds the definitions; a damaged file gives those that can still be told. Comments and decorators right
above a definition belong to it. Functions inside functions belong to the outer one. Lines are never divided while they
fit a passage.
"""

import re
from collections.abc import Iterator
from importlib import import_module
from itertools import groupby

from tree_sitter import Language, Node, Parser

from tools.extracted import Extracted, Section
from tools.readers.kinds import GRAMMARS
from tools.readers.plain import lines_of
from tools.readers.source import Source

NAME_CHARS = 80

_WORD = re.compile(r"\w")

_FUNCTIONS = frozenset(
    """
    function_definition function_declaration generator_function_declaration function_item method_definition
    method_declaration constructor_declaration compact_constructor_declaration
    """.split()  # noqa: SIM905 - a list to be read by people
)
_CLASSES = frozenset(
    """
    class_definition class_declaration abstract_class_declaration interface_declaration enum_declaration
    record_declaration annotation_type_declaration internal_module impl_item trait_item mod_item struct_item enum_item
    class_specifier struct_specifier namespace_definition type_spec
    """.split()  # noqa: SIM905 - as above
)
_WRAPPERS = frozenset("decorated_definition export_statement template_declaration expression_statement".split())  # noqa: SIM905
_HOLDERS = _WRAPPERS | frozenset(
    """
    program module source_file translation_unit block class_body declaration_list field_declaration_list interface_body
    enum_body enum_body_declarations statement_block linkage_specification ambient_declaration type_declaration
    preproc_ifdef preproc_if preproc_else if_statement else_clause try_statement except_clause
    """.split()  # noqa: SIM905 - as above
)
_ASSIGNED = frozenset({"lexical_declaration", "variable_declaration"})
_FUNCTION_VALUES = frozenset({"arrow_function", "function_expression", "class"})
_ABOVE = frozenset({"comment", "line_comment", "block_comment", "attribute_item"})

_Owner = tuple[str, str]
"""Kind and qualified name of a definition; both "" outside of any."""


def read_code(source: Source) -> Extracted:
    """Read a source file in one of the languages of ``GRAMMARS``."""
    text = source.text()
    module, function = GRAMMARS[source.path.suffix.casefold()].split(":")
    grammar: object = getattr(import_module(module), function)()
    parser = Parser(Language(grammar))
    lines = text.split("\n")
    owners = [("", "")] * len(lines)
    for first, last, owner in _definitions(parser.parse(text.encode()).root_node):
        owners[first : last + 1] = [owner] * (last + 1 - first)
    for row in range(1, len(lines)):
        if not _WORD.search(lines[row]):
            # a closing bracket goes with what it closes
            owners[row] = owners[row - 1]
    return Extracted(text, "", tuple(_sections(lines, owners)))


def _sections(lines: list[str], owners: list[_Owner]) -> Iterator[Section]:
    """Neighbouring lines of one owner are a section; white space lies between."""
    start = 0
    for (kind, name), group in groupby(zip(owners, lines, strict=True), key=lambda pair: pair[0]):
        text = "\n".join(line for _, line in group)
        units = tuple(lines_of(text, start))
        if units:
            yield Section(units[0][0], units[-1][1], (name,) if name else (), units=units, kind=kind)
        start += len(text) + 1


def _definitions(root: Node) -> Iterator[tuple[int, int, _Owner]]:
    """First row, last row, kind and qualified name of each definition, outer ones before what is in them.

    What is defined on the line on which the outer definition begins does not stand apart from it.
    """
    stack: list[tuple[Node, int, tuple[str, ...]]] = [(root, 0, ())]
    last = -1
    while stack:
        node, first, outer = stack.pop()
        name = _name(node)
        if name:
            outer = (*outer, name)
            if first > last:
                yield first, node.end_point.row, (_kind(node), ".".join(outer))
            last = max(last, first)
        if node.type in _HOLDERS or node.type in _CLASSES:
            stack += [(child, row, outer) for child, row in _children(node, first)][::-1]


def _children(node: Node, first: int) -> Iterator[tuple[Node, int]]:
    """What is in a node, each with the row where it begins: that of the comments and wrappers above it."""
    above = -1
    last = -1
    for child in node.children:
        row = child.start_point.row
        if child.type in _ABOVE:
            above = above if above >= 0 and row <= last + 1 else row
        else:
            joined = above >= 0 and row <= last + 1
            yield child, first if node.type in _WRAPPERS else above if joined else row
            above = -1
        last = child.end_point.row - (child.end_point.column == 0)


def _kind(node: Node) -> str:
    """What a citation calls a definition; "" where there are too many words for it (struct, trait, namespace)."""
    if node.type in _FUNCTIONS or node.type in _ASSIGNED:
        return "function"
    return "class" if "class" in node.type else ""


def _name(node: Node) -> str:
    """What a node defines, or ""."""
    if node.type in _ASSIGNED:
        declared = next((child for child in node.named_children if child.type == "variable_declarator"), None)
        value = declared.child_by_field_name("value") if declared else None
        named = declared if value and value.type in _FUNCTION_VALUES else None
        return _words(named.child_by_field_name("name")) if named else ""
    if node.type not in _FUNCTIONS and node.type not in _CLASSES:
        return ""
    field = "type" if node.type == "impl_item" else "declarator"
    name = node.child_by_field_name("name") or node.child_by_field_name(field)
    while name and (inner := name.child_by_field_name("declarator")):
        name = inner
    return ".".join(filter(None, (_receiver(node), _words(name))))


def _receiver(node: Node) -> str:
    """The type a Go method belongs to."""
    receiver = node.child_by_field_name("receiver")
    named = receiver.named_children if receiver else []
    return _words(named[0].child_by_field_name("type")).lstrip("*") if named else ""


def _words(node: Node | None) -> str:
    text = node.text if node else None
    return " ".join(text.decode("utf-8", "replace").split())[:NAME_CHARS] if text else ""
