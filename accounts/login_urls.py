"""The part of django-allauth that is ours to offer: log-in, passwords, second factors, single sign-on.

Names are allauth's own. What a logged-in person does to their account is framed like our pages.
"""

from allauth.account import views
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from django.urls import path, re_path
from django.views.decorators.cache import never_cache
from django.views.generic import RedirectView

from accounts import single_sign_on
from accounts.access import signed_in_page
from accounts.views import security
from accounts.views.entrance import ChangePassword

_new_password = "password/"  # noqa: S105 - a part of an address
_factors = "security/"
_passkeys = f"{_factors}passkeys/"
_codes = f"{_factors}recovery-codes/"
_SSO = {"provider_id": single_sign_on.PROVIDER}

urlpatterns = [
    path("login/", views.login, name="account_login"),
    path("login/code/", mfa.authenticate, name="mfa_authenticate"),
    path("login/passkey/", webauthn.login_webauthn, name="mfa_login_webauthn"),
    path("logout/", views.logout, name="account_logout"),
    path(f"{_new_password}change/", signed_in_page(ChangePassword.as_view()), name="account_change_password"),
    path(f"{_new_password}reset/", views.password_reset, name="account_reset_password"),
    path(f"{_new_password}reset/sent/", views.password_reset_done, name="account_reset_password_done"),
    re_path(
        rf"^{_new_password}reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        never_cache(views.password_reset_from_key),
        name="account_reset_password_from_key",
    ),
    path(
        f"{_new_password}reset/done/", views.password_reset_from_key_done, name="account_reset_password_from_key_done"
    ),
    path("confirm/", signed_in_page(views.reauthenticate), name="account_reauthenticate"),
    path("confirm/code/", signed_in_page(mfa.reauthenticate), name="mfa_reauthenticate"),
    path("confirm/passkey/", signed_in_page(webauthn.reauthenticate_webauthn), name="mfa_reauthenticate_webauthn"),
    path(_factors, security.security, name="mfa_index"),
    path(f"{_factors}app/", never_cache(signed_in_page(totp.activate_totp)), name="mfa_activate_totp"),
    path(f"{_factors}app/remove/", signed_in_page(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path(_passkeys, RedirectView.as_view(pattern_name="mfa_index"), name="mfa_list_webauthn"),
    path(f"{_passkeys}add/", never_cache(signed_in_page(webauthn.add_webauthn)), name="mfa_add_webauthn"),
    path(f"{_passkeys}<int:pk>/rename/", signed_in_page(webauthn.edit_webauthn), name="mfa_edit_webauthn"),
    path(f"{_passkeys}<int:pk>/remove/", signed_in_page(security.RemovePasskey.as_view()), name="mfa_remove_webauthn"),
    path(_codes, never_cache(signed_in_page(recovery_codes.view_recovery_codes)), name="mfa_view_recovery_codes"),
    path(f"{_codes}renew/", signed_in_page(recovery_codes.generate_recovery_codes), name="mfa_generate_recovery_codes"),
    path(
        f"{_codes}download/",
        signed_in_page(recovery_codes.download_recovery_codes),
        name="mfa_download_recovery_codes",
    ),
    path("sso/", single_sign_on.start, _SSO, name="openid_connect_login"),
    path("sso/callback/", single_sign_on.finish, _SSO, name="openid_connect_callback"),
]
