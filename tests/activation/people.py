"""People that tests of the API look up: two who may be in Redis, and one who never is."""

ADA, BOB = {"type": "email", "value": "ada@example.com"}, {"type": "email", "value": "bob@example.com"}
NOBODY = {"type": "email", "value": "nobody@example.com"}
FEATURES = '{"PLAN": "pro",  "SCORE": 1.10, "BIG": 123456789012345678901234567890, "TAGS": ["a", {"b": 1e5}]}'
