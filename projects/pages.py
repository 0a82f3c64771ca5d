"""The way into a project's pages, for this app's views and for others that show a project."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec

from django.http import Http404, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from accounts.access import SignedInRequest, View, organisation_page
from accounts.roles import Permission
from projects import access
from projects.models import Project

P = ParamSpec("P")
ProjectPage = Callable[Concatenate[SignedInRequest, Project, P], HttpResponseBase]


def project_page(*, permission: Permission = Permission.VIEW) -> Callable[[ProjectPage[P]], View]:
    """Make a view a page of the project whose slug is the address's `project`, for roles with `permission`.

    A project's former address leads to the same page at the present one.
    """

    def decorate(view: ProjectPage[P]) -> View:
        def page(request: SignedInRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            project: str = kwargs.pop("project")
            try:
                found = access.project_for(request.actor, project)
            except Http404:
                slug = access.moved_to(request.actor, project)
                if slug is None:
                    raise
                return _to_present_address(request, slug)
            return view(request, found, *args, **kwargs)

        update_wrapper(page, view)
        return organisation_page(permission=permission)(page)

    return decorate


def _to_present_address(request: SignedInRequest, slug: str) -> HttpResponseBase:
    match = request.resolver_match
    assert match is not None
    return redirect(reverse(match.view_name, kwargs={**match.kwargs, "project": slug}), preserve_request=True)
