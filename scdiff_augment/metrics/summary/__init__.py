"""How a table of metrics is read: `verdict` judges it by a rule, `printed` shows it.

May import: the rest of metrics that computes nothing from `evaluation`.
"""
