"""Which guide explains which page: one table, so that a page without one fails a test and not a reader.

A value is a guide's name, with the anchor of a section after `#` where one fits.
"""

_START = "enabling"
_ACCOUNT = "people#your-account"
_TWO_FACTOR = "people#two-factor-log-in"
_MEMBERS = "people#members"
_TOKENS = "roles#what-a-token-may-do"
_SWITCH = "enabling#3-the-switch"
_CONTROL = "syncing#sync-now-reset-history-and-full-sync-stop-now"
_EDIT = "operating#change-how-a-destination-is-reached-rename-or-delete-it"
_MOVE = "operating#move-a-destination-to-another-place"
_RECONCILE = "syncing#reconcile"

# A page's address by its name → its guide. What is not named takes its prefix's.
PAGES: dict[str, str] = {
    "accounts:audit": "people#audit-log",
    "accounts:account": _ACCOUNT,
    "accounts:email_change": _ACCOUNT,
    "accounts:email_confirm": _ACCOUNT,
    "accounts:everyones_tokens": _TOKENS,
    "accounts:invitation": _MEMBERS,
    "accounts:invite": _MEMBERS,
    "accounts:leave": _MEMBERS,
    "accounts:member": _MEMBERS,
    "accounts:member_remove": _MEMBERS,
    "accounts:members": _MEMBERS,
    "accounts:organisation": _TWO_FACTOR,
    "accounts:organisation_new": "people#several-organisations",
    "accounts:token_delete": _TOKENS,
    "accounts:token_end_rotation": _TOKENS,
    "accounts:token_new": _TOKENS,
    "accounts:token_rotate": _TOKENS,
    "accounts:tokens": _TOKENS,
    "accounts:overview": "watching#the-overview",
    "projects:check": "troubleshooting#connecting-a-warehouse",
    "projects:check_warehouse": "troubleshooting#connecting-a-warehouse",
    "projects:count": "profile-lookup#what-is-there",
    "projects:detail": "profile-lookup#what-is-there",
    "projects:main_view": "enabling#the-main-feature-view",
    "projects:warehouse": "enabling#1-the-warehouse",
    "projects:warehouse_delete": "enabling#1-the-warehouse",
    "projects:warehouse_edit": "enabling#1-the-warehouse",
    "projects:warehouse_kinds": "enabling#1-the-warehouse",
    "projects:warehouse_new": "enabling#1-the-warehouse",
    "projects:warehouses": "enabling#1-the-warehouse",
    "activation:alerts": "watching#alerts",
    "activation:alert_secret": "watching#the-webhook",
    "activation:alert_test": "watching#the-webhook",
    "activation:alert_webhook": "watching#the-webhook",
    "activation:confirm": "watching#a-sync-that-needs-confirmation",
    "activation:deleted_profiles": "syncing#deleted-profiles",
    "activation:destination": "usage#memory-and-keys",
    "activation:destination_delete": _EDIT,
    "activation:destination_name": _EDIT,
    "activation:destination_sources": "watching#where-a-source-stands",
    "activation:destinations": "usage#the-list-of-destinations",
    "activation:edit": _EDIT,
    "activation:edit_probe": "troubleshooting#connecting-a-redis",
    "activation:enable": _SWITCH,
    "activation:failed_ids": "watching#a-syncs-page",
    "activation:full_sync": _CONTROL,
    "activation:full_sync_source": _CONTROL,
    "activation:guard": "watching#a-sync-that-needs-confirmation",
    "activation:leave_source": "syncing#a-redis-that-is-gone-for-good",
    "activation:move": _MOVE,
    "activation:move_cancel": _MOVE,
    "activation:move_leave": _MOVE,
    "activation:move_probe": "troubleshooting#connecting-a-redis",
    "activation:preview": "syncing#preview-changes",
    "activation:preview_documents": "syncing#preview-changes",
    "activation:probe": "troubleshooting#connecting-a-redis",
    "activation:profile_delete": "profile-lookup#delete-a-profile",
    "activation:profile_lookup": "profile-lookup#look-a-profile-up",
    "activation:reconcile": _RECONCILE,
    "activation:run": "watching#a-syncs-page",
    "activation:schedule": "syncing#schedule",
    "activation:settings": _SWITCH,
    "activation:source": "watching#where-a-source-stands",
    "activation:source_settings": "syncing#what-counts-as-a-change-and-how-ids-are-read",
    "activation:stop": _CONTROL,
    "activation:stop_run": _CONTROL,
    "activation:suppressions": "api#suppressions",
    "activation:usage": "usage",
    "activation:usage_export": "usage",
    "activation:try_it": "enabling#4-serving",
    "activation:sync_log": "watching#the-sync-log",
}
_PREFIXES = {
    "account_": _ACCOUNT,
    "mfa_": _TWO_FACTOR,
    "accounts:": _START,
    "projects:": "enabling#2-the-project",
    "activation:": "syncing",
}


def of(view_name: str) -> str:
    """Return the guide of a page by the name of its address; "" for one that needs none."""
    named = PAGES.get(view_name)
    return named or next((guide for prefix, guide in _PREFIXES.items() if view_name.startswith(prefix)), "")
