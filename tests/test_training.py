"""The training loop against torch's own optimiser and schedule."""

import pytest
import torch
from joblib import cpu_count

from scdiff_augment.compute.threads import bounded_threads
from scdiff_augment.compute.training_loop import one_cycle, training_steps


@pytest.mark.parametrize("n_steps", [10, 137, 600])
def test_one_cycle_equals_torch(n_steps):
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=2e-3, total_steps=n_steps, cycle_momentum=False
    )
    for step in range(n_steps):
        assert one_cycle(step, n_steps, 2e-3) == pytest.approx(schedule.get_last_lr()[0], rel=1e-6)
        optimiser.step()
        if step < n_steps - 1:
            schedule.step()


@pytest.mark.parametrize("n_steps", [1, 2, 3, 4, 5])
def test_very_short_trainings_run(n_steps):
    model = torch.nn.Linear(2, 1)
    losses = training_steps(
        model, lambda m: m(torch.ones(3, 2)).square().mean(), n_steps=n_steps, learning_rate=1e-3
    )
    assert len(list(losses)) == n_steps


def test_training_equals_torch_adamw():
    def build():
        torch.manual_seed(0)
        return torch.nn.Linear(4, 2)

    X = torch.randn(30, 4, generator=torch.Generator().manual_seed(1))

    def loss(model):
        return (model(X) - X[:, :2]).square().mean()

    ours, theirs = build(), build()
    list(training_steps(ours, loss, n_steps=50, learning_rate=1e-2, weight_decay=0.1))
    optimiser = torch.optim.AdamW(theirs.parameters(), weight_decay=0.1)
    for step in range(50):
        optimiser.param_groups[0]["lr"] = one_cycle(step, 50, 1e-2)
        optimiser.zero_grad()
        loss(theirs).backward()
        optimiser.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_threads_are_bounded_and_restored():
    before, inside = torch.get_num_threads(), []
    wanted = 1 if before > 1 else cpu_count()

    def interrupted():
        with bounded_threads(wanted):
            inside.append(torch.get_num_threads())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert inside == [wanted]
    assert torch.get_num_threads() == before


def test_there_are_never_more_threads_than_cores():
    with bounded_threads(10_000):
        assert torch.get_num_threads() == cpu_count()
    with bounded_threads(None):
        assert torch.get_num_threads() == 1
