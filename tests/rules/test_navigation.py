"""Every page of an organisation marks its place in the navigation: the one at which its breadcrumb begins."""

import re

from tests.rules.test_access import OF_ORGANISATIONS, _ask, _url, parts

__all__ = ["parts"]
_MARKED = re.compile(r'<a [^>]*aria-current="(?:page|true)"[^>]*>(?:<svg.*?</svg>)?\s*([^<]+?)\s*</a>', re.DOTALL)
_CRUMB = re.compile(r"<a [^>]*>\s*([^<]+?)\s*</a>")


def test_every_page_marks_the_one_place_that_it_belongs_to(admin, parts):
    seen = 0
    for address in OF_ORGANISATIONS:
        answer = _ask(admin.client, "GET", _url(address, parts), follow=True)
        text = answer.getvalue().decode()
        if answer.status_code != 200 or '<nav aria-label="Main">' not in text:
            continue
        marked = _MARKED.findall(_of(text, '<nav aria-label="Main">'))
        assert len(marked) == 1, (address.name, marked)
        crumbs = _CRUMB.findall(_of(text, '<nav class="breadcrumb"'))
        assert crumbs[:1] in ([], marked), address.name
        seen += 1
    assert seen > 50


def _of(page, start):
    return page.split(start)[1].split("</nav>")[0]
