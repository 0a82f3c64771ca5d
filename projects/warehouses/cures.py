"""What to do about a warehouse that does not do what it was asked, by error code: one text for checks and for syncs.

A code of `port` that is not here fails a test (`tests/rules/test_error_codes.py`).
"""

GRANTS = "Run the grants SQL shown for this warehouse."

CURES = {
    "warehouse_error": "See the warehouse's own log of that time, and try again.",
    "warehouse_unreachable": "Check host, port and database, and that the server can be reached from here.",
    "warehouse_busy": "Wait until the lock or the load on the warehouse has gone, and try again.",
    "warehouse_refused": "Check the user and the password, and that the server lets this user in from here.",
    "file_refused": "Put the file into the folder DUCKDB_DIR, and end what writes to it.",
    "grant_missing": GRANTS,
    "relation_missing": "Run the project so that the view is made, or choose where it is.",
    "registry_missing": "Run the Profiles project once, or correct the output schema under Settings.",
    "query_failed": "Query the view in the warehouse itself, and correct it there.",
    "query_cancelled": "Find out who or which time limit ends statements in the warehouse, and try again.",
}
