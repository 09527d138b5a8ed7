"""Documents: Markdown, HTML, LaTeX, CSV."""
