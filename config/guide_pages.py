"""The pages that show the guides. They hold nothing of anybody's, so everybody may read them, also logged out."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import open_page
from config import guides


@require_safe
@open_page
def show_all(request: HttpRequest) -> HttpResponse:
    """List the guides by kind of reader."""
    return render(request, "guides/guides.html", {"shelves": guides.shelves()})


@require_safe
@open_page
def show(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one guide."""
    if slug not in guides.SLUGS:
        raise Http404
    return render(request, "guides/guide.html", {"guide": guides.guide(slug), "shelves": guides.shelves()})
