"""Links from words to the glossary, and file names that may break."""

import re

from markupsafe import Markup

from trustpose.report.templates import TERMS, anchor, breakable, linked


def links(text: str) -> dict[str, str]:
    return {word: to for to, word in re.findall(r'<a class="term" href="#([^"]*)">([^<]*)</a>', linked(text))}


def test_the_first_mention_of_each_term_is_linked() -> None:
    assert links("OKS and ECE; OKS again") == {"OKS": "term-oks", "ECE": "term-ece"}
    assert linked("OKS, OKS").count("<a") == 1
    assert links("AP if ranked by true quality (oracle AP)") == {"AP": "term-ap", "oracle AP": "term-oracle-ap"}
    assert links("poses are overconfident: calibrate them") == {"overconfident": "term-calibrated"}
    assert links("within a 95&nbsp;% interval") == {}, "plain text is escaped, not parsed"
    assert links(Markup("within a 95&nbsp;% interval")) == {"95&nbsp;% interval": "term-95-interval"}


def test_parts_of_words_and_of_markup_are_not() -> None:
    assert links("OKSs, xAP, ap.AP, APm, AP50") == {}
    assert links("its average precision among keypoints") == {}, "no precision, and not COCO's AP"
    assert linked(Markup('<b title="OKS">of</b>')) == '<b title="OKS">of</b>'
    assert linked("<b>OKS") == '&lt;b&gt;<a class="term" href="#term-oks">OKS</a>'


def test_every_term_has_its_own_place() -> None:
    assert len({anchor(term) for term in TERMS}) == len(TERMS)
    for term in TERMS:
        assert set(links(term).values()) <= {anchor(term) for term in TERMS}


def test_names_break_after_separators_and_are_escaped() -> None:
    assert breakable("a_b.c/d-e") == "a_<wbr>b.<wbr>c/<wbr>d-<wbr>e"
    assert breakable("<script>.json") == "&lt;script&gt;.<wbr>json"
