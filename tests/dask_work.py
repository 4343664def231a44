"""What the workers of a test's cluster do: they import it by name."""

import time

from scdiff_augment.sampling.one_block import annotated_block


def slowly(model, *arguments):
    """Leave time to be killed."""
    time.sleep(0.15)
    return annotated_block(model, *arguments)


def named(shared, number):
    return f"{shared}{number}"


def wrong(shared, number):
    raise ValueError(f"no {number}")
