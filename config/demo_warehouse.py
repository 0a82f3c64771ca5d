"""The demo's warehouse: a DuckDB file as a Profiles run leaves it, and the `pb_project.yaml` that belongs to it.

An invented company, Northlight, sells coffee gear to businesses. Everything is derived from row numbers by a stable
hash, so two builds hold the same people; only the times follow the moment of the build. Names end in `.example`,
which nobody can own. A few ids are left empty, doubled or contradictory, as in real life: syncs count and report them.
"""

import datetime as dt
import hashlib
import secrets
from pathlib import Path

import duckdb

OUTPUT_SCHEMA = "profiles"
EXAMPLE = ("user", "email", "amelia.hart@brightharbour.example")
PEOPLE = 52_000

PB_PROJECT = """\
name: northlight_customer_360
schema_version: 88
connection: northlight_warehouse
model_folders:
  - models
include_untimed: true

entities:
  - name: user
    id_column_name: user_main_id
    id_stitcher: models/user_id_stitcher
    id_types:
      - email
      - user_id
    feature_views:
      name: user_feature_view
      using_ids:
        - id: email
          name: features_by_email
        - id: user_id
          name: features_by_user_id

  - name: account
    id_column_name: account_main_id
    id_stitcher: models/account_id_stitcher
    id_types:
      - domain
    feature_views:
      name: account_feature_view
      using_ids:
        - id: domain
          name: account_features_by_domain

id_types:
  - name: email
    filters:
      - type: include
        regex: ".+@.+"
      - type: exclude
        value: test@northlight.example
  - name: user_id
    filters:
      - type: exclude
        value: ""
  - name: domain
"""

_WORDS = """
SET VARIABLE first_names = string_split(
  'Amelia Noah Olivia Liam Aisha Mateo Sofia Kenji Priya Lukas Chloe Omar Ines Felix Zoe Tariq Maya Jonas Leila Hugo '
  || 'Nora Diego Freya Anders Yara Emil Rosa Ivan Clara Samuel Ada Marco Elif Theo Greta Ravi Lena Oscar Mina', ' ');
SET VARIABLE last_names = string_split(
  'Hart Okafor Lindqvist Garcia Nakamura Novak Rossi Haddad Kowalski Meyer Silva Johansson Patel Moreau Keller '
  || 'Andersen Costa Ivanova Brandt Murphy Demir Fischer Laurent Schmidt Osei Tanaka Vega Wagner Yilmaz Zhang', ' ');
SET VARIABLE adjectives = string_split(
  'Bright Silver Green North Golden Quiet Blue Red High Deep Clear Swift Broad Old New Stone Wild Grand Open', ' ');
SET VARIABLE nouns = string_split(
  'harbour field bridge river works labs foods supply trading studio partners logistics garden market point valley '
  || 'systems press hall roasters union kitchen outfitters line house depot design group media', ' ');
"""

_HELPERS = """
CREATE TEMP MACRO roll(i, salt) AS (md5_number_lower(salt || ':' || i) >> 11)::DOUBLE / 9007199254740992;
CREATE TEMP MACRO pick(words, i, salt) AS words[1 + floor(roll(i, salt) * len(words))::INTEGER];
"""

_ACCOUNTS = """
CREATE TEMP TABLE accounts AS
WITH named AS (
  SELECT i, getvariable('adjectives')[1 + i % len(getvariable('adjectives'))] AS adjective,
         getvariable('nouns')[1 + (i // len(getvariable('adjectives'))) % len(getvariable('nouns'))] AS noun,
         i // (len(getvariable('adjectives')) * len(getvariable('nouns'))) AS round
  FROM range((SELECT greatest(1, people // 45) FROM run)) r(i)
)
SELECT i,
  'acc' || substr(md5('account:' || i), 1, 29) AS account_main_id,
  lower(adjective || noun) || CASE WHEN round > 0 THEN round::VARCHAR ELSE '' END || '.example' AS domain,
  adjective || ' ' || upper(noun[1]) || noun[2:] AS company_name,
  pick(['Hospitality', 'Retail', 'Software', 'Logistics', 'Education', 'Health'], i, 'industry') AS industry,
  (5 + 2000 * pow(roll(i, 'seats'), 4))::INTEGER AS employees
FROM named
"""

_PEOPLE = """
CREATE TEMP TABLE people AS
WITH numbered AS (
  SELECT i, i % accounts AS account
  FROM range((SELECT people FROM run)) r(i), (SELECT count(*) AS accounts FROM accounts)
), drawn AS (
  SELECT r.i, a.domain, a.account_main_id, run.at AS run_at,
    CASE WHEN r.i = 0 THEN 'Amelia' ELSE pick(getvariable('first_names'), r.i, 'first') END AS first_name,
    CASE WHEN r.i = 0 THEN 'Hart' ELSE pick(getvariable('last_names'), r.i, 'last') END AS last_name,
    CASE WHEN r.i = 0 THEN 3 ELSE floor(730 * pow(roll(r.i, 'seen'), 2))::INTEGER END AS seen,
    CASE WHEN r.i = 0 THEN 14 ELSE floor(40 * pow(roll(r.i, 'orders'), 3))::INTEGER END AS orders,
    (12 + 180 * roll(r.i, 'basket'))::DECIMAL(10, 2) AS basket
  FROM numbered r JOIN accounts a ON a.i = r.account, run
)
SELECT i,
  'rid' || md5('user:' || i) AS user_main_id,
  lower(first_name || '.' || last_name) || CASE WHEN i = 0 THEN '' ELSE '.' || i END || '@' || domain AS email,
  CASE WHEN i = 0 OR roll(i, 'registered') < 0.92 THEN 'u-' || (100000 + i) END AS user_id,
  run_at AS valid_at, first_name, last_name, account_main_id,
  pick(['DE', 'FR', 'GB', 'US', 'ES', 'SE', 'JP', 'IN', 'BR'], i, 'country') AS country,
  seen AS days_since_last_seen, orders AS total_orders,
  (orders * basket)::DECIMAL(12, 2) AS lifetime_value,
  CASE WHEN orders > 0 THEN (orders * basket)::DOUBLE / orders END AS average_order_value,
  least(0.999, seen / 730.0 + 0.2 * roll(i, 'churn'))::FLOAT AS churn_score_30_days,
  i = 0 OR roll(i, 'subscriber') < 0.35 AS is_subscriber,
  CASE WHEN i = 0 THEN 'team' WHEN roll(i, 'plan') < 0.6 THEN pick(['starter', 'team', 'enterprise'], i, 'tier') END
    AS plan,
  (run_at - to_days(seen + floor(900 * roll(i, 'joined'))::INTEGER))::DATE AS signed_up_on,
  CASE WHEN orders > 0 THEN run_at - to_days(seen) - to_microseconds((86400000000 * roll(i, 'clock'))::BIGINT) END
    AS last_order_at,
  list_distinct([pick(categories, i, 'c1'), pick(categories, i, 'c2')]) AS favourite_categories,
  CASE WHEN orders > 0 THEN {'order_id': 'o-' || (900000 + i), 'total': basket,
    'items': 1 + floor(5 * roll(i, 'items'))::INTEGER, 'gift': roll(i, 'gift') < 0.1} END AS last_order,
  ('{"newsletter": ' || (roll(i, 'news') < 0.5) || ', "channel": "' || pick(['email', 'push', 'sms'], i, 'channel')
    || '"}')::JSON AS preferences
FROM drawn, (SELECT ['grinders', 'espresso', 'filters', 'beans', 'kettles', 'scales'] AS categories)
"""

_ACCOUNT_FEATURES = """
CREATE TEMP TABLE account_features AS
SELECT account_main_id, domain, max(p.valid_at) AS valid_at, company_name, industry, employees,
  count(*)::INTEGER AS known_people,
  count(*) FILTER (is_subscriber)::INTEGER AS subscribers,
  sum(lifetime_value)::DECIMAL(14, 2) AS revenue,
  avg(churn_score_30_days)::DOUBLE AS average_churn_score,
  max(last_order_at) AS last_order_at,
  histogram(plan) AS people_by_plan
FROM accounts JOIN people p USING (account_main_id) GROUP BY ALL
"""

# An identical double of one row, a contradicting one of another, and ids that are missing: what a sync must count.
_BLEMISHES = """
INSERT INTO people SELECT * FROM people WHERE i = 7;
INSERT INTO people SELECT * REPLACE (total_orders + 1 AS total_orders) FROM people WHERE i = 11;
UPDATE people SET email = NULL WHERE i IN (23, 29);
"""

_FEATURES = """valid_at, first_name, last_name, account_main_id, country, days_since_last_seen, total_orders,
  lifetime_value, average_order_value, churn_score_30_days, is_subscriber, plan, signed_up_on, last_order_at,
  favourite_categories, last_order, preferences"""

_VIEWS = {
    "user_feature_view": ("user", f"SELECT user_main_id, {_FEATURES} FROM people WHERE i NOT IN (7, 11)"),
    "features_by_email": ("user", f"SELECT user_main_id, email, {_FEATURES} FROM people"),
    "features_by_user_id": (
        "user",
        f"SELECT user_main_id, user_id, {_FEATURES} FROM people WHERE user_id IS NOT NULL OR i < 100",
    ),
    "account_feature_view": ("account", "SELECT * EXCLUDE (domain) FROM account_features"),
    "account_features_by_domain": ("account", "SELECT * FROM account_features"),
}

_REGISTRY = """
CREATE TABLE MATERIAL_REGISTRY_4 (
  seq_no BIGINT, model_name VARCHAR, model_hash VARCHAR, model_ref VARCHAR, model_type VARCHAR, entity_key VARCHAR,
  begin_ts TIMESTAMP, end_ts TIMESTAMP, creation_ts TIMESTAMP, metadata JSON
)
"""

_REGISTER = """
INSERT INTO MATERIAL_REGISTRY_4
SELECT seq, $name, $hash, $entity || '/all/feature_view/' || $name, 'feature_view', $entity,
  done - INTERVAL 4 MINUTE, done, done, '{"complete": {"status": 2}}'
FROM (SELECT seq, run.at - to_days((12 - seq)::INTEGER) AS done FROM range(10, 13) s(seq), run) runs
"""


def build(file: Path, *, people: int = PEOPLE, now: dt.datetime | None = None) -> None:
    """Write the demo's warehouse; `file` appears whole or not at all, and replaces an older one.

    The newest Profiles run, number 12, finished ten minutes before `now` (aware; default: the present).
    """
    finished = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC) - dt.timedelta(minutes=10)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.tmp-{secrets.token_hex(4)}")
    try:
        with duckdb.connect(str(unfinished), config={"python_enable_replacements": False}) as connection:
            _invent(connection, people, finished.replace(microsecond=0, tzinfo=None))
            _materialise(connection)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def _invent(connection: duckdb.DuckDBPyConnection, people: int, at: dt.datetime) -> None:
    connection.execute("CREATE TEMP TABLE run AS SELECT ?::INTEGER AS people, ?::TIMESTAMP AS at", [people, at])
    for statement in (_WORDS, _HELPERS, _ACCOUNTS, _PEOPLE, _ACCOUNT_FEATURES, _BLEMISHES):
        connection.execute(statement)


def _materialise(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"CREATE SCHEMA {OUTPUT_SCHEMA}; SET search_path = '{OUTPUT_SCHEMA}'")
    connection.execute(_REGISTRY)
    for name, (entity, select) in _VIEWS.items():
        digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:8]
        connection.execute(f"CREATE TABLE Material_{name}_{digest}_12 AS {select}")
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {OUTPUT_SCHEMA}.Material_{name}_{digest}_12")
        connection.execute(_REGISTER, {"name": name, "hash": digest, "entity": entity})
