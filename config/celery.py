"""The Celery application: three queues, late acknowledgement, and a beat that only ever wakes the tick.

A message is a wake-up: losing or doubling one is harmless, because rows are claimed (`activation.syncs`).
"""

import os

from celery import Celery
from celery.signals import setup_logging, worker_process_init

from config import lost_channels
from config.garbage import collect_seldom

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

lost_channels.forgive()
app = Celery("activation")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_pool="config.worker_pool:TaskPool",
    task_default_queue="control",
    task_routes={
        "activation.take_snapshot": {"queue": "load"},
        "activation.load": {"queue": "load"},
        "activation.finish": {"queue": "load"},
        "activation.preview": {"queue": "load"},
        "activation.reconcile": {"queue": "load"},
        "projects.count_view": {"queue": "load"},
        "projects.run_profiles": {"queue": "runner"},
    },
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # a worker waits for its broker however long it is away
    broker_transport_options={"visibility_timeout": 3600},
    worker_hijack_root_logger=False,
    beat_schedule={
        "tick": {"task": "activation.tick", "schedule": 1.0, "options": {"expires": 2.0}},
        "look-for-alerts": {"task": "activation.look_for_alerts", "schedule": 10.0, "options": {"expires": 10.0}},
        "look-at-servers": {"task": "activation.look_at_servers", "schedule": 10.0, "options": {"expires": 10.0}},
        "forget": {"task": "activation.forget", "schedule": 3600.0, "options": {"expires": 600.0}},
        "warn-of-expiries": {"task": "accounts.warn_of_expiries", "schedule": 3600.0, "options": {"expires": 600.0}},
        "forget-sessions": {"task": "accounts.forget", "schedule": 3600.0, "options": {"expires": 600.0}},
        "look-for-runs": {"task": "projects.look_for_runs", "schedule": 5.0, "options": {"expires": 10.0}},
    },
)
app.autodiscover_tasks()


@setup_logging.connect
def _keep_our_logging(**_: object) -> None:
    """Leave logging as Django's settings made it; Celery's own set-up would undo it."""


@worker_process_init.connect
def _collect_seldom(**_: object) -> None:
    collect_seldom()
