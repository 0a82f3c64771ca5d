"""The addresses of people and organisations."""

from django.urls import path
from django.views.generic import RedirectView

from accounts.views import account, audit_log, entrance, invitation, members, organisation, security, tokens

app_name = "accounts"
_settings = "o/<slug:organisation>/settings/"
_members = f"{_settings}members/"

urlpatterns = [
    path("", entrance.home, name="home"),
    path("setup/", entrance.set_up, name="setup"),
    path("invitations/<slug:invitation>/<slug:secret>/", invitation.invitation, name="invitation"),
    path("account/", account.home_account, name="home_account"),
    path("account/email/", account.email_change, name="email_change"),
    path("account/email/confirm/<str:token>/", account.email_confirm, name="email_confirm"),
    path("account/security/sessions/end/", security.sessions_end_others, name="sessions_end_others"),
    path("account/security/sessions/<slug:session>/end/", security.session_end, name="session_end"),
    path("o/<slug:organisation>/", organisation.overview, name="overview"),
    path("o/<slug:organisation>/audit-log/", audit_log.audit_log, name="audit"),
    path("o/<slug:organisation>/audit-log.<slug:format>", audit_log.audit_export, name="audit_export"),
    path(_settings, RedirectView.as_view(pattern_name="accounts:account"), name="settings"),
    path(f"{_settings}organisation/", organisation.organisation, name="organisation"),
    path(f"{_settings}organisation/new/", organisation.organisation_new, name="organisation_new"),
    path(_members, members.member_list, name="members"),
    path(f"{_members}invite/", members.invite, name="invite"),
    path(f"{_members}invitations/<slug:invitation>/again/", members.invitation_again, name="invitation_again"),
    path(f"{_members}invitations/<slug:invitation>/withdraw/", members.invitation_withdraw, name="invitation_withdraw"),
    path(f"{_members}<slug:member>/", members.member_role, name="member"),
    path(f"{_members}<slug:member>/release/", members.member_release, name="member_release"),
    path(f"{_members}<slug:member>/remove/", members.member_remove, name="member_remove"),
    path(f"{_settings}tokens/", tokens.everyones_tokens, name="everyones_tokens"),
    path(f"{_settings}profile/", RedirectView.as_view(pattern_name="accounts:account"), name="profile"),
    path(f"{_settings}profile/account/", account.account, name="account"),
    path(f"{_settings}profile/leave/", account.leave, name="leave"),
    path(f"{_settings}profile/tokens/", tokens.token_list, name="tokens"),
    path(f"{_settings}profile/tokens/new/", tokens.token_new, name="token_new"),
    path(f"{_settings}profile/tokens/<slug:public_part>/rotate/", tokens.token_rotate, name="token_rotate"),
    path(
        f"{_settings}profile/tokens/<slug:public_part>/end-rotation/",
        tokens.token_end_rotation,
        name="token_end_rotation",
    ),
    path(f"{_settings}profile/tokens/<slug:public_part>/delete/", tokens.token_delete, name="token_delete"),
]
