"""Django's settings, from the environment only (`docs/operating.md` lists every variable).

No secret has a default here. `manage.py up` makes its own random ones and hands them over in the environment.
"""

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from config import overload
from config.environment import Environment
from config.logs import configure_structlog, logging_settings

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()

SECRET_KEY = env.text("SECRET_KEY", hint="Set it to a long random text, e.g. $(openssl rand -base64 48).")
ENCRYPTION_KEYS = env.keys("ENCRYPTION_KEYS")
TOKEN_PEPPERS = env.keys("TOKEN_PEPPERS")
SUPPRESSION_KEYS = env.keys("SUPPRESSION_KEYS")

DATA_DIR = Path(env.text("DATA_DIR", default=str(BASE_DIR / ".data"))).resolve()
SNAPSHOT_DIR = Path(env.text("SNAPSHOT_DIR", default=str(DATA_DIR / "snapshots"))).resolve()
DUCKDB_DIR = Path(env.text("DUCKDB_DIR", default=str(DATA_DIR / "warehouses"))).resolve()
ALLOW_PRIVATE_ADDRESSES = env.flag("ALLOW_PRIVATE_ADDRESSES")
PARTITION_ROWS = env.number("PARTITION_ROWS", default=250_000, least=1)
SYNC_LEASE = env.number("SYNC_LEASE", default=30, least=3)
PROFILES_RUNS_EVERY = env.number("PROFILES_RUNS_EVERY", default=60, least=1)
RUNNER_COMMAND = env.command("RUNNER_COMMAND")
RUNNER_TIMEOUT = env.number("RUNNER_TIMEOUT", default=21_600, least=1)
# Seconds between two writings of what applications asked for; 0: it is not written.
USAGE_WRITTEN_EVERY = env.number("USAGE_WRITTEN_EVERY", default=5, least=0)
METRICS_TOKEN = env.text("METRICS_TOKEN", default="")
FAST_READS = env.flag("FAST_READS", default=True)
STYLEGUIDE = env.flag("STYLEGUIDE")
# Calls that a process works on at once; five times as many wait for a moment, the rest is refused (config/overload.py).
API_REQUESTS_AT_ONCE = env.number("API_REQUESTS_AT_ONCE", default=overload.API_REQUESTS_AT_ONCE, least=1)
STALE_READS_FOR = env.number("STALE_READS_FOR", default=60)

# Single sign-on is on where an issuer is named (docs/operating.md).
OIDC_NAME = env.text("OIDC_NAME", default="single sign-on")
OIDC_ISSUER = env.web_address("OIDC_ISSUER")
OIDC_EMAIL_VERIFIED = env.flag("OIDC_EMAIL_VERIFIED")
_SINGLE_SIGN_ON = (
    {
        "provider_id": "sso",
        "name": OIDC_NAME,
        "client_id": env.text("OIDC_CLIENT_ID", hint="OIDC_ISSUER is set: name the client too."),
        "secret": env.text("OIDC_CLIENT_SECRET", hint="OIDC_ISSUER is set: give the client's secret too."),
        "settings": {"server_url": OIDC_ISSUER, "oauth_pkce_enabled": True},
    }
    if OIDC_ISSUER
    else None
)

DEBUG = False
PUBLIC_URL = env.text("PUBLIC_URL", default="http://localhost:8000").rstrip("/")
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", default="localhost,127.0.0.1,[::1]")
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
_SECURE = PUBLIC_URL.startswith("https://")

DATABASES = {"default": env.database("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'activation.sqlite3'}")}
BROKER_URL = env.text("BROKER_URL", hint="Set it to a Redis for Celery, e.g. redis://:password@host:6379/0.")
_EMAIL = env.email("EMAIL_URL")
CACHE_URL = env.text("CACHE_URL", hint="Set it to a Redis for the cache, e.g. redis://:password@host:6379/1.")
try:
    env.verify()
except ImproperlyConfigured as problems:
    # Whoever starts a process reads this: the list, without a stack trace.
    raise SystemExit(str(problems)) from None

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "config.static_files.StaticFiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "django_htmx",
    "django_structlog",
    "rest_framework",
    "accounts",
    "projects",
    "activation",
    "config",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Safe beside secrets in pages: Django masks CSRF tokens anew each time and pads what it compresses (BREACH).
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.SetUpFirst",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "config.request_log.RequestLog",
]
# The API answers applications: no sessions, no CSRF, no page headers (config/wsgi.py).
API_MIDDLEWARE: list[str] = []

ROOT_URLCONF = "config.urls"
API_URLCONF = "config.api_urls"
# What a page calls that tries the API: the callable of a separate api process, here within the pages' own.
API_APPLICATION = "config.wsgi.api"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": [
                "accounts.templatetags.components",
                "accounts.templatetags.charts",
                "projects.templatetags.words",
            ],
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "accounts.login_forms.LoginForm",
    "change_password": "accounts.login_forms.ChangePasswordForm",
    "reset_password": "accounts.login_forms.ResetPasswordForm",
    "reset_password_from_key": "accounts.login_forms.NewPasswordForm",
    "reauthenticate": "accounts.login_forms.PasswordAgainForm",
}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
# Nobody is written to because a stranger typed their address.
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
PASSWORD_RESET_TIMEOUT = 7200
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if _SECURE else "http"
MFA_ADAPTER = "accounts.second_factors.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_FORMS = {
    "authenticate": "accounts.second_factor_forms.CodeForm",
    "reauthenticate": "accounts.second_factor_forms.CodeAgainForm",
    "activate_totp": "accounts.second_factor_forms.ActivateAppForm",
    "add_webauthn": "accounts.second_factor_forms.AddPasskeyForm",
    "edit_webauthn": "accounts.second_factor_forms.RenamePasskeyForm",
}
MFA_PASSKEY_LOGIN_ENABLED = True
# Browsers offer passkeys on https and on localhost only; to try the product on the latter, http must do.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not _SECURE
SOCIALACCOUNT_ADAPTER = "accounts.single_sign_on.SingleSignOnAdapter"
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [_SINGLE_SIGN_ON] if _SINGLE_SIGN_ON else []}}
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": CACHE_URL,
        # A cache that is away costs rate limits and the pulse for the moment, never a page.
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 0.5, "SOCKET_TIMEOUT": 0.5, "IGNORE_EXCEPTIONS": True},
        "KEY_PREFIX": "activation",
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _SECURE
SESSION_COOKIE_NAME = "activation_session"
CSRF_COOKIE_NAME = "activation_csrf"
SECURE_SSL_REDIRECT = False
SECURE_HSTS_SECONDS = 31_536_000 if _SECURE else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "manifest-src": ["'self'"],
    }
}

EMAIL_BACKEND = _EMAIL.backend
EMAIL_HOST, EMAIL_PORT = _EMAIL.host, _EMAIL.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _EMAIL.user, _EMAIL.password
EMAIL_USE_TLS, EMAIL_USE_SSL = _EMAIL.starttls, _EMAIL.tls
EMAIL_FILE_PATH = _EMAIL.folder
EMAIL_TIMEOUT = 10
SENDS_EMAIL = _EMAIL.sends
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", default="activation-api@localhost")

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
USE_THOUSAND_SEPARATOR = True
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", default=str(DATA_DIR / "static"))).resolve()
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "config.static_files.Storage"},
}
STATICFILES_DIRS = [BASE_DIR / "static", ("guides", BASE_DIR / "docs" / "images")]
WHITENOISE_USE_FINDERS = True
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 3 * 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["activation.api.formats.JsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["activation.api.formats.JsonParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "activation.api.formats.JsonNegotiation",
    "EXCEPTION_HANDLER": "activation.api.errors.answer",
    "UNAUTHENTICATED_USER": None,
}

CELERY_BROKER_URL = BROKER_URL

LOGGING = logging_settings(level=env.text("LOG_LEVEL", default="INFO"))
configure_structlog()
