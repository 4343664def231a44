"""A file of reference cells beside one's own, and the table of labels between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cell_files import Cells, read_cells, require_file
from .name_lookup import listed, matching_value
from .terminal import Terminal

TABLES = {".csv": ",", ".tsv": "\t"}
"""Endings of tables, and what separates their columns."""

COLUMNS = ("reference", "own")
"""Columns of a table of labels."""


@dataclass(frozen=True)
class Reference:
    """What the command line says of reference cells.

    Attributes
    ----------
    path : Path or None
        Their file, if there is one.
    label_key : str or None
        Column of its obs with the classes, if it has another name there.
    label_map : Path or None
        Table of labels.
    """

    path: Path | None
    label_key: str | None = None
    label_map: Path | None = None

    def check(self) -> None:
        """Refuse files that are not there, before anything slow happens.

        Raises
        ------
        ValueError
            If there is no such file, or an option is about a reference that is not given.
        """
        if self.path is None:
            for option, value in (
                ("--reference-label-key", self.label_key),
                ("--label-map", self.label_map),
            ):
                if value is not None:
                    raise ValueError(
                        f"{option} is about the cells of --reference. Name their file, or leave "
                        f"the option out."
                    )
            return
        require_file(self.path)
        if self.label_map is not None:
            read_label_map(self.label_map)

    def joined(
        self,
        own: Cells,
        label_key: str,
        batch_key: str | None,
        into: str | None,
        terminal: Terminal,
    ) -> tuple[Cells, str, str]:
        """Put the cells of both files together; return also the batch column, and their own batch.

        Raises
        ------
        ValueError
            As `join_reference`.
        """
        from scdiff_augment.adata.reference import OWN, join_reference

        assert self.path is not None
        terminal.say(f"reading {self.path}")
        layer = own.layer
        theirs = read_cells(self.path, layer, terminal)
        theirs_key = self.label_key or label_key
        own.labels(label_key), theirs.labels(theirs_key)
        key, name = batch_key or "batch", into or OWN
        table = {} if self.label_map is None else read_label_map(self.label_map)
        adata, report = join_reference(
            own.adata,
            theirs.adata,
            label_key,
            reference_label_key=theirs_key,
            label_map=table,
            layer=layer,
            reference_layer=layer,
            batch_key=key,
            into=name,
            reference_batch_key=key if key in theirs.adata.obs else None,
        )
        terminal.say(f"reference: {report}")
        return Cells(adata, own.path), key, name


def read_label_map(path: Path) -> dict[str, str]:
    """Read a table with the columns "reference" and "own": labels there, and one's own names.

    Raises
    ------
    ValueError
        If there is no such table, it has other columns, or a label twice.
    """
    if path.suffix not in TABLES or not path.is_file():
        raise ValueError(
            f"--label-map reads {' or '.join(TABLES)} files, and {path} "
            f"{'does not exist' if path.suffix in TABLES else 'is neither'}. Give a table with the "
            f"columns {' and '.join(COLUMNS)}."
        )
    import pandas as pd

    table = pd.read_csv(path, sep=TABLES[path.suffix], dtype=str, keep_default_na=False)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise ValueError(
            f"{path} has no column '{missing[0]}'; it has: {listed(table.columns)}. The first line "
            f"of a table of labels is {TABLES[path.suffix].join(COLUMNS)!r}."
        )
    repeated = table["reference"][table["reference"].duplicated()]
    if len(repeated):
        raise ValueError(
            f"{path} gives '{repeated.iloc[0]}' twice, but a label has one name. Leave one out."
        )
    return dict(zip(table["reference"], table["own"], strict=True))


def target_batch(into: str | None, key: str | None, donor: str | None, cells: Cells) -> Any:
    """Return the batch, or donor, whose text this is; None where none is named.

    Raises
    ------
    ValueError
        If there is none, or no column that would name it, or two.
    """
    if into is None:
        return None
    if (key is None) == (donor is None):
        raise ValueError(
            f"--into {into} names one batch or donor to make cells for. Name its column with "
            f"either --batch-key or --donor-key, and only that one."
        )
    column = key or donor
    labels = sorted(set(cells.labels(str(column)).tolist()), key=str)
    return matching_value(into, labels, f"obs['{column}'] of {cells.path}", "value")
