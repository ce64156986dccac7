"""What stands at a site instead of what was asked for, in a sentence: it is a mistyped number more often than not."""

from collections.abc import Mapping

_MOST_LISTED = 5


def there_instead(things: str, found: Mapping[int, str]) -> str:
    """Return what there is at a site: `its templates: 9201 (vyos-1-4), 9200 (vyos-1-5)`.

    Args:
        things: of what kind: `templates`.
        found: their names by id; an empty name where one has none.
    """
    named = [f"{number} ({name})" if name else str(number) for number, name in sorted(found.items(), reverse=True)]
    more = f" and {len(named) - _MOST_LISTED} more" if len(named) > _MOST_LISTED else ""
    return f"its {things}: {', '.join(named[:_MOST_LISTED]) or 'none'}{more}"
