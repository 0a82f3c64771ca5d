"""People, organisations, memberships, personal access tokens and the audit log.

A personal access token's text is never stored: only its public part and a keyed digest (`accounts.tokens`).
Audit rows have no foreign keys, so history never blocks a delete and outlives what it tells about.
"""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone

from accounts import token_limits
from accounts.identifiers import KSUID_LENGTH, new_public_id
from accounts.roles import Role


class UserManager(BaseUserManager["User"]):
    """Makes people; an e-mail address is kept in lower case, so that it names one person."""

    def create_user(self, email: str, password: str | None = None, *, name: str = "") -> "User":
        """Create a person who logs in with `email`; without a password they cannot log in yet."""
        user = self.model(email=email.strip().lower(), name=name)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser):
    """A person. Logs in with an e-mail address; what they may do is their memberships' business."""

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    email = models.EmailField("e-mail", unique=True, max_length=254)
    name = models.CharField(max_length=100, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(email=Lower("email")), name="user_email_is_lower_case"),)

    def __str__(self) -> str:
        return self.email


class Organisation(models.Model):
    """A company; its public id is the `workspaceId` in Redis keys."""

    public_id = models.CharField(max_length=100, unique=True, default=new_public_id, editable=False)
    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60, unique=True)
    requires_two_factor = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's role in an organisation. `accounts.members` keeps at least one Admin in each.

    `sees_personal_data` is what an Admin may grant to an Editor; Admins see it anyway. `hides_first_steps` is the
    person's own choice about their overview.
    """

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role)
    sees_personal_data = models.BooleanField(default=False)
    hides_first_steps = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("user", "organisation"), name="one_membership_each"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_is_known"),
            models.CheckConstraint(
                condition=Q(sees_personal_data=False) | Q(role=Role.EDITOR), name="membership_grant_is_an_editors"
            ),
        )

    def __str__(self) -> str:
        return f"{self.user_id} in {self.organisation_id}: {self.role}"


class Invitation(models.Model):
    """An offer to join an organisation, open until it is accepted or withdrawn or has expired.

    The link's secret is stored as a keyed digest only.
    """

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(max_length=254)
    role = models.CharField(max_length=10, choices=Role)
    digest = models.BinaryField(max_length=32)
    pepper_version = models.PositiveIntegerField()
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    renewed_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("organisation", "email"),
                condition=Q(accepted_at=None, withdrawn_at=None),
                name="one_open_invitation_each",
            ),
            models.CheckConstraint(condition=Q(email=Lower("email")), name="invitation_email_is_lower_case"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_role_is_known"),
        )

    def __str__(self) -> str:
        return f"invitation {self.public_id}"


class BrowserSession(models.Model):
    """A browser in which a person is logged in, as their security page lists it; `accounts.sessions` keeps it."""

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    session_key = models.CharField(max_length=40, unique=True)
    browser = models.CharField(max_length=200, blank=True)
    address = models.GenericIPAddressField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"session {self.public_id}"


class PersonalAccessToken(models.Model):
    """A secret an application calls the API with. Acts with the weaker of its role and its owner's present role."""

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    role = models.CharField(max_length=10, choices=Role)
    public_part = models.CharField(max_length=12, unique=True)
    digest = models.BinaryField(max_length=32)
    pepper_version = models.PositiveIntegerField()
    # While a token is rotated, its old secret goes on working beside the new one, as the second.
    second_digest = models.BinaryField(max_length=32, null=True)
    second_pepper_version = models.PositiveIntegerField(null=True)
    second_used_at = models.DateTimeField(null=True)
    limits = models.JSONField(default=dict, blank=True)
    trial = models.BooleanField(default=False)  # made by a page for one call (`accounts.trial_tokens`)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    expiry_warned_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=Q(role__in=Role.values), name="token_role_is_known"),
            models.CheckConstraint(
                condition=Q(second_digest__isnull=True, second_pepper_version__isnull=True)
                | Q(second_digest__isnull=False, second_pepper_version__isnull=False),
                name="token_second_secret_is_whole",
            ),
        )
        indexes = (models.Index(fields=("organisation", "owner"), name="token_by_owner"),)

    def __str__(self) -> str:
        return f"{self.name} ({self.public_part})"

    @property
    def limit_words(self) -> list[str]:
        """What the token is limited to, in words."""
        return token_limits.words(self.limits)


class SetupCode(models.Model):
    """The one-time code of the set-up page: a digest only, good for an hour and five tries."""

    digest = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    tries_left = models.PositiveSmallIntegerField(default=5)
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="setup_code_expires_later"),
        )

    def __str__(self) -> str:
        return f"set-up code of {self.created_at:%Y-%m-%d %H:%M}"


class AuditEvent(models.Model):
    """One thing somebody did. Append-only; never holds a secret, a trait or a profile's id."""

    public_id = models.CharField(max_length=KSUID_LENGTH, unique=True, default=new_public_id, editable=False)
    organisation_id = models.BigIntegerField(null=True)
    actor_id = models.BigIntegerField(null=True)
    actor = models.CharField(max_length=254)
    token = models.CharField(max_length=120, blank=True)
    action = models.CharField(max_length=60)
    target_type = models.CharField(max_length=40)
    target_id = models.CharField(max_length=100, blank=True)
    target = models.CharField(max_length=200, blank=True)
    details = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = (models.Index(fields=("organisation_id", "-at"), name="audit_newest_first"),)

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target_type} {self.target}"

    @property
    def action_in_words(self) -> str:
        """`token_generated` → "Token generated"."""
        return _in_words(self.action)

    @property
    def target_type_in_words(self) -> str:
        """`profiles_run` → "Profiles run"."""
        return _in_words(self.target_type)


def _in_words(name: str) -> str:
    words = name.replace("_", " ").replace(".", " ")
    return words[:1].upper() + words[1:]
