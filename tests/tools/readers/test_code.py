"""Source code: each definition under its qualified name, in every language that has a grammar."""

from pathlib import Path

import pytest

from tests.tools.samples import PYTHON, assert_well_divided, read_as, stretches


def test_a_definition_stands_under_its_qualified_name_with_what_is_written_above_it(tmp_path: Path) -> None:
    extracted = read_as(tmp_path, "a.py", PYTHON)
    assert extracted.text == PYTHON
    assert stretches(extracted) == [
        ((), "import os\n\nLIMIT = 9"),
        (("Cache",), "# Keeps things.\n@final\nclass Cache:\n    size = 1"),
        (("Cache.get",), "    def get(self, key):\n        def inner():\n            return 1\n        return inner()"),
        (("main",), "def main():\n    return Cache()"),
    ]
    assert [extracted.text[start:end] for start, end in extracted.sections[3].units] == [
        "def main():",
        "    return Cache()",
    ]


LANGUAGES = {
    "a.js": "function a() {}\n\nclass B {\n  c() {}\n}\nexport const d = () => 1;\nlet e = 2\n",
    "a.ts": "namespace N {\n  export interface I { x: 1 }\n}\nabstract class C {\n  f(): void {}\n}\n",
    "a.tsx": "export function App() {\n  return <b>hi</b>\n}\n",
    "A.java": "class A {\n  A() {}\n  /** Runs. */\n  void run() {}\n  enum E { X }\n}\n",
    "a.go": "package a\ntype T struct{}\nfunc (t *T) M() {}\nfunc F() {}\n",
    "a.rs": "mod m {\n#[test]\nfn f() {}\n}\nimpl<T> S<T> {\n  fn g() {}\n}\n",
    "a.c": "#ifdef A\nint *f(int a)\n{ return 0; }\n#endif\nstruct s { int x; };\n",
    "a.cpp": "namespace n {\ntemplate <class T>\nclass C {\n  int f() { return 1; }\n};\n}\nint n::C::g() {}\n",
}
NAMES = {
    "a.js": ["a", "B", "B.c", "d", ""],
    "a.ts": ["N", "N.I", "C", "C.f"],
    "a.tsx": ["App"],
    "A.java": ["A", "A.A", "A.run", "A.E"],
    "a.go": ["", "T", "T.M", "F"],
    "a.rs": ["m", "m.f", "S<T>", "S<T>.g"],
    "a.c": ["", "f", "", "s"],
    "a.cpp": ["n", "n.C", "n.C.f", "n::C::g"],
}


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_language_has_its_names(tmp_path: Path, name: str) -> None:
    extracted = read_as(tmp_path, name, LANGUAGES[name])
    assert [".".join(section.headings) for section in extracted.sections] == NAMES[name]
    assert_well_divided(extracted)


def test_a_citation_calls_functions_and_classes_what_they_are(tmp_path: Path) -> None:
    kinds = {section.headings: section.kind for section in read_as(tmp_path, "a.py", PYTHON).sections}
    assert kinds == {(): "", ("Cache",): "class", ("Cache.get",): "function", ("main",): "function"}
    arrow = read_as(tmp_path, "a.js", "const twice = (x) => x + x\n").sections
    assert [section.kind for section in arrow] == ["function"]
    assert [section.kind for section in read_as(tmp_path, "a.rs", "struct Shop;\n").sections] == [""]


def test_what_is_defined_on_the_line_of_its_class_stays_with_it(tmp_path: Path) -> None:
    text = "class Tool { int price() { return 1; }\n  int size() { return 2; } };\n"
    assert [section.headings for section in read_as(tmp_path, "a.cpp", text).sections] == [("Tool",), ("Tool.size",)]


def test_damaged_code_keeps_what_can_be_told(tmp_path: Path) -> None:
    extracted = read_as(
        tmp_path, "a.py", "def ok():\n    return 1\n\ndef broken(:\n  ((((\n\ndef fine():\n    return 2\n"
    )
    assert ("ok",) in [section.headings for section in extracted.sections]


def test_code_in_other_languages_is_kept_line_by_line(tmp_path: Path) -> None:
    extracted = read_as(tmp_path, "a.yaml", "tools:\n  - saw\n\n  - nail\n")
    (section,) = extracted.sections
    assert [extracted.text[start:end] for start, end in section.units] == ["tools:", "  - saw", "  - nail"]
