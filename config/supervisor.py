"""`manage.py up`: the whole product on one machine, with embedded servers and its own random secrets."""


def prepare_environment(arguments: list[str]) -> None:
    """Hand `up`'s secrets over in the environment, where they are wanted."""
