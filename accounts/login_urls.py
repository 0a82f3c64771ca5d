"""The part of django-allauth that is ours to offer: log-in, log-out, password change. Names are allauth's own."""

from allauth.account import views
from django.urls import path

from accounts.views.entrance import ChangePassword

urlpatterns = [
    path("login/", views.login, name="account_login"),
    path("logout/", views.logout, name="account_logout"),
    path("password/change/", ChangePassword.as_view(), name="account_change_password"),
]
