"""Pages, figures and tables of finished studies, all made from rows."""
