"""HTML: its tags and scripts gone, its headings kept."""

from pathlib import Path

import pytest

from infra.errors import DocumentError
from tests.tools.samples import read_as, stretches


def test_html_loses_its_tags_and_scripts_and_keeps_its_headings(tmp_path: Path) -> None:
    extracted = read_as(
        tmp_path,
        "page.html",
        """<!doctype html><html><head><title> The  page </title><style>p {color: red}</style></head><body>
        <nav><a href="/">Home</a></nav><script>alert("x")</script><noscript>no</noscript><!-- comment -->
        <h1>Caches</h1><p>A <b>cache</b> keeps
        things.</p><h2>Kinds</h2><ul><li>Exact<li>Semantic</ul>
        <table><tr><th>name<th>size</tr><tr><td>KV</td><td>9&nbsp;GiB</td></tr></table>
        <pre>a = 1\n  b = 2\n</pre><p hidden>secret</p><div style="Display : None">secret</div>one<br>two
        <template>x</template></body></html>""",
    )
    assert extracted.title == "The page"
    assert extracted.text == (
        "Caches\n\nA cache keeps things.\n\nKinds\n\n- Exact\n- Semantic\n\nname | size\nKV | 9 GiB\n\n"
        "a = 1\n  b = 2\n\none\n\ntwo"
    )
    assert [headings for headings, _ in stretches(extracted)] == [("Caches",), ("Caches", "Kinds")]


def test_html_without_a_title_is_called_by_its_first_heading(tmp_path: Path) -> None:
    assert read_as(tmp_path, "page.html", "<h3>Third</h3><p>Text").title == "Third"


def test_the_encoding_of_html_is_its_own(tmp_path: Path) -> None:
    for encoding, text in (("koi8-r", "\u041c\u0438\u0440"), ("iso-2022-jp", "\u65e5\u672c")):
        data = f'<meta charset="{encoding}"><p>{text}'.encode(encoding)
        assert read_as(tmp_path, "page.html", data).text == text


def test_a_byte_order_mark_counts_for_more_than_what_the_page_says(tmp_path: Path) -> None:
    data = '\ufeff<meta charset="iso-8859-1"><p>K\u00f6ln'.encode()
    assert read_as(tmp_path, "page.html", data).text == "K\u00f6ln"


def test_what_follows_something_hidden_is_not_taken_for_it(tmp_path: Path) -> None:
    extracted = read_as(tmp_path, "page.html", "<h1>Top</h1>One.<h2 hidden>Secret <b>words</b></h2>Two.")
    assert stretches(extracted) == [(("Top",), "Top\n\nOne.\n\nTwo.")]


@pytest.mark.parametrize("text", ["", "<script>x</script>", "<p> </p>"])
def test_html_without_text_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DocumentError, match="there is no text in it"):
        read_as(tmp_path, "page.html", text)


def test_deeply_nested_html_is_read(tmp_path: Path) -> None:
    assert read_as(tmp_path, "page.html", "<div>" * 200 + "deep" + "</div>" * 200).text == "deep"


def test_a_picture_inside_a_page_hides_nothing_of_the_text_after_it(tmp_path: Path) -> None:
    picture = "A" * 12_000_000
    extracted = read_as(
        tmp_path,
        "page.html",
        f'<p>Before.</p><img src="data:image/png;base64,{picture}"><p>After.</p>',
        max_bytes=20_000_000,
    )
    assert extracted.text == "Before.\n\nAfter."
