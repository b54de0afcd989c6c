"""Pages of long answers."""

from urllib.parse import urlencode

from msgspec.structs import asdict, replace

from collector.api.answers import PagedQuery


def next_address(query: PagedQuery, total_rows: int) -> str | None:
    """Return the query of the following rows, relative to the present path; None after the last row."""
    following = query.offset + query.limit
    if following >= total_rows:
        return None
    values = asdict(replace(query, offset=following))
    given = {name: ",".join(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return "?" + urlencode({name: value for name, value in given.items() if value is not None}, safe=",/:")
