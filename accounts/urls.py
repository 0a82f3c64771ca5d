"""The addresses of people and organisations."""

from django.urls import path
from django.views.generic import RedirectView

from accounts.views import entrance, organisation, profile

app_name = "accounts"
_settings = "o/<slug:organisation>/settings/"

urlpatterns = [
    path("", entrance.home, name="home"),
    path("setup/", entrance.set_up, name="setup"),
    path("o/<slug:organisation>/", organisation.overview, name="overview"),
    path("o/<slug:organisation>/audit-log/", organisation.audit_log, name="audit"),
    path(_settings, RedirectView.as_view(pattern_name="accounts:account"), name="settings"),
    path(f"{_settings}members/", organisation.member_list, name="members"),
    path(f"{_settings}members/<int:membership_id>/", organisation.member_role, name="member"),
    path(f"{_settings}members/<int:membership_id>/remove/", organisation.member_remove, name="member_remove"),
    path(f"{_settings}tokens/", profile.everyones_tokens, name="everyones_tokens"),
    path(f"{_settings}profile/", RedirectView.as_view(pattern_name="accounts:account"), name="profile"),
    path(f"{_settings}profile/account/", profile.account, name="account"),
    path(f"{_settings}profile/tokens/", profile.token_list, name="tokens"),
    path(f"{_settings}profile/tokens/new/", profile.token_new, name="token_new"),
    path(f"{_settings}profile/tokens/<slug:public_part>/rotate/", profile.token_rotate, name="token_rotate"),
    path(
        f"{_settings}profile/tokens/<slug:public_part>/end-rotation/",
        profile.token_end_rotation,
        name="token_end_rotation",
    ),
    path(f"{_settings}profile/tokens/<slug:public_part>/delete/", profile.token_delete, name="token_delete"),
]
