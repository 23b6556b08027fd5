import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fastsam.wording import ANYTHING, Wording


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("nucleus", ("nucleus",), ()),
        ("  red   circle\n", ("red circle",), ()),
        ("cell|nucleus, debris", ("cell", "nucleus", "debris"), ()),
        ("cell, not background", ("cell",), ("background",)),
        ("NOT dust | Cell | cell", ("Cell",), ("dust",)),
        ("not background", (ANYTHING,), ("background",)),
        ("notochord", ("notochord",), ()),
        ("cell, not", ("cell",), ()),
        ("||cell,,", ("cell",), ()),
        ("細胞 | клетка", ("細胞", "клетка"), ()),
        ("🔬", ("🔬",), ()),
    ],
)
def test_phrases_are_told_apart(text, wanted, unwanted):
    assert Wording.parse(text) == (wanted, unwanted)


def test_anything_is_wanted_where_only_what_is_not_is_named():
    assert Wording.parse("not background").anything
    assert not Wording.parse("object, not background").anything
    assert not Wording.parse("anything").anything


@pytest.mark.parametrize("text", ["", "   ", "|", " , | ", "not", "not , not", "?!", "..."])
def test_a_text_without_words_is_refused(text):
    with pytest.raises(ValueError, match=r"Expected words for what is wanted\. Got"):
        Wording.parse(text)


PHRASES = st.lists(
    st.text(st.characters(categories=("Ll", "Lu")), min_size=1).filter(lambda t: t.lower() != "not")
)


@given(PHRASES, PHRASES)
def test_parsing_gives_back_what_was_put_together(wanted, unwanted):
    text = "|".join([*wanted, *(f"not {phrase}" for phrase in unwanted)])
    if not text:
        return
    parsed = Wording.parse(text)
    assert [p.casefold() for p in parsed.wanted] == (
        list(dict.fromkeys(p.casefold() for p in wanted)) or [ANYTHING]
    )
    assert [p.casefold() for p in parsed.unwanted] == list(
        dict.fromkeys(p.casefold() for p in unwanted)
    )
