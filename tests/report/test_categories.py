"""The page of an audit of all categories: a table of each, their mean, and a word on what pools them."""

import re
from pathlib import Path

from tests.evaluation.test_categories import two_animals
from tests.report.outline import check
from trustpose.evaluation.audit import audit
from trustpose.report.page import page
from trustpose.report.summary import number

__all__ = ["two_animals"]


def test_every_category_stands_on_the_page_with_their_mean(two_animals: Path) -> None:
    files = two_animals / "gt.json", two_animals / "results.json"
    record = audit(*files, category="all", draws=20)
    for audits in ([record], [record, record]):
        text = page(audits)
        words = " ".join(check(text).text.split())
        assert "All other numbers, plots and sections of this page pool the poses of all categories" in words
        _, _, table = text.partition('<section id="categories">')
        rows = table.partition("</section>")[0].split("<tr>")[2:]
        for row, (name, category) in zip(rows, record.categories.items(), strict=False):
            assert f'<th scope="row">{name}</th><td data-key="people">{category.n}</td>' in row
            numbers = re.findall(r"<td[^>]*>([^<]*)</td>", row)[1:]
            assert numbers == [number(category.AP), number(category.AR)] * len(audits)
        assert len(rows) == 3 and rows[2].startswith('<th scope="row">mean</th>')
        assert rows[2].count(number(record.ap.AP)) >= len(audits) and rows[2].count(number(record.ap.AR)) >= len(audits)
    assert "average precision (AP), the mean over 2 categories, is" in " ".join(check(page([record])).text.split())
    assert 'id="categories"' not in page([audit(*files, category="cat", draws=0)])
